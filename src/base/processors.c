/* processors.c: see processors.h. cpu.max of version 2 of control groups, cpu.cfs_quota_us and its period of version 1. */
#include "base/processors.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/comma_list.h"

#define PATH_CAP 1024u
#define CPUS_MAX 4096

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static uint32_t of_affinity(void)
{
	size_t bytes = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int n = 0;

	if (set && !sched_getaffinity(0, bytes, set))
		n = CPU_COUNT_S(bytes, set);
	if (set)
		CPU_FREE(set);
	if (n < 1)
		n = online > 0 ? (int)online : 1;
	return (uint32_t)n;
}

static bool read_line(const char *path, char *line, int n)
{
	_cleanup_(close_file) FILE *f = fopen(path, "re");

	return f && fgets(line, n, f);
}

static void note(uint32_t *n, long long quota, long long period)
{
	long long whole = period > 0 ? quota / period : 0;

	if (quota <= 0 || period <= 0 || whole >= *n)
		return;
	*n = whole < 1 ? 1 : (uint32_t)whole;
}

/* A group's directory. */
static void look_at(const char *directory, int version, uint32_t *n)
{
	char path[PATH_CAP + 32], line[64];
	long long quota, period;

	snprintf(path, sizeof(path), "%s/%s", directory,
		version == 2 ? "cpu.max" : "cpu.cfs_quota_us");
	if (!read_line(path, line, sizeof(line)))
		return;
	if (version == 2) {
		if (sscanf(line, "%lld %lld", &quota, &period) == 2)
			note(n, quota, period);
		return;
	}
	if (sscanf(line, "%lld", &quota) != 1)
		return;
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);
	if (read_line(path, line, sizeof(line)) && sscanf(line, "%lld", &period) == 1)
		note(n, quota, period);
}

/* A group and all above it. */
static void climb(const char *mount, const char *group, int version, uint32_t *n)
{
	char path[PATH_CAP];
	size_t top = strlen(mount);

	if ((size_t)snprintf(path, sizeof(path), "%s%s", mount, group) >= sizeof(path))
		return;
	for (;;) {
		char *slash;

		while (path[top] && path[strlen(path) - 1] == '/')
			path[strlen(path) - 1] = 0;
		look_at(path, version, n);
		slash = path[top] ? strrchr(path + top, '/') : NULL;
		if (!slash)
			return;
		*slash = 0;
	}
}

/* "0::/system.slice/modeld.service", "9:cpu,cpuacct:/docker/1f" */
static void look_at_line(const char *root, char *line, uint32_t *n)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;
	char mount[PATH_CAP];

	if (!group || group[1] != '/')
		return;
	*group++ = 0;
	if (!strcmp(line, "0:")) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		climb(mount, group, 2, n);
	} else if (comma_list_has(controllers + 1, "cpu")) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
		climb(mount, group, 1, n);
	}
}

uint32_t processors_usable(const char *root)
{
	char path[PATH_CAP], line[PATH_CAP];
	_cleanup_(close_file) FILE *f = NULL;
	uint32_t n = of_affinity();

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		look_at_line(root, line, &n);
	}
	return n;
}

/*
 * machine.c: memory by /proc/meminfo (proc(5)), the limits and the counts (memory.events, memory.oom_control) of control groups: memory.max (version 2,
 * Documentation/admin-guide/cgroup-v2.rst of Linux), memory.limit_in_bytes (version 1), in every group from our own up to the
 * root of what is mounted. Where a container shows us a part of the tree, paths that are not there are passed over.
 */
#include "base/machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/comma_list.h"
#include "base/digits.h"

#define PATH_CAP 4096

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

struct search {
	const char *root;
	uint64_t least; /* UINT64_MAX: nothing yet */
	char *what;
	size_t cap;
};

static void note(struct search *s, uint64_t bytes, const char *file)
{
	if (bytes >= s->least)
		return;
	s->least = bytes;
	snprintf(s->what, s->cap, "%s", file + strlen(s->root));
}

static bool read_line(const char *path, char *line, int cap)
{
	_cleanup_(close_file) FILE *f = fopen(path, "re");

	if (!f || !fgets(line, cap, f))
		return false;
	line[strcspn(line, "\n")] = 0;
	return true;
}

/* One group's limit; "max" and what cannot be read is none. */
static void look_at_group(struct search *s, const char *directory, const char *file)
{
	char path[PATH_CAP + 64], line[32];
	uint64_t bytes;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (read_line(path, line, sizeof(line)) && !decimal_parse(line, &bytes))
		note(s, bytes, path);
}

static void climb(struct search *s, const char *mount, const char *group, const char *file)
{
	char path[PATH_CAP];
	size_t top = strlen(s->root) + strlen(mount);

	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", s->root, mount, group) >= sizeof(path))
		return;
	for (;;) {
		char *slash = strrchr(path + top, '/');

		/* "/" is the mount itself. */
		if (slash && !slash[1])
			*slash = 0;
		look_at_group(s, path, file);
		slash = strrchr(path + top, '/');
		if (!slash)
			return;
		*slash = 0;
	}
}

/* "0::/system.slice/modeld.service", "9:cpu,memory:/docker/1f": its group where it is one of memory; ret_version is 2
 * or 1. NULL: it is not. */
static const char *memory_group(char *line, int *ret_version)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group || group[1] != '/')
		return NULL;
	*group++ = 0;
	*ret_version = !strcmp(line, "0:") ? 2 : 1;
	return *ret_version == 2 || comma_list_has(controllers + 1, "memory") ? group : NULL;
}

static void look_at_line(struct search *s, char *line)
{
	int version;
	const char *group = memory_group(line, &version);

	if (group && version == 2)
		climb(s, "/sys/fs/cgroup", group, "memory.max");
	else if (group)
		climb(s, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
}

static void look_at_groups(struct search *s)
{
	char path[PATH_CAP], line[PATH_CAP];
	_cleanup_(close_file) FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", s->root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		look_at_line(s, line);
	}
}

static void look_at_machine(struct search *s)
{
	char path[PATH_CAP], line[256];
	unsigned long long kib;

	snprintf(path, sizeof(path), "%s/proc/meminfo", s->root);
	if (read_line(path, line, sizeof(line)) && sscanf(line, "MemTotal: %llu kB", &kib) == 1)
		note(s, (uint64_t)kib * 1024, path);
}

uint64_t machine_memory(const char *root, char *ret_what, size_t cap)
{
	struct search s = {.root = root, .least = UINT64_MAX, .what = ret_what, .cap = cap};

	*ret_what = 0;
	look_at_machine(&s);
	look_at_groups(&s);
	return s.least == UINT64_MAX ? 0 : s.least;
}

/* The number behind "oom_kill " at the beginning of a line. */
static bool read_oom_kills(const char *path, uint64_t *ret_n)
{
	_cleanup_(close_file) FILE *f = fopen(path, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "oom_kill ", 9))
			return !decimal_parse(line + 9, ret_n);
	}
	return false;
}

static bool oom_kills_of(const char *root, char *line, uint64_t *ret_n)
{
	char path[2 * PATH_CAP];
	int version;
	const char *group = memory_group(line, &version);

	if (!group)
		return false;
	snprintf(path, sizeof(path), "%s%s%s/%s", root,
		version == 2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", group,
		version == 2 ? "memory.events" : "memory.oom_control");
	return read_oom_kills(path, ret_n);
}

uint64_t machine_oom_kills(const char *root)
{
	char path[PATH_CAP], line[PATH_CAP];
	_cleanup_(close_file) FILE *f = NULL;
	uint64_t n = 0;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (oom_kills_of(root, line, &n))
			return n;
	}
	snprintf(path, sizeof(path), "%s/proc/vmstat", root);
	return read_oom_kills(path, &n) ? n : 0;
}

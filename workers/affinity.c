/* affinity.c: see affinity.h. Worker process, one thread, while others may run. */
#include "workers/affinity.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digits.h"
#include "shm/memfd.h"

/* A thread may start another one while the threads are listed. */
#define ROUNDS_MAX 16

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The first line of a file of sysfs, into AFFINITY_TEXT_MAX bytes. */
static int read_line(const char *path, char *ret_line)
{
	_cleanup_(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_line, AFFINITY_TEXT_MAX - 1);

	if (n <= 0)
		return -ENODATA;
	ret_line[n] = 0;
	ret_line[strcspn(ret_line, "\n")] = 0;
	return 0;
}

/* What the kernel says of the device in that file of its own. Letters of addresses are small there. */
static int read_file(const char *sysfs, const char *bus, const char *file, char *ret_line)
{
	char path[PATH_MAX], name[32];

	snprintf(name, sizeof(name), "%s", bus);
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!*name || strchr(name, '/') ||
		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", sysfs, name, file) >=
			(int)sizeof(path))
		return -ENODATA;
	return read_line(path, ret_line);
}

/* "0-3,8" */
static int parse_list(const char *text, cpu_set_t *ret_set)
{
	uint64_t first, last;

	CPU_ZERO(ret_set);
	for (;; text++) {
		if (decimal_read(text, &first, &text))
			return -ENODATA;
		last = first;
		if (*text == '-' && decimal_read(text + 1, &last, &text))
			return -ENODATA;
		if (last < first || last >= CPU_SETSIZE)
			return -ENODATA;
		for (; first <= last; first++)
			CPU_SET((int)first, ret_set);
		if (*text != ',')
			return *text ? -ENODATA : 0;
	}
}

/* ret_moved: some thread was not kept to them yet. A thread that is gone by now needs not be. */
static int keep_listed(const cpu_set_t *set, bool *ret_moved)
{
	_cleanup_(closedirp) DIR *threads = opendir("/proc/self/task");
	struct dirent *entry;

	*ret_moved = false;
	while (threads && (entry = readdir(threads))) {
		cpu_set_t now;
		uint64_t id;

		if (decimal_parse(entry->d_name, &id) ||
			sched_getaffinity((pid_t)id, sizeof(now), &now) || CPU_EQUAL(&now, set))
			continue;
		if (!sched_setaffinity((pid_t)id, sizeof(*set), set))
			*ret_moved = true;
		else if (errno != ESRCH)
			return -errno;
	}
	return 0;
}

static int keep_all(const cpu_set_t *set)
{
	bool moved = true;
	int r = sched_setaffinity(0, sizeof(*set), set) ? -errno : 0;

	for (int i = 0; !r && moved && i < ROUNDS_MAX; i++)
		r = keep_listed(set, &moved);
	return r;
}

int affinity_apply(const char *sysfs, const char *bus, char *ret_cpus)
{
	cpu_set_t near, allowed, both;
	int r = read_file(sysfs, bus, "local_cpulist", ret_cpus);

	if (!r)
		r = parse_list(ret_cpus, &near);
	if (!r && sched_getaffinity(0, sizeof(allowed), &allowed))
		r = -errno;
	if (r)
		return r;
	CPU_AND(&both, &near, &allowed);
	if (CPU_EQUAL(&both, &allowed)) {
		snprintf(ret_cpus, AFFINITY_TEXT_MAX, "all");
		return 0;
	}
	return CPU_COUNT(&both) > 0 ? keep_all(&both) : 0;
}

static bool has_one_node(const char *sysfs)
{
	char path[PATH_MAX], nodes[AFFINITY_TEXT_MAX];

	snprintf(path, sizeof(path), "%s/devices/system/node/online", sysfs);
	return read_line(path, nodes) || !strpbrk(nodes, ",-");
}

uint32_t affinity_numa_node(const char *sysfs, const char *bus)
{
	char text[AFFINITY_TEXT_MAX];
	uint64_t node;

	/* A device that is near none has -1. */
	if (has_one_node(sysfs) || read_file(sysfs, bus, "numa_node", text) ||
		decimal_parse(text, &node) || node >= MEMFD_NUMA_NODES)
		return 0;
	return (uint32_t)node + 1;
}

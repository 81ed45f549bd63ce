/*
 * group.c: control groups by their files (Documentation/admin-guide/cgroup-v2.rst of Linux). Groups of workers are named by the
 * daemon's process and their number, so that those of a daemon and of the one that takes its place differ. Daemon process,
 * loop thread.
 */
#include "pool/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/digits.h"

#define MOUNT	       "/sys/fs/cgroup"
#define OWN	       "/daemon" /* the daemon's own, below the base */
#define CPU_PERIOD_US  100000u
#define NAME_MAX_      64u
#define CHILD_PATH_MAX (GROUP_PATH_MAX + NAME_MAX_)
#define FILE_PATH_MAX  (CHILD_PATH_MAX + 32)

static const char *const controllers[GROUP_LIMITS_] = {
	[GROUP_MEMORY] = "memory",
	[GROUP_CPU] = "cpu",
	[GROUP_PROCESSES] = "pids",
};

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static int open_to_write(const char *directory, const char *file)
{
	char path[FILE_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_file(const char *directory, const char *file, const char *text)
{
	_cleanup_(close_fd) int fd = open_to_write(directory, file);

	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static FILE *open_to_read(const char *directory, const char *file)
{
	char path[FILE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return fopen(path, "re");
}

/* --- The daemon's group ----------------------------------------------------------------------- */

/* Ours, "/system.slice/modeld.service"; a successor is started where its predecessor has moved to. -EOPNOTSUPP */
static int find_base(struct groups *g)
{
	char line[GROUP_PATH_MAX], proc[GROUP_PATH_MAX];
	_cleanup_(close_file) FILE *f = NULL;
	size_t n;

	snprintf(proc, sizeof(proc), "%s/proc/self", g->root);
	f = open_to_read(proc, "cgroup");
	do {
		if (!f || !fgets(line, sizeof(line), f))
			return -EOPNOTSUPP;
	} while (strncmp(line, "0::/", 4) != 0);
	n = strcspn(line, "\n");
	line[n] = '\0';
	if (n >= strlen(OWN) && !strcmp(line + n - strlen(OWN), OWN))
		line[n - strlen(OWN)] = '\0';
	n = (size_t)snprintf(g->base, sizeof(g->base), "%s" MOUNT "%s", g->root, line + 3);
	if (n >= sizeof(g->base))
		return -ENAMETOOLONG;
	if (g->base[n - 1] == '/')
		g->base[n - 1] = '\0';
	return 0;
}

/* What systemd marks, what was given to a user that is not root, and what a container has as its root. */
static bool is_delegated(const struct groups *g)
{
	static const char *const names[] = {"user.delegate", "trusted.delegate"};
	char path[FILE_PATH_MAX];
	char value;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (getxattr(g->base, names[i], &value, 1) == 1 && value == '1')
			return true;
	}
	snprintf(path, sizeof(path), "%s/cgroup.procs", g->base);
	if (access(path, W_OK))
		return false;
	return geteuid() != 0 || !strcmp(g->base + strlen(g->root), MOUNT);
}

static bool is_limited(const struct groups *g, enum group_limit limit)
{
	switch (limit) {
	case GROUP_MEMORY:
		return g->limits->max_memory_bytes > 0;
	case GROUP_CPU:
		return g->limits->max_cpu_percent > 0;
	default:
		return g->limits->max_processes > 0;
	}
}

/* Which controllers we may hand on: "cpuset cpu io memory pids". */
static bool find_controllers(struct groups *g)
{
	_cleanup_(close_file) FILE *f = open_to_read(g->base, "cgroup.controllers");
	bool useful = false;
	char word[32];

	while (f && fscanf(f, "%31s", word) == 1) {
		for (int i = 0; i < GROUP_LIMITS_; i++) {
			if (!strcmp(word, controllers[i]))
				g->has[i] = true;
		}
	}
	for (int i = 0; i < GROUP_LIMITS_; i++)
		useful = useful || (g->has[i] && is_limited(g, i));
	return useful;
}

static int make_directory(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

/* Memory in any case: its counts tell why a process has ended. */
static int hand_on(const struct groups *g)
{
	char text[64] = "";
	size_t n = 0;

	for (int i = 0; i < GROUP_LIMITS_; i++) {
		if (g->has[i])
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, "%s+%s", n ? " " : "", controllers[i]);
	}
	return write_file(g->base, "cgroup.subtree_control", text);
}

/* The whole process: "0" is who writes it. */
static int move_and_hand_on(const struct groups *g)
{
	char own[CHILD_PATH_MAX];
	int r;

	snprintf(own, sizeof(own), "%s" OWN, g->base);
	r = make_directory(own);
	if (!r)
		r = write_file(own, "cgroup.procs", "0");
	if (!r)
		r = hand_on(g);
	if (r && !write_file(g->base, "cgroup.procs", "0") && rmdir(own))
		errno = 0;
	return r;
}

int groups_init(struct groups *g, const char *root, const struct worker_limits *limits)
{
	int r;

	*g = (struct groups){.root = root, .limits = limits};
	if (!is_limited(g, GROUP_MEMORY) && !is_limited(g, GROUP_CPU) &&
		!is_limited(g, GROUP_PROCESSES))
		return 0;
	r = find_base(g);
	if (!r && (!is_delegated(g) || !find_controllers(g)))
		r = -EOPNOTSUPP;
	if (!r)
		r = move_and_hand_on(g);
	if (r)
		*g = (struct groups){.root = root, .limits = limits};
	snprintf(g->over, sizeof(g->over),
		": by the kernel, for [worker] max_memory_bytes = %" PRIu64,
		limits->max_memory_bytes);
	return r;
}

static const char *held_by(const struct groups *g, enum group_limit limit)
{
	if (g->has[limit])
		return "control group";
	return limit == GROUP_MEMORY ? "RLIMIT_DATA" : "nothing";
}

void groups_describe(const struct groups *g, char text[GROUPS_DESCRIBED_MAX])
{
	const uint64_t values[GROUP_LIMITS_] = {
		g->limits->max_memory_bytes, g->limits->max_cpu_percent, g->limits->max_processes};
	static const char *const keys[GROUP_LIMITS_] = {
		"max_memory_bytes", "max_cpu_percent", "max_processes"};
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < GROUP_LIMITS_; i++) {
		if (is_limited(g, i))
			n += (size_t)snprintf(text + n, GROUPS_DESCRIBED_MAX - n,
				"%s%s = %" PRIu64 " by %s", n ? ", " : "", keys[i], values[i],
				held_by(g, i));
	}
}

struct worker_limits groups_limits(const struct groups *g)
{
	struct worker_limits held = {.max_memory_bytes = g->limits->max_memory_bytes};

	if (g->has[GROUP_CPU])
		held.max_cpu_percent = g->limits->max_cpu_percent;
	if (g->has[GROUP_PROCESSES])
		held.max_processes = g->limits->max_processes;
	return held;
}

/* --- Those of workers ------------------------------------------------------------------------- */

static void group_of(const struct groups *g, uint64_t number, char path[CHILD_PATH_MAX])
{
	snprintf(path, CHILD_PATH_MAX, "%s/worker-%d-%" PRIu64, g->base, (int)getpid(), number);
}

static int set_memory(const struct groups *g, const char *group)
{
	char text[DECIMAL_MAX + 1];
	int r;

	if (!g->has[GROUP_MEMORY] || !is_limited(g, GROUP_MEMORY))
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64, g->limits->max_memory_bytes);
	r = write_file(group, "memory.max", text);
	/* What the worker has started goes with it. */
	return r ? r : write_file(group, "memory.oom.group", "1");
}

static int set_cpu(const struct groups *g, const char *group)
{
	char text[64];

	if (!g->has[GROUP_CPU] || !is_limited(g, GROUP_CPU))
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64 " %u",
		(uint64_t)g->limits->max_cpu_percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
	return write_file(group, "cpu.max", text);
}

static int set_processes(const struct groups *g, const char *group)
{
	char text[DECIMAL_MAX + 1];

	if (!g->has[GROUP_PROCESSES] || !is_limited(g, GROUP_PROCESSES))
		return 0;
	snprintf(text, sizeof(text), "%u", g->limits->max_processes);
	return write_file(group, "pids.max", text);
}

static int make_limited(const struct groups *g, const char *group)
{
	int r = make_directory(group);

	if (!r)
		r = set_memory(g, group);
	if (!r)
		r = set_cpu(g, group);
	return r ? r : set_processes(g, group);
}

static bool is_left_behind(const char *name)
{
	int pid;

	if (sscanf(name, "worker-%d-", &pid) != 1 || pid <= 0)
		return false;
	return pid == getpid() || (kill(pid, 0) && errno == ESRCH);
}

/* What could not be removed at once, or is a daemon's that was killed. One that has a process stays. */
static void sweep(const struct groups *g)
{
	char path[GROUP_PATH_MAX + sizeof(((struct dirent *)0)->d_name)];
	DIR *d = opendir(g->base);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (!is_left_behind(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", g->base, e->d_name);
		if (rmdir(path))
			errno = 0;
	}
	if (d)
		closedir(d);
}

int groups_make(struct groups *g, uint64_t number, int *ret_fd)
{
	char group[CHILD_PATH_MAX];
	int r;

	if (!g->base[0]) {
		*ret_fd = -1;
		return 0;
	}
	sweep(g);
	group_of(g, number, group);
	r = make_limited(g, group);
	if (!r)
		r = open_to_write(group, "cgroup.procs");
	if (r < 0) {
		rmdir(group);
		return r;
	}
	*ret_fd = r;
	return 0;
}

/* A file of one number; 0: it is not there. */
static uint64_t read_number(const char *group, const char *file)
{
	_cleanup_(close_file) FILE *f = open_to_read(group, file);
	char line[DECIMAL_MAX + 2];
	uint64_t n;

	if (!f || !fgets(line, sizeof(line), f))
		return 0;
	line[strcspn(line, "\n")] = '\0';
	return decimal_parse(line, &n) ? 0 : n;
}

struct group_use groups_use(const struct groups *g, uint64_t number)
{
	struct group_use use = {.memory_bytes = 0};
	char group[CHILD_PATH_MAX];

	if (!g->base[0])
		return use;
	group_of(g, number, group);
	if (g->has[GROUP_MEMORY])
		use.memory_bytes = read_number(group, "memory.current");
	if (g->has[GROUP_PROCESSES])
		use.processes = read_number(group, "pids.current");
	return use;
}

static enum group_end how_it_ended(const struct groups *g, const char *group)
{
	_cleanup_(close_file) FILE *f = open_to_read(group, "memory.events");
	uint64_t reached = 0, killed = 0;
	char line[128];

	if (!g->has[GROUP_MEMORY] || !f)
		return GROUP_END_UNKNOWN;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if ((!strncmp(line, "oom ", 4) && decimal_parse(line + 4, &reached)) ||
			(!strncmp(line, "oom_kill ", 9) && decimal_parse(line + 9, &killed)))
			return GROUP_END_UNKNOWN;
	}
	if (killed == 0)
		return GROUP_END_OTHER;
	return reached > 0 ? GROUP_END_LIMIT : GROUP_END_SHORTAGE;
}

enum group_end groups_remove(struct groups *g, uint64_t number)
{
	char group[CHILD_PATH_MAX];
	enum group_end end;

	if (!g->base[0])
		return GROUP_END_UNKNOWN;
	group_of(g, number, group);
	end = how_it_ended(g, group);
	/* It has no process but what has left the worker's process group; Linux 5.14 has this file. What is still about to
	 * end then is swept later. */
	if (write_file(group, "cgroup.kill", "1") || rmdir(group))
		errno = 0;
	return end;
}

const char *groups_end_text(const struct groups *g, enum group_end end)
{
	if (end == GROUP_END_LIMIT)
		return g->over;
	return end == GROUP_END_SHORTAGE ? ": by the kernel, for want of memory" : "";
}

uint32_t groups_processors(const struct groups *g, uint32_t processors)
{
	uint32_t percent = g->has[GROUP_CPU] ? g->limits->max_cpu_percent : 0;
	uint32_t most = percent / 100 + (percent % 100 > 0);

	return most > 0 && most < processors ? most : processors;
}

uint64_t groups_data_limit(const struct groups *g)
{
	return g->has[GROUP_MEMORY] ? 0 : g->limits->max_memory_bytes;
}

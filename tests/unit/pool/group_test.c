/*
 * group_test.c: which files of control groups get what, in directories of the test's, with the files that the kernel would make; and,
 * where we are root and it lets us, a process in a group of the kernel's own.
 */
#include "pool/group.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "pool/spawn.h"

#define SERVICE "/sys/fs/cgroup/system.slice/modeld.service"

static char root[64];
static struct worker_limits limits;
static struct groups g;

static const char *at(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return path;
}

static void make(const char *name)
{
	cr_assert_eq(mkdir(at(name), 0700), 0, "%s", name);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

static void expect(const char *name, const char *text)
{
	char got[256] = "";
	FILE *f = fopen(at(name), "r");

	cr_assert(f, "%s", name);
	cr_assert(fgets(got, sizeof(got), f) || !text[0]);
	fclose(f);
	cr_expect_str_eq(got, text, "%s", name);
}

static bool is_there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

/* The group of process number 7 of this daemon, and one of its files. */
static const char *worker(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), SERVICE "/worker-%d-7%s", (int)getpid(), file);
	return path;
}

static void begin(void)
{
	snprintf(root, sizeof(root), "/tmp/group_test.XXXXXX");
	cr_assert(mkdtemp(root));
	make("/proc");
	make("/proc/self");
	make("/sys");
	make("/sys/fs");
	make("/sys/fs/cgroup");
	make("/sys/fs/cgroup/system.slice");
	make(SERVICE);
	make(SERVICE "/daemon");
	put(SERVICE "/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
	put(SERVICE "/cgroup.subtree_control", "");
	put(SERVICE "/cgroup.procs", "");
	put(SERVICE "/daemon/cgroup.procs", "");
	make(worker(""));
	put(worker("/cgroup.procs"), "");
	put(worker("/cgroup.kill"), "");
	put(worker("/memory.max"), "max");
	put(worker("/memory.oom.group"), "0");
	put(worker("/cpu.max"), "max");
	put(worker("/pids.max"), "max");
	put("/proc/self/cgroup", "4:memory:/x\n0::/system.slice/modeld.service\n");
	limits = (struct worker_limits){.max_memory_bytes = 0};
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static void end(void)
{
	nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

TestSuite(group, .init = begin, .fini = end);

static void delegate(void)
{
	if (setxattr(at(SERVICE), "user.delegate", "1", 1, 0) &&
		setxattr(at(SERVICE), "trusted.delegate", "1", 1, 0))
		cr_skip_test("no extended attributes below /tmp");
}

/* As spawn() does: what the file has been given. */
static int enter(void)
{
	int fd = -7;
	int r = groups_make(&g, 7, &fd);

	if (r)
		return r;
	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(write(fd, "0", 1), 1);
	close(fd);
	return 0;
}

static void expect_description(const char *text)
{
	char got[GROUPS_DESCRIBED_MAX];

	groups_describe(&g, got);
	cr_expect_str_eq(got, text);
}

static void expect_no_groups(int error)
{
	int fd = -7;

	cr_assert_eq(groups_init(&g, root, &limits), error);
	cr_assert_eq(groups_make(&g, 7, &fd), 0);
	cr_expect_eq(fd, -1);
	cr_expect_eq(groups_remove(&g, 7), GROUP_END_UNKNOWN);
	expect(worker("/cgroup.procs"), "");
	expect(worker("/cgroup.kill"), "");
}

Test(group, nothing_is_done_without_limits)
{
	delegate();
	expect_no_groups(0);
	expect(SERVICE "/daemon/cgroup.procs", "");
	expect_description("");
	cr_expect_eq(groups_data_limit(&g), 0);
	cr_expect_eq(groups_processors(&g, 8), 8);
}

Test(group, limits_of_a_worker)
{
	delegate();
	limits = (struct worker_limits){
		.max_memory_bytes = 1 << 20, .max_cpu_percent = 250, .max_processes = 99};
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	expect(SERVICE "/daemon/cgroup.procs", "0");
	expect(SERVICE "/cgroup.subtree_control", "+memory +cpu +pids");
	expect_description("max_memory_bytes = 1048576 by control group, max_cpu_percent = 250 by "
			   "control group, max_processes = 99 by control group");
	cr_expect_eq(enter(), 0);
	expect(worker("/memory.max"), "1048576");
	expect(worker("/memory.oom.group"), "1");
	expect(worker("/cpu.max"), "250000 100000");
	expect(worker("/pids.max"), "99x"); /* written over what was there */
	expect(worker("/cgroup.procs"), "0");
	cr_expect_eq(groups_data_limit(&g), 0);
	cr_expect_eq(groups_processors(&g, 8), 3);
	cr_expect_eq(groups_processors(&g, 2), 2);
	cr_expect_eq(groups_processors(&g, 0), 0);
}

Test(group, only_what_is_limited_and_memory_for_its_counts)
{
	delegate();
	limits.max_cpu_percent = 50;
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	cr_expect_eq(enter(), 0);
	expect(worker("/cpu.max"), "50000 100000");
	expect(worker("/memory.max"), "max");
	expect(worker("/memory.oom.group"), "0");
	expect(worker("/pids.max"), "max");
}

Test(group, what_has_no_controller_is_held_otherwise)
{
	delegate();
	put(SERVICE "/cgroup.controllers", "cpu");
	limits = (struct worker_limits){
		.max_memory_bytes = 5, .max_cpu_percent = 100, .max_processes = 3};
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	expect(SERVICE "/cgroup.subtree_control", "+cpu");
	cr_expect_eq(groups_data_limit(&g), 5);
	expect_description("max_memory_bytes = 5 by RLIMIT_DATA, max_cpu_percent = 100 by control "
			   "group, max_processes = 3 by nothing");
	cr_expect_eq(enter(), 0);
	expect(worker("/memory.max"), "max");
	cr_expect_eq(groups_remove(&g, 7), GROUP_END_UNKNOWN);
}

Test(group, no_controller_at_all)
{
	delegate();
	limits.max_memory_bytes = 5;
	put(SERVICE "/cgroup.controllers", "cpu pids");
	expect_no_groups(-EOPNOTSUPP);
	cr_expect_eq(groups_data_limit(&g), 5);
	expect(SERVICE "/daemon/cgroup.procs", "");
}

Test(group, a_successor_begins_in_the_others)
{
	delegate();
	put("/proc/self/cgroup", "0::/system.slice/modeld.service/daemon\n");
	limits.max_cpu_percent = 50;
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	expect(SERVICE "/daemon/cgroup.procs", "0");
	cr_expect_eq(enter(), 0);
	expect(worker("/cpu.max"), "50000 100000");
}

static void expect_use(uint64_t memory_bytes, uint64_t processes)
{
	const struct group_use use = groups_use(&g, 7);

	cr_expect_eq(use.memory_bytes, memory_bytes);
	cr_expect_eq(use.processes, processes);
}

Test(group, what_a_worker_takes_and_may_take)
{
	delegate();
	limits = (struct worker_limits){
		.max_memory_bytes = 1 << 20, .max_cpu_percent = 250, .max_processes = 99};
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	expect_use(0, 0);
	put(worker("/memory.current"), "18446744073709551615\n");
	put(worker("/pids.current"), "7\n");
	expect_use(UINT64_MAX, 7);
	put(worker("/memory.current"), "much\n");
	put(worker("/pids.current"), "");
	expect_use(0, 0);
	cr_expect_eq(groups_limits(&g).max_memory_bytes, 1 << 20);
	cr_expect_eq(groups_limits(&g).max_cpu_percent, 250);
	cr_expect_eq(groups_limits(&g).max_processes, 99);
}

Test(group, what_nothing_counts_or_holds)
{
	delegate();
	limits = (struct worker_limits){
		.max_memory_bytes = 1 << 20, .max_cpu_percent = 250, .max_processes = 99};
	put(worker("/memory.current"), "5\n");
	put(worker("/pids.current"), "7\n");
	put(SERVICE "/cgroup.controllers", "cpu");
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	expect_use(0, 0);
	cr_expect_eq(groups_limits(&g).max_memory_bytes, 1 << 20, "RLIMIT_DATA holds it");
	cr_expect_eq(groups_limits(&g).max_cpu_percent, 250);
	cr_expect_eq(groups_limits(&g).max_processes, 0);
	remove(at("/proc/self/cgroup"));
	cr_assert_eq(groups_init(&g, root, &limits), -EOPNOTSUPP);
	expect_use(0, 0);
	cr_expect_eq(groups_limits(&g).max_cpu_percent, 0);
}

static enum group_end after(const char *events)
{
	put(worker("/memory.events"), events);
	return groups_remove(&g, 7);
}

Test(group, what_the_kernel_ended)
{
	delegate();
	limits.max_memory_bytes = 1 << 20;
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	cr_expect_eq(groups_remove(&g, 7), GROUP_END_UNKNOWN);
	expect(worker("/cgroup.kill"), "1");
	cr_expect_eq(after("low 0\nmax 9\noom 0\noom_kill 0\n"), GROUP_END_OTHER);
	cr_expect_eq(after("low 0\nmax 9\noom 0\noom_kill 1\n"), GROUP_END_SHORTAGE);
	cr_expect_eq(after("low 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n"), GROUP_END_LIMIT);
	cr_expect_eq(after("oom x\noom_kill 2\n"), GROUP_END_UNKNOWN);
	cr_expect_str_eq(groups_end_text(&g, GROUP_END_LIMIT),
		": by the kernel, for [worker] max_memory_bytes = 1048576");
	cr_expect_str_eq(
		groups_end_text(&g, GROUP_END_SHORTAGE), ": by the kernel, for want of memory");
	cr_expect_str_eq(groups_end_text(&g, GROUP_END_OTHER), "");
}

Test(group, what_is_not_delegated_is_left_alone)
{
	limits.max_memory_bytes = 1 << 20;
	if (geteuid() == 0)
		expect_no_groups(-EOPNOTSUPP);
	put("/proc/self/cgroup", "4:memory:/x\n");
	expect_no_groups(-EOPNOTSUPP);
	remove(at("/proc/self/cgroup"));
	expect_no_groups(-EOPNOTSUPP);
	expect(SERVICE "/daemon/cgroup.procs", "");
}

Test(group, what_cannot_be_written)
{
	int fd = -7;

	delegate();
	limits.max_memory_bytes = 1 << 20;
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	/* A directory of ours has no files of the kernel's, and goes again. */
	cr_expect_eq(groups_make(&g, 8, &fd), -ENOENT);
	cr_expect_eq(fd, -7);
	remove(at(SERVICE "/cgroup.subtree_control"));
	expect_no_groups(-ENOENT);
	expect(SERVICE "/cgroup.procs", "0");
}

Test(group, what_others_have_left_is_removed)
{
	char mine[128];

	delegate();
	limits.max_memory_bytes = 1 << 20;
	cr_assert_eq(groups_init(&g, root, &limits), 0);
	snprintf(mine, sizeof(mine), SERVICE "/worker-%d-3", (int)getpid());
	make(mine);
	make(SERVICE "/worker-2147483647-1"); /* nobody has this number */
	make(SERVICE "/worker-1-1");
	make(SERVICE "/other");
	cr_expect_eq(enter(), 0);
	cr_expect_not(is_there(mine));
	cr_expect_not(is_there(SERVICE "/worker-2147483647-1"));
	cr_expect(is_there(SERVICE "/worker-1-1"), "that process is there");
	cr_expect(is_there(SERVICE "/other"));
}

/* --- With the kernel -------------------------------------------------------------------------- */

/* The kernel has one tree, in which others may run this test, too. */
static const char *real_group(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/modeld-group-test-%d", (int)getpid());
	return at(path);
}

static void mount_real(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("cgroup2", at("/sys/fs/cgroup"), "cgroup2", 0, NULL))
		cr_skip_test("no control groups of version 2 can be mounted here");
	rmdir(real_group());
	if (mkdir(real_group(), 0755))
		cr_skip_test("no control group can be made here");
}

/* In a group without limits: what the kernel has for them differs. */
Test(group, a_process_is_in_its_group_and_what_it_leaves_goes_with_it)
{
	static const char script[] = "grep -q '^0::.*/modeld-group-test-[0-9]*/worker-[0-9]*-7$' "
				     "/proc/self/cgroup || exit 9; setsid sleep 1000 & exit 0";
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct spawn_options o = {.argv = argv, .device = "cpu:0"};
	int fd = -1, pidfd, status;
	pid_t pid;

	mount_real();
	g = (struct groups){.root = root, .limits = &limits};
	snprintf(g.base, sizeof(g.base), "%s", real_group());
	cr_assert_eq(groups_make(&g, 7, &fd), 0);
	o.group_fd = fd;
	cr_assert_eq(spawn(&o, &pid, &pidfd), 0);
	close(fd);
	close(pidfd);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	groups_remove(&g, 7);
	/* What is killed may take a moment to be gone. */
	while (rmdir(real_group()))
		cr_assert_eq(groups_remove(&g, 7), GROUP_END_UNKNOWN);
	umount2(at("/sys/fs/cgroup"), MNT_DETACH);
}

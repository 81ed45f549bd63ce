/* machine_test.c: trees of files as machines and containers have them. */
#include "base/machine.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];
static char what[256];

static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	cr_assert(f && fputs(text, f) >= 0 && !fclose(f), "%s", full);
}

static void begin(void)
{
	snprintf(root, sizeof(root), "/tmp/machine_test.XXXXXX");
	cr_assert(mkdtemp(root));
	put("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static void end(void)
{
	cr_assert_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(machine, .init = begin, .fini = end);

static void expect(uint64_t bytes, const char *source)
{
	cr_expect_eq(machine_memory(root, what, sizeof(what)), bytes, "%s", what);
	cr_expect_str_eq(what, source);
}

Test(machine, without_groups_it_is_what_the_machine_has)
{
	expect(1024000, "/proc/meminfo");
}

Test(machine, a_group_above_counts)
{
	put("/proc/self/cgroup", "0::/a.slice/b.service\n");
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	put("/sys/fs/cgroup/a.slice/memory.max", "5000\n");
	expect(5000, "/sys/fs/cgroup/a.slice/memory.max");
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "4000\n");
	expect(4000, "/sys/fs/cgroup/a.slice/b.service/memory.max");
}

Test(machine, a_container_sees_its_group_as_the_root)
{
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "3000\n");
	expect(3000, "/sys/fs/cgroup/memory.max");
	put("/proc/self/cgroup", "0::/not/shown/here\n");
	expect(3000, "/sys/fs/cgroup/memory.max");
}

Test(machine, version_1_has_a_tree_of_its_own)
{
	put("/proc/self/cgroup", "2:cpu,cpuacct:/x\n9:hugetlb,memory:/docker/1f\n0::/x\n");
	put("/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes", "2000\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	expect(2000, "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes");
}

Test(machine, a_limit_above_all_that_there_is_limits_nothing)
{
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "9223372036854771712\n");
	expect(1024000, "/proc/meminfo");
}

Test(machine, what_makes_no_sense_is_passed_over)
{
	put("/proc/self/cgroup", "\n:\n0:\n0::\n0::x\nmemory\n5:memory\n0::/../..\n");
	put("/sys/fs/cgroup/memory.max", "-5\n");
	expect(1024000, "/proc/meminfo");
	put("/proc/meminfo", "nothing\n");
	expect(0, "");
}

Test(machine, whom_the_kernel_has_ended)
{
	cr_expect_eq(machine_oom_kills(root), 0);
	put("/proc/vmstat", "oom_killed 5\noom_kill 3\n");
	cr_expect_eq(machine_oom_kills(root), 3);
	put("/proc/self/cgroup", "9:cpu,memory:/docker/1f\n0::/\n");
	cr_expect_eq(machine_oom_kills(root), 3);
	put("/sys/fs/cgroup/memory/docker/1f/memory.oom_control", "under_oom 0\noom_kill 2\n");
	cr_expect_eq(machine_oom_kills(root), 2);
	put("/proc/self/cgroup", "0::/system.slice/modeld.service\n");
	put("/sys/fs/cgroup/system.slice/modeld.service/memory.events",
		"low 0\noom 4\noom_kill 1\n");
	cr_expect_eq(machine_oom_kills(root), 1);
}

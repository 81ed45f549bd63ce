/* processors_test.c: trees of files as containers have them. */
#include "base/processors.h"

#include <criterion/criterion.h>
#include <sched.h>

#include "../models/tree.h"

static uint32_t all;

static void begin(void)
{
	tree_make();
	all = processors_usable("/nonexistent");
}

TestSuite(processors, .init = begin, .fini = tree_remove);

Test(processors, affinity_alone)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	cr_assert_geq(all, 1);
	cr_assert_geq(cpu, 0);
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	cr_assert_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	cr_expect_eq(processors_usable("/nonexistent"), 1);
}

Test(processors, a_group_that_limits_nothing)
{
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("sys/fs/cgroup/a/cpu.max", "99999900000 100000\n");
	cr_expect_eq(processors_usable(root), all);
}

Test(processors, the_least_counts)
{
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("sys/fs/cgroup/a/cpu.max", "190000 100000\n");
	cr_expect_eq(processors_usable(root), 1, "whole ones");
	put("sys/fs/cgroup/a/cpu.max", "10000 100000\n");
	cr_expect_eq(processors_usable(root), 1, "at least one");
}

Test(processors, the_mount_itself)
{
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/cpu.max", "100000 100000\n");
	cr_expect_eq(processors_usable(root), 1);
}

Test(processors, version_1)
{
	put("proc/self/cgroup", "9:memory:/other\n7:cpuset:/x\n4:cpu,cpuacct:/docker/1f\n");
	put("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us", "100000\n");
	put("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us", "100000\n");
	cr_expect_eq(processors_usable(root), 1);
	put("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us", "-1\n");
	cr_expect_eq(processors_usable(root), all);
}

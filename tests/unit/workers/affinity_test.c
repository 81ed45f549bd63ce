/* affinity_test.c: threads are kept to the processors that a made-up sysfs says are near. */
#include "workers/affinity.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEVICE "bus/pci/devices/0000:1b:00.0"
#define NODES  "devices/system/node"

static char sysfs[64];

/* In the order in which they are made. */
static const char *const directories[] = {
	"bus", "bus/pci", "bus/pci/devices", DEVICE, "devices", "devices/system", NODES};
static const char *const files[] = {DEVICE "/local_cpulist", DEVICE "/numa_node", NODES "/online"};

static const char *full(const char *path)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s", sysfs, path);
	return text;
}

static void put_line(const char *path, const char *line)
{
	FILE *f = fopen(full(path), "we");

	cr_assert_not_null(f);
	fprintf(f, "%s\n", line);
	fclose(f);
}

/* What the kernel says is near 0000:1b:00.0. */
static void make_sysfs(const char *list)
{
	snprintf(sysfs, sizeof(sysfs), "/tmp/affinity-XXXXXX");
	cr_assert_not_null(mkdtemp(sysfs));
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		cr_assert_eq(mkdir(full(directories[i]), 0700), 0, "%s", strerror(errno));
	put_line(DEVICE "/local_cpulist", list);
}

static void remove_sysfs(void)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		remove(full(files[i]));
	for (size_t i = sizeof(directories) / sizeof(directories[0]); i-- > 0;)
		remove(full(directories[i]));
	remove(sysfs);
}

/* The last processor that this thread may run on. */
static int last_allowed(void)
{
	cpu_set_t now;
	int last = -1;

	cr_assert_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &now) ? i : last;
	return last;
}

static bool is_kept_to(pthread_t thread, int cpu)
{
	cpu_set_t now;

	cr_assert_eq(pthread_getaffinity_np(thread, sizeof(now), &now), 0);
	return CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now);
}

static void *wait_for_end(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

Test(affinity, all_threads_are_kept_near, .fini = remove_sysfs)
{
	char text[AFFINITY_TEXT_MAX], list[64];
	pthread_barrier_t end;
	pthread_t thread;
	int cpu = last_allowed();
	cpu_set_t before;

	cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	/* Processors that this process may not use, or this machine has not, are none of it. */
	snprintf(list, sizeof(list), "%d,1020-1023", cpu);
	make_sysfs(list);
	pthread_barrier_init(&end, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, wait_for_end, &end), 0);
	cr_assert_eq(affinity_apply(sysfs, "0000:1B:00.0", text), 0);
	cr_expect_str_eq(text, CPU_COUNT(&before) > 1 ? list : "all");
	cr_expect(is_kept_to(pthread_self(), cpu));
	cr_expect(is_kept_to(thread, cpu));
	/* Once more changes nothing: there is nothing else left. */
	cr_assert_eq(affinity_apply(sysfs, "0000:1B:00.0", text), 0);
	cr_expect_str_eq(text, "all");
	pthread_barrier_wait(&end);
	pthread_join(thread, NULL);
}

Test(affinity, where_none_of_them_may_be_used_all_stays, .fini = remove_sysfs)
{
	char text[AFFINITY_TEXT_MAX];
	cpu_set_t before, after;

	make_sysfs("1022-1023");
	cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	cr_assert_eq(affinity_apply(sysfs, "0000:1b:00.0", text), 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	cr_expect(CPU_EQUAL(&before, &after));
	cr_expect_str_eq(text, "1022-1023");
}

Test(affinity, what_is_not_known)
{
	static const char *const lists[] = {
		"", "x", "3-", "5-2", "1,", "1;2", "0-1024", "99999999999999999999999"};
	char text[AFFINITY_TEXT_MAX];

	cr_expect_eq(affinity_apply("/nowhere", "0000:1b:00.0", text), -ENODATA);
	cr_expect_eq(affinity_apply("/sys", "", text), -ENODATA);
	cr_expect_eq(affinity_apply("/sys", "../../x", text), -ENODATA);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		make_sysfs(lists[i]);
		cr_expect_eq(affinity_apply(sysfs, "0000:1b:00.0", text), -ENODATA, "%s", lists[i]);
		remove_sysfs();
	}
}

Test(affinity, the_node_of_a_device, .fini = remove_sysfs)
{
	static const struct {
		const char *online, *node;
		uint32_t expected;
	} cases[] = {{"0-1", "1", 2}, {"0-1", "0", 1}, {"0,8", "8", 9}, {"0-1023", "1023", 1024},
		{"0", "0", 0}, {"0-1", "-1", 0}, {"0-1", "", 0}, {"0-1", "x", 0},
		{"0-1", "1024", 0}, {"", "1", 0}};

	make_sysfs("0");
	cr_expect_eq(affinity_numa_node(sysfs, "0000:1B:00.0"), 0, "nobody knows");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_line(NODES "/online", cases[i].online);
		put_line(DEVICE "/numa_node", cases[i].node);
		cr_expect_eq(affinity_numa_node(sysfs, "0000:1B:00.0"), cases[i].expected,
			"%s of %s", cases[i].node, cases[i].online);
	}
	cr_expect_eq(affinity_numa_node(sysfs, "0000:1c:00.0"), 0);
	cr_expect_eq(affinity_numa_node(sysfs, ""), 0);
}

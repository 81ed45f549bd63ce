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

static char sysfs[64];

static void make_directory(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	cr_assert_eq(mkdir(full, 0700), 0, "%s: %s", full, strerror(errno));
}

/* What the kernel says is near 0000:1b:00.0. */
static void make_sysfs(const char *list)
{
	char path[256];
	FILE *f;

	snprintf(sysfs, sizeof(sysfs), "/tmp/affinity-XXXXXX");
	cr_assert_not_null(mkdtemp(sysfs));
	make_directory("bus");
	make_directory("bus/pci");
	make_directory("bus/pci/devices");
	make_directory("bus/pci/devices/0000:1b:00.0");
	snprintf(path, sizeof(path), "%s/bus/pci/devices/0000:1b:00.0/local_cpulist", sysfs);
	f = fopen(path, "we");
	cr_assert_not_null(f);
	fprintf(f, "%s\n", list);
	fclose(f);
}

static void remove_sysfs(void)
{
	char command[256];

	snprintf(command, sizeof(command), "%s/bus/pci/devices/0000:1b:00.0/local_cpulist", sysfs);
	remove(command);
	snprintf(command, sizeof(command), "%s/bus/pci/devices/0000:1b:00.0", sysfs);
	remove(command);
	snprintf(command, sizeof(command), "%s/bus/pci/devices", sysfs);
	remove(command);
	snprintf(command, sizeof(command), "%s/bus/pci", sysfs);
	remove(command);
	snprintf(command, sizeof(command), "%s/bus", sysfs);
	remove(command);
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

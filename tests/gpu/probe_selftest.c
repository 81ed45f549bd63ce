/*
 * probe_selftest.c: what of the probe needs no GPU: the numbers, the data, and the processes: a
 * child that maps lent memory, passes a descriptor back, waits, reports; one that hangs; one that
 * crashes; and F_SEAL_WRITE on memory that nobody pins.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/gpu/probe.h"

#define BYTES (1 * MIB)

enum { TEST_TALK, TEST_HANG, TEST_CRASH };

struct verdict {
	unsigned n_passed;
	unsigned n_failed;
};

static void expect(struct verdict *v, bool good, const char *what)
{
	v->n_passed += good;
	v->n_failed += !good;
	if (!good)
		printf("self-test: FAILED: %s\n", what);
}

static void test_numbers(struct verdict *v)
{
	double odd[] = {3, 1, 2};
	double even[] = {4, 1, 3, 2};
	uint64_t n = 7;

	expect(v, median(odd, 3) == 2, "median of an odd number");
	expect(v, median(even, 4) == 2.5, "median of an even number");
	expect(v, parse_number("16", 16, 64, &n) && n == 16, "a number");
	expect(v, !parse_number("15", 16, 64, &n) && n == 16, "a number below the range");
	expect(v, !parse_number("65", 16, 64, &n), "a number above the range");
	expect(v, !parse_number("16x", 16, 64, &n), "a number with a tail");
	expect(v, !parse_number("-1", 0, UINT64_MAX, &n), "a negative number");
	expect(v, !parse_number("99999999999999999999", 0, UINT64_MAX, &n), "an overflow");
	expect(v, !parse_number("", 0, 64, &n), "an empty number");
}

static void test_data(struct verdict *v)
{
	static uint64_t data[512];

	data_fill(data, sizeof(data), 5);
	expect(v, data_check(data, sizeof(data), 5) == sizeof(data), "data is as it was filled");
	expect(v, data_check(data, sizeof(data), 6) == 0, "data of another seed");
	data[511] ^= 1;
	expect(v, data_check(data, sizeof(data), 5) == 511 * sizeof(data[0]), "the last word");
	memset(data, 0, sizeof(data));
	expect(v, data_check(data, sizeof(data), 5) == 0, "zeroes are not data");
}

static void talk(const struct task *task)
{
	struct memory m;
	uint64_t good;

	if (memory_map(&m, MEMORY_FD, BYTES, ACCESS_WRITE) == 0)
		report_bad("a sealed memfd can be mapped writable", 0);
	if (memory_map(&m, MEMORY_FD, BYTES, ACCESS_READ))
		return;
	good = data_check(m.base, BYTES, task->seed);
	if (good < BYTES)
		report_bad("lent memory", good);
	report_mark("mapped", 42, clock_ns(), m.fd);
	wait_go(NULL);
	report_bad("a row of bad data, as expected", 8);
	memory_free(&m);
}

void answer_self_test(const struct task *task)
{
	if (task->mode == TEST_TALK)
		talk(task);
	else if (task->mode == TEST_HANG)
		wait_go(NULL);
	else
		raise(SIGKILL);
}

static void test_talk(struct verdict *v)
{
	struct task task = {.name = "self-test", .label = "talk", .mode = TEST_TALK, .limit_s = 20};
	struct table t = {0};
	struct memory m;
	struct memory again = {.fd = -1};
	struct child c;
	struct row mark;
	int fd = -1;

	task.seed = random_seed();
	if (memory_make(&m, MEMORY_SEALED, BYTES, task.seed)) {
		expect(v, false, "a sealed memfd");
		return;
	}
	child_start(&c, &t, &task, m.fd);
	expect(v, child_mark(&c, &t, "mapped", &mark, &fd) && mark.value == 42, "a mark");
	expect(v, t.n_bad == 0, "lent memory is read-only and holds its data");
	expect(v, fd >= 0 && memory_map(&again, fd, BYTES, ACCESS_READ) == 0, "a descriptor");
	child_go(&c, -1);
	child_end(&c, &t);
	expect(v, t.n_bad == 1 && t.n_rows == 1, "a row after go");
	expect(v, c.reaped_ns >= mark.at_ns && mark.at_ns >= task.spawn_ns, "one clock for all");
	memory_free(&again);
	memory_free(&m);
	close_fd(&fd);
}

/* Each ends with one row that says how. */
static void test_end(struct verdict *v, const char *label, int mode)
{
	struct task task = {.name = "self-test", .mode = mode, .limit_s = 1};
	struct table t = {0};

	snprintf(task.label, sizeof(task.label), "%s", label);
	child_ask(&t, &task, -1);
	expect(v, t.n_rows == 1 && t.n_bad == 0, label);
}

static void test_seal(struct verdict *v)
{
	struct task task = {
		.name = "seal-control", .label = "F_SEAL_WRITE, mapped read-only", .limit_s = 20};
	struct table t = {0};

	child_ask(&t, &task, -1);
	snprintf(task.label, sizeof(task.label), "F_SEAL_WRITE, mapped read-write");
	task.access = ACCESS_WRITE;
	child_ask(&t, &task, -1);
	expect(v, t.n_rows == 2, "F_SEAL_WRITE is tried twice");
}

int self_test(void)
{
	struct verdict v = {0};

	table_heading("Self-test");
	test_numbers(&v);
	test_data(&v);
	test_talk(&v);
	test_end(&v, "a child that hangs", TEST_HANG);
	test_end(&v, "a child that is killed", TEST_CRASH);
	test_seal(&v);
	printf("\nself-test: %u passed, %u failed\n", v.n_passed, v.n_failed);
	return v.n_failed > 0;
}

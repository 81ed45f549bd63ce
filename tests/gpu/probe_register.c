/*
 * probe_register.c: what cudaHostRegister makes of a memfd: how long it takes, by whom and in which
 * mapping it can be done. The memory that is lent stands for the input arena, its borrowers for
 * workers.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/gpu/probe_cuda.h"

#define RUNS 5

static const struct task owned[] = {
	{.label = "plain memfd, mapped read-write", .memory = MEMORY_PLAIN},
	{.label = "sealed memfd, mapped read-write by its owner", .memory = MEMORY_SEALED},
	{.label = "memfd of huge pages, mapped read-write", .memory = MEMORY_HUGE},
};
static const struct task lent[] = {
	{.label = "sealed memfd, lent, mapped read-only, no flag", .access = ACCESS_READ},
	{.label = "sealed memfd, lent, mapped read-only, ReadOnly flag",
		.access = ACCESS_READ,
		.flags = cudaHostRegisterReadOnly},
};

static double per_gib(uint64_t ns, uint64_t bytes)
{
	return (double)ns / (double)NS_PER_S * ((double)GIB / (double)bytes);
}

/* One registration; the times are s/GiB. */
static bool measure(const struct task *task, struct memory *m, double *ret_in, double *ret_out)
{
	uint64_t start = clock_ns();

	if (refused(task->label, cudaHostRegister(m->base, m->bytes, task->flags)))
		return false;
	*ret_in = per_gib(clock_ns() - start, m->bytes);
	check_dma(task->label, m->base, m->bytes, task->seed);
	if (task->mode == MODE_HOLD) {
		report_mark("held", 0, clock_ns(), -1);
		wait_go(NULL);
		check_dma(task->label, m->base, m->bytes, task->seed);
	}
	start = clock_ns();
	if (refused(task->label, cudaHostUnregister(m->base)))
		return false;
	*ret_out = per_gib(clock_ns() - start, m->bytes);
	return true;
}

static void measure_all(const struct task *task, struct memory *m)
{
	size_t n = task->mode == MODE_HOLD ? 1 : RUNS;
	double in[RUNS];
	double out[RUNS];
	char note[64];

	for (size_t i = 0; i < n; i++) {
		if (!measure(task, m, &in[i], &out[i]))
			return;
	}
	snprintf(note, sizeof(note), "unregister %.3g s/GiB", median(out, n));
	report_value(task->label, median(in, n), "s/GiB", note);
}

void answer_register(const struct task *task)
{
	struct memory m = {.fd = -1};
	int r;

	if (task->memory == MEMORY_LENT)
		r = memory_map(&m, MEMORY_FD, task->bytes, task->access);
	else
		r = memory_make(&m, task->memory, task->bytes, task->seed);
	if (r)
		report_errno(task->label, r);
	else if (open_device())
		measure_all(task, &m);
	memory_free(&m);
}

static struct task complete(const struct task *from, uint64_t bytes, uint64_t seed)
{
	struct task task = *from;

	snprintf(task.name, sizeof(task.name), "register");
	task.bytes = bytes;
	task.seed = seed;
	task.limit_s = 180;
	return task;
}

/* The first holds its registration while the second makes its own. */
static void ask_two(struct table *t, const struct task *from, const struct memory *m, uint64_t seed)
{
	struct task task = complete(from, m->bytes, seed);
	struct child c[2];
	struct row mark;
	bool held = true;

	task.memory = MEMORY_LENT;
	task.mode = MODE_HOLD;
	for (size_t i = 0; i < 2; i++) {
		snprintf(task.label, sizeof(task.label), "%.60s, process %zu of 2", from->label,
			i + 1);
		child_start(&c[i], t, &task, m->fd);
		held = child_mark(&c[i], t, "held", &mark, NULL) && held;
	}
	table_text(t, from->label, held ? "both hold it at once" : "not by both at once");
	for (size_t i = 0; i < 2; i++)
		child_go(&c[i], -1);
	for (size_t i = 0; i < 2; i++)
		child_end(&c[i], t);
}

static void ask_lent(struct table *t, uint64_t bytes, uint64_t seed)
{
	struct memory m;
	int r = memory_make(&m, MEMORY_SEALED, bytes, seed);

	if (r) {
		table_text(t, "sealed memfd to lend", err_str(r));
		return;
	}
	for (size_t i = 0; i < sizeof(lent) / sizeof(lent[0]); i++) {
		struct task task = complete(&lent[i], bytes, seed);

		task.memory = MEMORY_LENT;
		child_ask(t, &task, m.fd);
	}
	ask_two(t, &lent[1], &m, seed);
	memory_free(&m);
}

static void ask_writers(struct table *t, uint64_t bytes, uint64_t seed)
{
	static const struct task from = {
		.label = "plain memfd, lent, mapped read-write", .access = ACCESS_WRITE};
	struct memory m;
	int r = memory_make(&m, MEMORY_PLAIN, bytes, seed);

	if (r) {
		table_text(t, from.label, err_str(r));
		return;
	}
	ask_two(t, &from, &m, seed);
	memory_free(&m);
}

void ask_register(struct table *t, uint64_t bytes)
{
	uint64_t seed = random_seed();

	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
		struct task task = complete(&owned[i], bytes, seed);

		child_ask(t, &task, -1);
	}
	ask_lent(t, bytes, seed);
	ask_writers(t, bytes, seed);
}

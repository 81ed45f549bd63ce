/*
 * probe_contention.c: two processes on one GPU copy from the same registered pages at once, against
 * one alone. Each copies a series back to back, lest the two miss each other; the target is
 * scrubbed before the series and checked after it.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/gpu/probe_cuda.h"

#define BYTES  (64 * MIB)
#define COPIES 256
#define SCRUB  0xa5

static bool run_series(const struct task *task, void *device, const void *host)
{
	cudaStream_t stream;
	uint64_t start;

	if (refused(task->label, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)) ||
		refused(task->label, cudaMemset(device, SCRUB, BYTES)) ||
		refused(task->label, cudaDeviceSynchronize()))
		return false;
	report_mark("ready", 0, 0, -1);
	wait_go(NULL);
	start = clock_ns();
	for (int i = 0; i < COPIES; i++) {
		if (refused(task->label,
			    cudaMemcpyAsync(device, host, BYTES, cudaMemcpyHostToDevice, stream)))
			return false;
	}
	if (refused(task->label, cudaStreamSynchronize(stream)))
		return false;
	/* The mark is at the end of the series, its value the length. */
	report_mark("copied", (double)(clock_ns() - start), clock_ns(), -1);
	return true;
}

static void copy_and_check(const struct task *task, const void *host, void *back)
{
	void *device;
	uint64_t good;

	if (!device_alloc(&device, BYTES, 2) || !run_series(task, device, host) ||
		refused(task->label, cudaMemcpy(back, device, BYTES, cudaMemcpyDeviceToHost)))
		return;
	good = data_check(back, BYTES, task->seed);
	if (good < BYTES)
		report_bad(task->label, good);
}

void answer_contention(const struct task *task)
{
	_cleanup_(freep) void *back = malloc(BYTES);
	struct memory m = {.fd = -1};
	int r = back ? memory_map(&m, MEMORY_FD, BYTES, task->access) : -ENOMEM;

	if (r)
		report_errno(task->label, r);
	else if (open_device() &&
		 !refused(task->label, cudaHostRegister(m.base, BYTES, task->flags)))
		copy_and_check(task, m.base, back);
	memory_free(&m);
}

/* GB/s of n processes together, from the first start to the last end; 0: one of them failed. */
static double series(struct table *t, struct task *task, int fd, size_t n)
{
	struct child c[2];
	struct row mark;
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;
	size_t done = 0;
	size_t ready = 0;

	for (size_t i = 0; i < n; i++)
		child_start(&c[i], t, task, fd);
	for (size_t i = 0; i < n; i++)
		ready += child_mark(&c[i], t, "ready", &mark, NULL);
	for (size_t i = 0; ready == n && i < n; i++)
		child_go(&c[i], -1);
	for (size_t i = 0; ready == n && i < n; i++) {
		if (!child_mark(&c[i], t, "copied", &mark, NULL))
			continue;
		done++;
		if (mark.at_ns > end)
			end = mark.at_ns;
		if (mark.at_ns - (uint64_t)mark.value < start)
			start = mark.at_ns - (uint64_t)mark.value;
	}
	for (size_t i = 0; i < n; i++) {
		if (ready < n) /* it may wait for the other: let it see the end of file */
			close_fd(&c[i].channel);
		child_end(&c[i], t);
	}
	return done == n ? (double)(n * COPIES * BYTES) / (double)(end - start) : 0;
}

static void ask_pair(struct table *t, struct task *task, int fd)
{
	double alone = series(t, task, fd, 1);
	double both = alone > 0 ? series(t, task, fd, 2) : 0;
	char what[96];
	char note[64];

	if (alone > 0)
		table_value(
			t, labelled(what, sizeof(what), task, "one process"), alone, "GB/s", NULL);
	if (both <= 0)
		return;
	snprintf(note, sizeof(note), "%.2f of one alone", both / alone);
	table_value(t, labelled(what, sizeof(what), task, "two, together"), both, "GB/s", note);
}

void ask_contention(struct table *t)
{
	static const struct task tasks[] = {
		{.label = "mapped read-only, ReadOnly flag",
			.access = ACCESS_READ,
			.flags = cudaHostRegisterReadOnly},
		{.label = "mapped read-write", .access = ACCESS_WRITE},
	};
	uint64_t seed = random_seed();
	struct memory m;
	int r = memory_make(&m, MEMORY_PLAIN, BYTES, seed);

	if (r) {
		table_text(t, "memfd to lend", err_str(r));
		return;
	}
	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		struct task task = tasks[i];

		snprintf(task.name, sizeof(task.name), "contention");
		task.seed = seed;
		task.limit_s = 120;
		ask_pair(t, &task, m.fd);
	}
	memory_free(&m);
}

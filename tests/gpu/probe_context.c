/*
 * probe_context.c: what a context costs that nothing is done with: time, and memory on the device,
 * as another process sees it go.
 */
#include "base/clock.h"
#include "tests/gpu/probe_cuda.h"

#define RUNS 5

void answer_context(const struct task *task)
{
	uint64_t start = clock_ns();

	if (!open_device())
		return;
	/* The value is what CUDA took, the time is for what the asker counts from the spawn. */
	report_mark("context", (double)(clock_ns() - start), clock_ns(), -1);
	if (task->mode == MODE_HOLD)
		wait_go(NULL);
}

/* Tells how much less is free after the other process has its context. */
void answer_watch(const struct task *task)
{
	size_t before;
	size_t after;
	size_t total;

	if (!open_device() || refused(task->label, cudaMemGetInfo(&before, &total)))
		return;
	report_mark("watching", 0, 0, -1);
	wait_go(NULL);
	if (refused(task->label, cudaMemGetInfo(&after, &total)))
		return;
	report_value(task->label, ((double)before - (double)after) / (double)MIB, "MiB",
		"right only if nobody else uses the GPU");
}

static void ask_times(struct table *t)
{
	struct task task = {.name = "context", .label = "context", .limit_s = 60};
	double from_spawn[RUNS];
	double in_cuda[RUNS];

	for (size_t i = 0; i < RUNS; i++) {
		struct row mark;

		if (!child_ask_mark(t, &task, "context", &mark))
			return;
		from_spawn[i] = (double)(mark.at_ns - task.spawn_ns) / NS_PER_MS;
		in_cuda[i] = mark.value / NS_PER_MS;
	}
	table_value(t, "fresh process: spawn to context", median(from_spawn, RUNS), "ms", NULL);
	table_value(t, "of it in cudaSetDevice and cudaFree(0)", median(in_cuda, RUNS), "ms", NULL);
}

static void ask_memory(struct table *t)
{
	struct task watch = {
		.name = "watch", .label = "device memory of a bare context", .limit_s = 60};
	struct task hold = {
		.name = "context", .label = "context", .mode = MODE_HOLD, .limit_s = 60};
	struct child watcher;
	struct child holder;
	struct row mark;

	child_start(&watcher, t, &watch, -1);
	if (child_mark(&watcher, t, "watching", &mark, NULL)) {
		child_start(&holder, t, &hold, -1);
		if (child_mark(&holder, t, "context", &mark, NULL))
			child_go(&watcher, -1);
		else
			close_fd(&watcher.channel);
		child_end(&watcher, t);
		child_go(&holder, -1);
		child_end(&holder, t);
	} else {
		child_end(&watcher, t);
	}
}

void ask_context(struct table *t)
{
	ask_times(t);
	ask_memory(t);
}

/*
 * probe_fault.c: a kernel writes out of bounds. What the process hears of it, and how long it is
 * until a new process has a context and a finished kernel: what a crash costs besides the model.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/gpu/probe_cuda.h"

#define EXIT_FAULT 42
#define VALUE	   0x51ed270bu

static CUresult launch(
	const struct driver *d, CUfunction kernel, void *to, long long words, CUstream stream)
{
	unsigned value = VALUE;
	void *arguments[] = {&to, &words, &value};

	return d->launch_kernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL);
}

/* A context and the kernel. */
static bool prepare(struct driver *d, CUfunction *ret_kernel, void **ret_device)
{
	return open_device() && driver_open(d) && driver_kernel(d, "store", ret_kernel) &&
	       device_alloc(ret_device, 4 * KIB, 1);
}

static void report_seen(const struct task *task, const char *by, cudaError_t e, uint64_t since_ns)
{
	char what[96];
	char note[48];

	snprintf(note, sizeof(note), "%.3g ms after the launch",
		(double)(clock_ns() - since_ns) / NS_PER_MS);
	report_text(labelled(what, sizeof(what), task, by), cudaGetErrorName(e), note);
}

/* Address space that is mapped for nobody, so that no system takes the write for a good one. */
static bool out_of_bounds(void *device, long long *ret_words)
{
	void *nowhere =
		mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (nowhere == MAP_FAILED)
		return false;
	*ret_words = ((intptr_t)nowhere - (intptr_t)device) / (long long)sizeof(unsigned);
	return true;
}

static cudaError_t query_until_done(cudaEvent_t event)
{
	cudaError_t e;

	do
		e = cudaEventQuery(event);
	while (e == cudaErrorNotReady);
	return e;
}

static void observe(const struct task *task, cudaStream_t stream, cudaEvent_t event, uint64_t start)
{
	void *more = NULL;

	if (task->mode == MODE_QUERY) {
		report_seen(task, "event query", query_until_done(event), start);
		report_seen(task, "synchronise, after that", cudaStreamSynchronize(stream), start);
	} else {
		report_seen(task, "synchronise", cudaStreamSynchronize(stream), start);
		report_seen(task, "event query, after that", cudaEventQuery(event), start);
	}
	report_seen(task, "the next call (cudaMalloc)", cudaMalloc(&more, 4 * KIB), start);
	report_seen(task, "cudaGetLastError", cudaGetLastError(), start);
	report_seen(task, "cudaMalloc after that", cudaMalloc(&more, 4 * KIB), start);
}

void answer_fault(const struct task *task)
{
	struct driver d;
	CUfunction kernel;
	cudaStream_t stream;
	cudaEvent_t event;
	void *device;
	long long words;
	uint64_t start;

	if (!prepare(&d, &kernel, &device) ||
		refused("stream", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)) ||
		refused("event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming)) ||
		!out_of_bounds(device, &words))
		return;
	start = clock_ns();
	if (driver_refused(&d, task->label, launch(&d, kernel, device, words, stream)) ||
		refused(task->label, cudaEventRecord(event, stream)))
		return;
	observe(task, stream, event, start);
	report_mark("launched", 0, start, -1);
	report_mark("leaving", 0, clock_ns(), -1);
	_exit(EXIT_FAULT);
}

void answer_restart(const struct task *task)
{
	struct driver d;
	CUfunction kernel;
	unsigned value = 0;
	void *device;

	if (!open_device())
		return;
	report_mark("context", 0, clock_ns(), -1);
	if (!prepare(&d, &kernel, &device) ||
		driver_refused(&d, task->label, launch(&d, kernel, device, 0, NULL)) ||
		refused(task->label, cudaDeviceSynchronize()))
		return;
	report_mark("kernel", 0, clock_ns(), -1);
	if (!refused(task->label,
		    cudaMemcpy(&value, device, sizeof(value), cudaMemcpyDeviceToHost)) &&
		value != VALUE)
		report_bad(task->label, 0);
}

static void since(struct table *t, const struct task *task, const char *what, uint64_t from_ns,
	uint64_t to_ns)
{
	char text[96];

	table_value(t, labelled(text, sizeof(text), task, what),
		(double)(to_ns - from_ns) / NS_PER_MS, "ms", NULL);
}

static void ask_restart(struct table *t, const struct task *fault, uint64_t launched_ns)
{
	struct task task = *fault;
	struct child c;
	struct row mark;

	snprintf(task.name, sizeof(task.name), "restart");
	child_start(&c, t, &task, -1);
	if (child_mark(&c, t, "context", &mark, NULL)) {
		since(t, &task, "new process: spawn to context", task.spawn_ns, mark.at_ns);
		since(t, &task, "fault to the new process's context", launched_ns, mark.at_ns);
	}
	if (child_mark(&c, t, "kernel", &mark, NULL))
		since(t, &task, "fault to its first finished kernel", launched_ns, mark.at_ns);
	child_end(&c, t);
}

static void ask_mode(struct table *t, struct task *task)
{
	struct child c;
	struct row launched;
	struct row leaving;
	bool faulted;

	child_start(&c, t, task, -1);
	faulted = child_mark(&c, t, "launched", &launched, NULL) &&
		  child_mark(&c, t, "leaving", &leaving, NULL);
	child_end(&c, t);
	if (!faulted || !c.reaped_ns)
		return;
	since(t, task, "fault to _exit", launched.at_ns, leaving.at_ns);
	since(t, task, "_exit to reaped", leaving.at_ns, c.reaped_ns);
	ask_restart(t, task, launched.at_ns);
}

void ask_fault(struct table *t)
{
	struct task first = {.name = "fault",
		.label = "synchronise first",
		.mode = MODE_SYNCHRONISE,
		.limit_s = 60};
	struct task second = first;

	ask_mode(t, &first);
	snprintf(second.label, sizeof(second.label), "query first");
	second.mode = MODE_QUERY;
	ask_mode(t, &second);
}

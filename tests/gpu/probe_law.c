/*
 * probe_law.c: "a process writes only the memory it owns" (docs/design.md), for a process with a
 * GPU. A child registers memory of the asker's in each way that might do for a worker, tells
 * whether the GPU sees what the asker writes afterwards, and then tries to write through it: by a
 * copy to the host, and from the device. The asker looks whether its pages changed.
 *
 * What a child is refused or dies of here is an answer, not a failure.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/err.h"
#include "tests/gpu/probe_cuda.h"

#define BYTES	(4 * MIB)
#define PATTERN 0x5a

static const struct way {
	const char *label;
	enum memory_kind kind;
	enum memory_access access;
	unsigned flags;
} ways[] = {
	{"read-only, ReadOnly flag", MEMORY_SEALED, ACCESS_READ, cudaHostRegisterReadOnly},
	{"read-only, no flag", MEMORY_SEALED, ACCESS_READ, 0},
	{"private copy-on-write, no flag", MEMORY_SEALED, ACCESS_PRIVATE, 0},
	{"read-write, registered, then mprotect(PROT_READ)", MEMORY_PLAIN, ACCESS_REVOKED, 0},
	{"read-write", MEMORY_PLAIN, ACCESS_WRITE, 0},
};

/* The asker has written new data since the registration: does the GPU read that? */
static void report_view(const struct task *task, const struct memory *m, void *device, void *back)
{
	char what[96];
	const char *text = "neither what the owner wrote before nor after";

	labelled(what, sizeof(what), task, "the GPU reads");
	if (refused(what, cudaMemcpy(device, m->base, BYTES, cudaMemcpyHostToDevice)) ||
		refused(what, cudaMemcpy(back, device, BYTES, cudaMemcpyDeviceToHost)))
		return;
	if (data_check(back, BYTES, task->seed + 1) == BYTES)
		text = "what the owner wrote since";
	else if (data_check(back, BYTES, task->seed) == BYTES)
		text = "a copy from when it was registered";
	report_text(what, text, NULL);
}

static void write_by_copy(const struct task *task, const struct memory *m, void *device)
{
	char what[96];

	labelled(what, sizeof(what), task, "copy from device to it");
	if (refused(what, cudaMemset(device, PATTERN, BYTES)) ||
		refused(what, cudaMemcpy(m->base, device, BYTES, cudaMemcpyDeviceToHost)) ||
		refused(what, cudaDeviceSynchronize()))
		return;
	report_text(what, "no error", NULL);
}

static void write_by_device(const struct task *task, const struct memory *m)
{
	char what[96];
	void *alias;

	labelled(what, sizeof(what), task, "memset by the device");
	if (refused(what, cudaHostGetDevicePointer(&alias, m->base, 0)) ||
		refused(what, cudaMemset(alias, PATTERN, BYTES)) ||
		refused(what, cudaDeviceSynchronize()))
		return;
	report_text(what, "no error", NULL);
}

static void try_way(const struct task *task, const struct memory *m, void *back)
{
	void *device;

	if (!device_alloc(&device, BYTES, 1) ||
		refused(task->label, cudaHostRegister(m->base, BYTES, task->flags)))
		return;
	if (task->access == ACCESS_REVOKED && mprotect(m->base, BYTES, PROT_READ) < 0) {
		report_refused(task->label, "mprotect");
		return;
	}
	report_mark("registered", 0, 0, -1);
	wait_go(NULL);
	if (task->mode == MODE_WRITE_COPY) {
		report_view(task, m, device, back);
		write_by_copy(task, m, device);
	} else {
		write_by_device(task, m);
	}
}

void answer_law(const struct task *task)
{
	_cleanup_(freep) void *back = malloc(BYTES);
	struct memory m = {.fd = -1};
	int r = back ? memory_map(&m, MEMORY_FD, BYTES, task->access) : -ENOMEM;

	if (r)
		report_errno(task->label, r);
	else if (open_device())
		try_way(task, &m, back);
	memory_free(&m);
}

/* Did the owner's pages stay what the owner wrote? */
static void judge(struct table *t, const struct task *task, const struct memory *m)
{
	char what[96];

	labelled(what, sizeof(what), task,
		task->mode == MODE_WRITE_COPY ? "owner's pages after the copy"
					      : "owner's pages after the memset");
	table_text(t, what,
		data_check(m->base, BYTES, task->seed + 1) == BYTES ? "as they were" : "WRITTEN");
}

/* False: it could not be registered. */
static bool ask_way(struct table *t, const struct way *way, int mode)
{
	struct task task = {.name = "law",
		.access = way->access,
		.flags = way->flags,
		.mode = mode,
		.limit_s = 60,
		.seed = random_seed()};
	struct memory m;
	struct child c;
	struct row mark;
	bool registered;
	int r = memory_make(&m, way->kind, BYTES, task.seed);

	if (r) {
		table_text(t, way->label, err_str(r));
		return false;
	}
	snprintf(task.label, sizeof(task.label), "%s", way->label);
	child_start(&c, t, &task, m.fd);
	registered = child_mark(&c, t, "registered", &mark, NULL);
	if (registered) {
		data_fill(m.base, BYTES, task.seed + 1);
		child_go(&c, -1);
	}
	child_end(&c, t);
	/* Only now: the GPU may write until the process is reaped. */
	if (registered)
		judge(t, &task, &m);
	memory_free(&m);
	return registered;
}

void ask_law(struct table *t)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (ask_way(t, &ways[i], MODE_WRITE_COPY))
			ask_way(t, &ways[i], MODE_WRITE_DEVICE);
	}
}

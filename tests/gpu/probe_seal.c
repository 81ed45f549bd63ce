/*
 * probe_seal.c: F_SEAL_WRITE, which the kernel refuses while anybody maps the pages writable or,
 * as far as its source tells, holds a pin on them. So that a pin is all that can be in the way, the
 * memory is mapped from a descriptor opened read-only; the control shows that this passes unpinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/gpu/probe_cuda.h"

#define BYTES (16 * MIB)

static void try_seal(const struct task *task, const char *when, int fd)
{
	char what[96];
	char note[32];
	uint64_t start = clock_ns();
	const char *text =
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 ? strerrorname_np(errno) : "accepted";

	snprintf(note, sizeof(note), "%.3g ms", (double)(clock_ns() - start) / NS_PER_MS);
	labelled(what, sizeof(what), task, when);
	report_text(what, text, note);
}

/* ret_fd: the memfd, own. */
static int make_read_only(struct memory *ret_m, uint64_t seed, int *ret_fd)
{
	struct memory writable;
	char path[32];
	int reader;
	int r = memory_make(&writable, MEMORY_PLAIN, BYTES, seed);

	if (r)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writable.fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	r = reader < 0 ? -errno : memory_map(ret_m, reader, BYTES, ACCESS_READ);
	close_fd(&reader);
	if (!r)
		*ret_fd = steal_fd(&writable.fd);
	memory_free(&writable);
	return r;
}

static int make_plain(struct memory *ret_m, uint64_t seed, int *ret_fd)
{
	int r = memory_make(ret_m, MEMORY_PLAIN, BYTES, seed);

	if (!r)
		*ret_fd = ret_m->fd;
	return r;
}

/* False: it could not be made, and a row says why. */
static bool make(const struct task *task, struct memory *ret_m, int *ret_fd)
{
	int r = task->access == ACCESS_READ ? make_read_only(ret_m, task->seed, ret_fd)
					    : make_plain(ret_m, task->seed, ret_fd);

	if (r)
		report_errno(task->label, r);
	return r == 0;
}

void answer_seal_control(const struct task *task)
{
	struct memory m;
	int fd;

	if (!make(task, &m, &fd))
		return;
	try_seal(task, "not registered", fd);
	/* Leaving frees the memory. */
}

void answer_seal(const struct task *task)
{
	struct memory m;
	int fd;

	if (!make(task, &m, &fd) || !open_device() ||
		refused(task->label, cudaHostRegister(m.base, m.bytes, task->flags)))
		return;
	check_dma(task->label, m.base, m.bytes, task->seed);
	try_seal(task, "registered", fd);
	check_dma(task->label, m.base, m.bytes, task->seed);
	if (refused(task->label, cudaHostUnregister(m.base)))
		return;
	try_seal(task, "after unregistering", fd);
	munmap(m.base, m.bytes);
	try_seal(task, "after munmap, too", fd);
}

void ask_seal(struct table *t)
{
	static const struct task tasks[] = {
		{.name = "seal-control", .label = "F_SEAL_WRITE, mapped read-only"},
		{.name = "seal",
			.label = "F_SEAL_WRITE, mapped read-only, ReadOnly flag",
			.flags = cudaHostRegisterReadOnly},
		{.name = "seal-control",
			.label = "F_SEAL_WRITE, mapped read-write",
			.access = ACCESS_WRITE},
		{.name = "seal",
			.label = "F_SEAL_WRITE, mapped read-write",
			.access = ACCESS_WRITE},
	};

	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		struct task task = tasks[i];

		task.seed = random_seed();
		task.limit_s = 60;
		child_ask(t, &task, -1);
	}
}

/*
 * probe_copy.c: copies between host and device, from each kind of host memory that a worker could
 * have its inputs in. A copy is what a worker would wait for: asynchronous, on a stream of its own,
 * then synchronised. The target is scrubbed before and checked after each.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/gpu/probe_cuda.h"

#define BYTES_MAX   (256 * MIB)
#define STAGE_BYTES (1 * MIB)
#define RUNS_LARGE  9
#define RUNS_SMALL  101
#define SCRUB	    0xa5

static const uint64_t sizes[] = {4 * KIB, 64 * KIB, 1 * MIB, 16 * MIB, 256 * MIB};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct copier {
	void *device;	       /* own */
	void *back;	       /* own: where the device's memory is looked at */
	cudaStream_t stream;   /* own */
	void *stage[2];	       /* own: pinned */
	cudaEvent_t staged[2]; /* own: stage[i] may be written again */
	uint64_t bytes;
	uint64_t in_seed;
	uint64_t out_seed;
	double best[2][N_SIZES]; /* GB/s of cudaMallocHost: to the device, to the host */
};

struct source {
	const char *name;
	uint8_t *host; /* borrow */
	bool staged;
	bool no_output;
	bool is_reference; /* cudaMallocHost, which the others are compared with */
};

/* Two pinned buffers by turns: the processor fills one while the device reads the other. */
static cudaError_t copy_staged(struct copier *c, const uint8_t *host, uint64_t bytes)
{
	uint8_t *to = c->device;
	cudaError_t e = cudaSuccess;

	for (uint64_t at = 0; e == cudaSuccess && at < bytes; at += STAGE_BYTES) {
		uint64_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
		size_t i = at / STAGE_BYTES % 2;

		e = cudaEventSynchronize(c->staged[i]);
		if (e != cudaSuccess)
			break;
		memcpy(c->stage[i], host + at, n);
		e = cudaMemcpyAsync(to + at, c->stage[i], n, cudaMemcpyHostToDevice, c->stream);
		if (e == cudaSuccess)
			e = cudaEventRecord(c->staged[i], c->stream);
	}
	return e;
}

static cudaError_t copy_in(struct copier *c, const struct source *s, uint64_t bytes)
{
	cudaError_t e;

	if (s->staged)
		e = copy_staged(c, s->host, bytes);
	else
		e = cudaMemcpyAsync(c->device, s->host, bytes, cudaMemcpyHostToDevice, c->stream);
	return e == cudaSuccess ? cudaStreamSynchronize(c->stream) : e;
}

/* GB/s; negative: reported. */
static double one_in(struct copier *c, const struct source *s, uint64_t bytes, const char *what)
{
	uint64_t start;
	uint64_t good;
	double ns;

	if (refused(what, cudaMemset(c->device, SCRUB, bytes)) ||
		refused(what, cudaDeviceSynchronize()))
		return -1;
	start = clock_ns();
	if (refused(what, copy_in(c, s, bytes)))
		return -1;
	ns = (double)(clock_ns() - start);
	if (refused(what, cudaMemcpy(c->back, c->device, bytes, cudaMemcpyDeviceToHost)))
		return -1;
	good = data_check(c->back, bytes, c->in_seed);
	if (good == bytes)
		return (double)bytes / ns;
	report_bad(what, good);
	return -1;
}

static double one_out(struct copier *c, const struct source *s, uint64_t bytes, const char *what)
{
	uint64_t start;
	uint64_t good;
	double ns;

	memset(s->host, SCRUB, bytes);
	start = clock_ns();
	if (refused(what, cudaMemcpyAsync(
				  s->host, c->device, bytes, cudaMemcpyDeviceToHost, c->stream)) ||
		refused(what, cudaStreamSynchronize(c->stream)))
		return -1;
	ns = (double)(clock_ns() - start);
	good = data_check(s->host, bytes, c->out_seed);
	if (good == bytes)
		return (double)bytes / ns;
	report_bad(what, good);
	return -1;
}

static const char *size_text(char *to, size_t cap, uint64_t bytes)
{
	if (bytes < MIB)
		snprintf(to, cap, "%ju KiB", (uintmax_t)(bytes / KIB));
	else
		snprintf(to, cap, "%ju MiB", (uintmax_t)(bytes / MIB));
	return to;
}

/* One row; false: it makes no sense to go on. */
static bool measure_size(struct copier *c, const struct source *s, bool out, size_t i)
{
	size_t n = sizes[i] < 16 * MIB ? RUNS_SMALL : RUNS_LARGE;
	double *best = &c->best[out][i];
	double speeds[RUNS_SMALL];
	char size[32];
	char what[96];
	char note[64] = "";

	snprintf(what, sizeof(what), "%s, %s, %s", out ? "to host" : "to device",
		size_text(size, sizeof(size), sizes[i]), s->name);
	for (size_t k = 0; k < n; k++) {
		speeds[k] = out ? one_out(c, s, sizes[i], what) : one_in(c, s, sizes[i], what);
		if (speeds[k] < 0)
			return false;
	}
	if (s->is_reference)
		*best = median(speeds, n);
	else if (*best > 0)
		snprintf(note, sizeof(note), "%.2f of cudaMallocHost", median(speeds, n) / *best);
	report_value(what, median(speeds, n), "GB/s", note);
	return true;
}

static void measure_source(struct copier *c, const struct source *s)
{
	for (size_t i = 0; i < N_SIZES; i++) {
		if (sizes[i] <= c->bytes && !measure_size(c, s, false, i))
			return;
	}
	if (s->no_output)
		return;
	/* From memory that no source is: what the device holds is no source's doing. */
	data_fill(c->back, c->bytes, c->out_seed);
	if (refused(s->name, cudaMemcpy(c->device, c->back, c->bytes, cudaMemcpyHostToDevice)) ||
		refused(s->name, cudaDeviceSynchronize()))
		return;
	for (size_t i = 0; i < N_SIZES; i++) {
		if (sizes[i] <= c->bytes && !measure_size(c, s, true, i))
			return;
	}
}

static void measure_pinned(struct copier *c)
{
	struct source s = {.name = "cudaMallocHost", .is_reference = true};
	void *host;

	if (refused(s.name, cudaMallocHost(&host, c->bytes)))
		return;
	data_fill(host, c->bytes, c->in_seed);
	s.host = host;
	measure_source(c, &s);
	refused(s.name, cudaFreeHost(host));
}

static void measure_pageable(struct copier *c)
{
	_cleanup_(freep) void *host = malloc(c->bytes);
	struct source s = {.name = "malloc", .host = host};

	if (!host) {
		report_errno(s.name, -ENOMEM);
		return;
	}
	data_fill(host, c->bytes, c->in_seed);
	measure_source(c, &s);
}

static void measure_own(struct copier *c)
{
	struct source s = {.name = "memfd, read-write, not registered"};
	struct memory m;
	int r = memory_make(&m, MEMORY_SEALED, c->bytes, c->in_seed);

	if (r) {
		report_errno(s.name, r);
		return;
	}
	s.host = m.base;
	measure_source(c, &s);
	s.name = "memfd, read-write, registered";
	data_fill(m.base, c->bytes, c->in_seed);
	if (!refused(s.name, cudaHostRegister(m.base, c->bytes, cudaHostRegisterDefault))) {
		measure_source(c, &s);
		refused(s.name, cudaHostUnregister(m.base));
	}
	memory_free(&m);
}

/* As a worker has the input arena. */
static void measure_lent(struct copier *c)
{
	struct source s = {.name = "lent memfd, read-only, not registered", .no_output = true};
	struct memory m;
	int r = memory_map(&m, MEMORY_FD, c->bytes, ACCESS_READ);

	if (r) {
		report_errno(s.name, r);
		return;
	}
	s.host = m.base;
	measure_source(c, &s);
	s.name = "lent memfd, read-only, through 2 pinned buffers of 1 MiB";
	s.staged = true;
	measure_source(c, &s);
	s.name = "lent memfd, read-only, registered with ReadOnly flag";
	s.staged = false;
	if (!refused(s.name, cudaHostRegister(m.base, c->bytes, cudaHostRegisterReadOnly))) {
		measure_source(c, &s);
		refused(s.name, cudaHostUnregister(m.base));
	}
	memory_free(&m);
}

/* The largest size that the device has room for. */
static bool room(struct copier *c)
{
	size_t unused;
	size_t total;

	if (refused("cudaMemGetInfo", cudaMemGetInfo(&unused, &total)))
		return false;
	for (size_t i = 0; i < N_SIZES; i++) {
		if (sizes[i] <= unused / 4)
			c->bytes = sizes[i];
	}
	return device_alloc(&c->device, c->bytes, 1);
}

static bool prepare(struct copier *c)
{
	if (!open_device() || !room(c) ||
		refused("stream", cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking)))
		return false;
	for (size_t i = 0; i < 2; i++) {
		if (refused("stage", cudaMallocHost(&c->stage[i], STAGE_BYTES)) ||
			refused("event",
				cudaEventCreateWithFlags(&c->staged[i], cudaEventDisableTiming)))
			return false;
	}
	c->back = malloc(c->bytes);
	if (!c->back)
		report_errno("memory to check with", -ENOMEM);
	return c->back != NULL;
}

/* What is left open goes with the process. */
void answer_copy(const struct task *task)
{
	struct copier c = {.in_seed = task->seed, .out_seed = ~task->seed};

	if (!prepare(&c))
		return;
	measure_pinned(&c);
	measure_pageable(&c);
	measure_own(&c);
	measure_lent(&c);
	free(c.back);
}

void ask_copy(struct table *t)
{
	struct task task = {
		.name = "copy", .label = "copies", .limit_s = 600, .seed = random_seed()};
	struct memory m;
	int r = memory_make(&m, MEMORY_SEALED, BYTES_MAX, task.seed);

	if (r) {
		table_text(t, "memfd to lend", err_str(r));
		return;
	}
	child_ask(t, &task, m.fd);
	memory_free(&m);
}

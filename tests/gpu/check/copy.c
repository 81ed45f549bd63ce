/*
 * copy.c: what a lane's copies take (transfer.h), by where the host's memory is: registered, staged, or
 * left to the driver; each beside a plain copy of memory that the runtime made.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/gpu/check/check.h"
#include "workers/transfer.h"

#define LARGEST (256 * MIB)

struct bed {
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
	struct transfer *t;
	void *there;
	void *runtimes; /* page-locked by the runtime */
	void *written;	/* a segment, mapped read-write */
	void *read;	/* the same, mapped read-only */
};

static int bed_open(struct bed *b)
{
	char text[DEVICE_TEXT_MAX];
	int r = device_open(&b->d, "cuda:0", text);

	if (!r)
		r = device_stream_new(b->d, &b->s);
	if (!r)
		r = device_event_new(b->d, &b->e);
	if (!r)
		r = transfer_new(&b->t, b->d, DEVICE_PRIORITY_NORMAL);
	if (!r)
		r = device_alloc(b->s, LARGEST, &b->there);
	if (!r)
		r = device_host_alloc(b->d, LARGEST, &b->runtimes);
	if (r || check_segment(LARGEST, &b->written, &b->read))
		return -1;
	memset(b->written, 1, LARGEST);
	return 0;
}

static int finish(struct bed *b)
{
	int r = device_event_record(b->e, b->s);

	return r ? r : device_event_wait(b->e, CLOCK_NO_DEADLINE);
}

static int raw_in(struct bed *b, void *host, uint64_t bytes)
{
	int r = device_copy_in(b->s, b->there, host, bytes);

	return r ? r : finish(b);
}

static int raw_out(struct bed *b, void *host, uint64_t bytes)
{
	int r = device_copy_out(b->s, host, b->there, bytes);

	return r ? r : finish(b);
}

static int lane_in(struct bed *b, void *host, uint64_t bytes, bool pinned)
{
	struct transfer_input input = {.bytes = bytes};
	struct transfer_part part = {.data = host, .bytes = bytes, .pinned = pinned};
	int r;

	transfer_begin(b->t, CLOCK_NO_DEADLINE);
	r = transfer_in(b->t, &input, 1, &part, 1);
	if (!r)
		r = transfer_finish(b->t);
	return r ? r : transfer_end(b->t);
}

static int lane_out(struct bed *b, void *host, uint64_t bytes, bool pinned)
{
	int r;

	transfer_begin(b->t, CLOCK_NO_DEADLINE);
	r = transfer_out(b->t, host, b->there, bytes, pinned);
	if (!r)
		r = transfer_finish(b->t);
	return r ? r : transfer_end(b->t);
}

static int in_pinned(struct bed *b, void *host, uint64_t bytes)
{
	return lane_in(b, host, bytes, true);
}

static int in_staged(struct bed *b, void *host, uint64_t bytes)
{
	return lane_in(b, host, bytes, false);
}

static int out_pinned(struct bed *b, void *host, uint64_t bytes)
{
	return lane_out(b, host, bytes, true);
}

static int out_staged(struct bed *b, void *host, uint64_t bytes)
{
	return lane_out(b, host, bytes, false);
}

/* GB/s, by the median. 0: refused. */
static double rate(struct check *c, struct bed *b,
	int (*copy)(struct bed *b, void *host, uint64_t bytes), void *host, uint64_t bytes)
{
	uint64_t end_ns = clock_ns() + c->measure_ns / 2;
	size_t n = 0;

	if (copy(b, host, bytes))
		return 0;
	while (n < 5 || (n < 2000 && clock_ns() < end_ns)) {
		uint64_t start_ns = clock_ns();

		if (copy(b, host, bytes))
			return 0;
		c->samples[n++] = (double)(clock_ns() - start_ns);
	}
	return (double)bytes / check_median(c, n);
}

static void say(
	struct check *c, const char *what, uint64_t bytes, double value, double base, double wanted)
{
	struct ratio r = {.value = value, .base = base, .wanted = wanted};

	if (bytes < MIB)
		snprintf(r.what, sizeof(r.what), "%s, %d KiB", what, (int)(bytes / KIB));
	else
		snprintf(r.what, sizeof(r.what), "%s, %d MiB", what, (int)(bytes / MIB));
	snprintf(r.beside, sizeof(r.beside), "cudaMallocHost");
	snprintf(r.unit, sizeof(r.unit), "GB/s");
	check_ratio(c, &r);
}

/* The driver does as it likes with memory that nobody registered. */
static void unregistered(struct check *c, struct bed *b, uint64_t bytes, double in, double out)
{
	say(c, "to device, pageable segment", bytes, rate(c, b, raw_in, b->read, bytes), in, 0);
	say(c, "to device, staged by the lane", bytes, rate(c, b, in_staged, b->read, bytes), in,
		0);
	say(c, "to host, pageable segment", bytes, rate(c, b, raw_out, b->written, bytes), out, 0);
	say(c, "to host, staged by the lane", bytes, rate(c, b, out_staged, b->written, bytes), out,
		0);
}

static void registered(struct check *c, struct bed *b, uint64_t bytes, double in, double out)
{
	double wanted = bytes >= 16 * MIB ? 0.95 : 0;

	if (!device_register(b->d, b->read, LARGEST, DEVICE_READ_ONLY)) {
		say(c, "to device, segment registered read-only", bytes,
			rate(c, b, in_pinned, b->read, bytes), in, wanted);
		(void)!device_unregister(b->d, b->read);
	}
	if (!device_register(b->d, b->written, LARGEST, DEVICE_READ_WRITE)) {
		say(c, "to host, registered segment", bytes,
			rate(c, b, out_pinned, b->written, bytes), out, wanted);
		(void)!device_unregister(b->d, b->written);
	}
}

void check_copies(struct check *c)
{
	static const uint64_t sizes[] = {4 * KIB, 64 * KIB, MIB, 16 * MIB, LARGEST};
	struct bed b = {0};

	check_heading(c, "Copies");
	if (!check_true(c, bed_open(&b) == 0, "memory for the copies"))
		return;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double in = rate(c, &b, raw_in, b.runtimes, sizes[i]);
		double out = rate(c, &b, raw_out, b.runtimes, sizes[i]);

		registered(c, &b, sizes[i], in, out);
		unregistered(c, &b, sizes[i], in, out);
	}
	(void)!device_release(b.s, b.there);
	transfer_free(b.t);
	device_event_free(b.e);
	device_stream_free(b.s);
	device_host_free(b.d, b.runtimes);
	device_free(b.d);
	munmap(b.written, LARGEST);
	munmap(b.read, LARGEST);
}

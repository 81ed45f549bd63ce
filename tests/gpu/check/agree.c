/*
 * agree.c: what a worker relies on, stated to a device. The ordinary tests state it to the stand-in, the
 * check on a GPU to the real runtime: where both say yes, what is tested with the one holds on the
 * other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/gpu/check/check.h"
#include "workers/device.h"

#define BYTES (1 * MIB)

/* A device with a stream, an event and some of its memory; a segment of the host, mapped twice. */
struct bed {
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
	void *there;
	unsigned char *segment;	  /* read-write */
	unsigned char *read_only; /* the same memory */
};

static int bed_open(struct bed *b)
{
	char text[DEVICE_TEXT_MAX];
	void *written, *read;
	int r = device_open(&b->d, "cuda:0", text);

	if (!r)
		r = device_stream_new(b->d, &b->s);
	if (!r)
		r = device_event_new(b->d, &b->e);
	if (!r)
		r = device_alloc(b->s, BYTES, &b->there);
	if (r || check_segment(2 * BYTES, &written, &read))
		return -1;
	b->segment = written;
	b->read_only = read;
	return 0;
}

/* What was opened whole. */
static void bed_close(struct bed *b)
{
	(void)!device_release(b->s, b->there);
	device_event_free(b->e);
	device_stream_free(b->s);
	device_free(b->d);
	munmap(b->segment, 2 * BYTES);
	munmap(b->read_only, 2 * BYTES);
}

static int finish(struct bed *b)
{
	int r = device_event_record(b->e, b->s);

	return r ? r : device_event_wait(b->e, clock_add(clock_ns(), 10 * NS_PER_S));
}

static bool refused(int r)
{
	return device_class(r) == DEVICE_E_REQUEST;
}

static void registering(struct check *c, struct bed *b)
{
	bool can = b->d->info.reads_read_only;
	int r = device_register(b->d, b->read_only, BYTES, DEVICE_READ_WRITE);

	check_true(c, refused(r), "memory mapped read-only is not registered read-write");
	r = device_register(b->d, b->read_only, BYTES, DEVICE_READ_ONLY);
	check_true(c, r == (can ? 0 : -ENOTSUP), "it is registered read-only: %d", can);
	if (can) {
		r = device_register(b->d, b->read_only, BYTES, DEVICE_READ_ONLY);
		check_true(c, refused(r), "nor twice");
		r = device_copy_out(b->s, b->read_only, b->there, BYTES);
		check_true(c, refused(r), "the device does not write to it");
		check_fill(b->segment, BYTES, 1);
		r = device_copy_in(b->s, b->there, b->read_only, BYTES);
		check_true(c, r == 0 && finish(b) == 0,
			"the device reads it, also after an error of a call");
		check_true(c, device_unregister(b->d, b->read_only) == 0, "it is unregistered");
	}
	check_true(c, refused(device_unregister(b->d, b->read_only)), "but not twice");
}

static void crossing(struct check *c, struct bed *b)
{
	int r = device_register(b->d, b->segment, BYTES / 2, DEVICE_READ_WRITE);

	check_true(c, r == 0, "memory mapped read-write is registered");
	r = device_copy_in(b->s, b->there, b->segment, BYTES);
	check_true(c, refused(r), "a copy does not go beyond what is registered");
	r = device_copy_in(b->s, b->there, b->segment, BYTES / 2);
	check_true(c, r == 0 && finish(b) == 0, "a copy inside does");
	check_true(c, device_unregister(b->d, b->segment) == 0, "it is unregistered");
}

static void order(struct check *c, struct bed *b)
{
	unsigned char *to = b->segment + BYTES;
	struct device_stream *other = NULL;
	struct device_event *done = NULL;
	int r = device_register(b->d, b->segment, 2 * BYTES, DEVICE_READ_WRITE);

	check_fill(b->segment, BYTES, 2);
	memset(to, 0, BYTES);
	if (!r)
		r = device_stream_new(b->d, &other);
	if (!r)
		r = device_event_new(b->d, &done);
	if (!r)
		r = device_copy_in(b->s, b->there, b->segment, BYTES);
	if (!r)
		r = device_event_record(b->e, b->s);
	if (!r)
		r = device_stream_wait(other, b->e);
	if (!r)
		r = device_copy_out(other, to, b->there, BYTES);
	if (!r)
		r = device_event_record(done, other);
	if (!r)
		r = device_event_wait(done, clock_add(clock_ns(), 10 * NS_PER_S));
	check_true(c, r == 0 && !memcmp(to, b->segment, BYTES),
		"what waits for an event of another stream finds its work done");
	device_event_free(done);
	device_stream_free(other);
	(void)!device_unregister(b->d, b->segment);
}

/* In an order that nobody may rely on. */
static void several(struct check *c, struct bed *b)
{
	enum { PIECES = 3, PIECE = 100000 };
	unsigned char *to = b->segment + BYTES, *there = b->there;
	struct device_copy copies[PIECES];
	bool right = true;
	int r = device_register(b->d, b->segment, 2 * BYTES, DEVICE_READ_WRITE);

	check_fill(b->segment, BYTES, 3);
	memset(to, 0, BYTES);
	for (unsigned i = 0; i < PIECES; i++)
		copies[i] = (struct device_copy){
			there + i * PIECE, b->segment + (PIECES - i) * PIECE, PIECE};
	if (!r)
		r = device_copy_all_in(b->s, copies, PIECES);
	if (!r)
		r = device_copy_out(b->s, to, there, PIECES * PIECE);
	if (!r)
		r = finish(b);
	for (unsigned i = 0; i < PIECES; i++)
		right = right && !memcmp(to + i * PIECE, copies[i].from, PIECE);
	check_true(
		c, r == 0 && right, "several copies by one call are there for what comes behind");
	(void)!device_unregister(b->d, b->segment);
}

static void memory(struct check *c, struct bed *b)
{
	struct device_memory m = {0}, after = {0};
	void *data = NULL;
	int r = device_memory(b->d, &m);

	check_true(c, r == 0 && m.free_bytes > 0 && m.free_bytes <= m.total_bytes,
		"the device says how much memory it has");
	r = device_alloc(b->s, m.total_bytes, &data);
	check_true(
		c, device_class(r) == DEVICE_E_MEMORY, "more than there is is refused as memory");
	r = device_memory(b->d, &after);
	check_true(c, r == 0 && after.free_bytes + 64 * MIB >= m.free_bytes,
		"what it took while it tried is given back: %.0f of %.0f MiB are free",
		(double)after.free_bytes / (double)MIB, (double)m.free_bytes / (double)MIB);
	r = device_alloc(b->s, BYTES, &data);
	check_true(c, r == 0 && device_release(b->s, data) == 0 && finish(b) == 0,
		"and less than that is given then");
}

/* Through memory of the runtime's own, which the lanes stage by. */
static void clearing(struct check *c, struct bed *b)
{
	void *host = NULL;
	int r = device_host_alloc(b->d, BYTES, &host);
	unsigned char *bytes = host;
	size_t n = 0;

	if (!r) {
		memset(bytes, 1, BYTES);
		r = device_copy_in(b->s, b->there, bytes, BYTES);
	}
	if (!r)
		r = device_clear(b->s, b->there, BYTES);
	if (!r)
		r = device_copy_out(b->s, bytes, b->there, BYTES);
	if (!r)
		r = finish(b);
	while (!r && n < BYTES && bytes[n] == 0)
		n++;
	check_true(c, n == BYTES, "memory of the device is cleared behind what was copied there");
	device_host_free(b->d, host);
}

static void words(struct check *c, struct bed *b)
{
	char text[DEVICE_TEXT_MAX];

	device_explain(b->d, device_result(DEVICE_E_LOST, 700), text, sizeof(text));
	check_true(c, strstr(text, "cudaErrorIllegalAddress") != NULL,
		"errors are told in words: %s", text);
}

void check_agree(struct check *c)
{
	struct bed b = {0};

	check_heading(c, "What workers rely on");
	check_true(c, check_child(c, "none", "CUDA_VISIBLE_DEVICES=") == 0,
		"with CUDA_VISIBLE_DEVICES empty there is no GPU");
	check_true(c, check_child(c, "fault", NULL) == 0,
		"an illegal access is a lost context, from its event on and for every later call");
	check_true(c, check_child(c, "well", NULL) == 0, "a new process is well after that");
	if (!check_true(c, bed_open(&b) == 0, "a device is opened"))
		return;
	check_true(c, !strncmp(b.d->info.uuid, "GPU-", 4) && strlen(b.d->info.uuid) == 40,
		"its UUID is as nvidia-smi prints it: %s", b.d->info.uuid);
	registering(c, &b);
	crossing(c, &b);
	order(c, &b);
	several(c, &b);
	memory(c, &b);
	clearing(c, &b);
	words(c, &b);
	check_import(c, b.d);
	bed_close(&b);
	check_true(c, bare_records(), "a run recorded as a graph is the run, each time");
}

/* --- Children ----------------------------------------------------------------------------- */

static int see_none(void)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	return device_open(&d, "cuda:0", text) == -ENODEV ? 0 : 1;
}

static int lose_context(void)
{
	struct device_memory m;
	struct bed b = {0};

	if (bed_open(&b))
		return 2;
	if (device_class(bare_fault()) != DEVICE_E_LOST)
		return 3;
	if (device_class(device_memory(b.d, &m)) != DEVICE_E_LOST ||
		device_class(device_event_query(b.e)) != DEVICE_E_LOST)
		return 4;
	/* As a worker does: nothing is given back. */
	_exit(0);
}

static int be_well(void)
{
	struct bed b = {0};
	int r;

	if (bed_open(&b))
		return 1;
	r = finish(&b);
	bed_close(&b);
	return r ? 1 : 0;
}

int agree_child(const char *name)
{
	if (!strcmp(name, "none"))
		return see_none();
	if (!strcmp(name, "fault"))
		return lose_context();
	if (!strcmp(name, "lend"))
		return lend_child();
	return !strcmp(name, "well") ? be_well() : -1;
}

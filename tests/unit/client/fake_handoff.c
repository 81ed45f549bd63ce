/*
 * fake_handoff.c: a daemon's handoff socket for tests of the client. One connection at a time, no
 * worker: an inference copies its first input.
 *
 *     model     answer
 *     ""        the input, into the first target or inline
 *     two       two inline outputs, "sum" and "text" (BYTES)
 *     none      no outputs
 *     error     FAILED_PRECONDITION "no luck"
 *     hold      none until `release` is asked for; then all that are held, last one first
 *     release   the input, and see above
 *     twice     the input, twice
 *     die       the process ends
 *     wrong     Limits
 *     fd        the input, with a descriptor
 *     more      the input, as an answer that others follow
 *     forge-X   an output that is not where the target is: region, offset, length, shape
 *     empty     an Envelope without a body
 *     room      the input, in a region that is made for it, if that is asked for
 *     room-X    likewise, with a lie: none (no descriptor), outside, unsealed; unasked: always
 *     stuck     the input, after the next record came
 *     drop      none: the connection ends
 *     last      the input, then the connection ends
 *     leave     as a daemon that goes: nothing more is taken; no outputs, then all that are held, then the connection ends
 *     stand     the process stops itself; the input once it goes on
 *
 * Cancel of a held request: CANCELLED to the request; `hold-quiet` is held and gets its Cancel answered
 * instead; so does `hold-long`, but only after two questions for the limits.
 */
#include "fake_handoff.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/seqpacket.h"
#include "proto/handoff.h"

#define REGIONS_MAX 64
#define HELD_MAX    256

typedef Modeld__Handoff__Envelope Envelope;

struct region {
	uint8_t *data;
	size_t bytes;
	bool used;
};

struct held {
	uint64_t seq;
	bool quiet, late;
};

struct daemon {
	int fd;
	enum fake_mode mode;
	struct region regions[REGIONS_MAX];
	uint64_t n_regions;
	struct held held[HELD_MAX];
	size_t n_held;
	uint64_t late_cancel; /* seq of a Cancel */
	unsigned n_until_late;
	bool over; /* the connection ends */
	uint8_t record[HANDOFF_MESSAGE_MAX];
	uint8_t out[HANDOFF_MESSAGE_MAX];
};

static void answer_with(struct daemon *d, const Envelope *e, const int *fds, size_t n_fds)
{
	size_t n = modeld__handoff__envelope__pack(e, d->out);

	(void)(seqpacket_send(d->fd, d->out, n, fds, n_fds, 0) == 0);
}

static void answer(struct daemon *d, const Envelope *e)
{
	answer_with(d, e, NULL, 0);
}

static void answer_error(struct daemon *d, uint64_t seq, uint32_t code, const char *text)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	Modeld__Handoff__Error error = MODELD__HANDOFF__ERROR__INIT;

	error.code = code;
	error.message = (char *)text;
	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_ERROR;
	e.error = &error;
	answer(d, &e);
}

static void answer_limits(struct daemon *d, uint64_t seq)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	Modeld__Handoff__Limits limits = MODELD__HANDOFF__LIMITS__INIT;

	limits.protocol = HANDOFF_PROTOCOL + (d->mode == FAKE_OTHER_PROTOCOL);
	limits.total_bytes = 1 << 30;
	limits.total_used_bytes = 5000;
	limits.user_bytes = 1 << 20;
	limits.user_used_bytes = 4096;
	limits.user_regions = REGIONS_MAX;
	limits.user_used_regions = (uint32_t)d->n_regions;
	limits.max_inline_bytes = FAKE_INLINE_MAX;
	limits.max_requests = HELD_MAX;
	limits.busy_poll_us = FAKE_BUSY_US;
	limits.user_device_bytes = 1 << 21;
	limits.user_device_used_bytes = 4096;
	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_LIMITS;
	e.limits = &limits;
	answer(d, &e);
}

static void answer_unregistered(struct daemon *d, uint64_t seq)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	Modeld__Handoff__Unregistered body = MODELD__HANDOFF__UNREGISTERED__INIT;

	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTERED;
	e.unregistered = &body;
	if (d->mode == FAKE_EXTRA_DESCRIPTOR)
		answer_with(d, &e, &d->fd, 1);
	else
		answer(d, &e);
}

/* The token of region i is its number, sixteen times. */
static void answer_registered(
	struct daemon *d, uint64_t seq, uint64_t size, const int *fds, size_t n_fds)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	Modeld__Handoff__Registered body = MODELD__HANDOFF__REGISTERED__INIT;
	uint8_t token[HANDOFF_TOKEN_BYTES];

	memset(token, (int)d->n_regions, sizeof(token));
	body.region.data = token;
	body.region.len = sizeof(token);
	body.number = d->n_regions;
	body.size = size + (d->mode == FAKE_WRONG_SIZE);
	e.seq = d->mode == FAKE_FUTURE ? seq + 1 : seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED;
	e.registered = &body;
	answer_with(d, &e, fds, n_fds);
}

static void add_region(struct daemon *d, int fd, size_t bytes)
{
	struct region *r = &d->regions[++d->n_regions];

	assert(d->n_regions < REGIONS_MAX);
	r->bytes = bytes;
	r->used = true;
	r->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->data == MAP_FAILED)
		r->data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	assert(r->data != MAP_FAILED);
}

/* True: the answer was given. */
static bool misbehave(struct daemon *d, uint64_t seq)
{
	if (d->mode == FAKE_GONE)
		_exit(0);
	if (d->mode == FAKE_REFUSING)
		answer_error(d, seq, 8, "over quota: user_bytes");
	else if (d->mode == FAKE_WRONG_ANSWER)
		answer_unregistered(d, seq);
	else
		return false;
	return true;
}

static void allocate(struct daemon *d, uint64_t seq, uint64_t bytes)
{
	int fds[2] = {memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING), d->fd};
	size_t n_fds = d->mode == FAKE_NO_DESCRIPTOR ? 0 : d->mode == FAKE_TWO_DESCRIPTORS ? 2 : 1;
	uint64_t size = (bytes + 4095) & ~(uint64_t)4095;

	if (d->mode == FAKE_LESS)
		size = bytes - 1;
	assert(ftruncate(fds[0], (off_t)size) == 0);
	if (d->mode != FAKE_UNSEALED)
		assert(fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	add_region(d, fds[0], size);
	answer_registered(d, seq, size + (d->mode == FAKE_SHORT), fds, n_fds);
	close(fds[0]);
}

static void register_(struct daemon *d, uint64_t seq, uint64_t bytes, int fd)
{
	if (fd < 0) {
		answer_error(d, seq, 3, "no descriptor");
		return;
	}
	add_region(d, fd, bytes);
	answer_registered(d, seq, bytes, &d->fd, d->mode == FAKE_EXTRA_DESCRIPTOR ? 1 : 0);
}

/* --- Inference -------------------------------------------------------------------------------- */

/* wrong: NULL, "fd" (a descriptor comes along) or "more" (others follow). */
static void send_inferred(struct daemon *d, uint64_t seq, Modeld__Handoff__Tensor *const *outputs,
	size_t n, const char *wrong)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	Modeld__Handoff__Inferred body = MODELD__HANDOFF__INFERRED__INIT;

	body.n_outputs = n;
	body.outputs = (Modeld__Handoff__Tensor **)outputs;
	body.queue_ns = 1;
	body.compute_ns = 2;
	body.total_ns = 4;
	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFERRED;
	e.inferred = &body;
	body.more = wrong && !strcmp(wrong, "more");
	answer_with(d, &e, &d->fd, wrong && !strcmp(wrong, "fd"));
}

static void forge(Modeld__Handoff__Tensor *t, const char *what)
{
	if (!strcmp(what, "region"))
		t->region++;
	else if (!strcmp(what, "offset"))
		t->offset++;
	else if (!strcmp(what, "length"))
		t->dims[0] += 1 << 20, t->length += 1 << 20;
	else if (!strcmp(what, "shape"))
		t->dims[0]++;
	else
		t->dtype = 99;
}

static void identity(struct daemon *d, uint64_t seq, const Modeld__Handoff__Infer *q)
{
	const Modeld__Handoff__Tensor *in = q->inputs[0];
	const uint8_t *data = d->regions[in->region].data + in->offset;
	Modeld__Handoff__Tensor out = MODELD__HANDOFF__TENSOR__INIT, *list = &out;

	assert(in->offset + in->length <= d->regions[in->region].bytes);
	out.name = (char *)"out";
	out.dtype = in->dtype;
	out.n_dims = in->n_dims;
	out.dims = in->dims;
	if (q->n_targets > 0) {
		out.region = q->targets[0]->region;
		out.offset = q->targets[0]->offset;
		out.length = in->length;
		memcpy(d->regions[out.region].data + out.offset, data, in->length);
	} else {
		out.data.data = (uint8_t *)data;
		out.data.len = in->length;
	}
	if (!strncmp(q->model, "forge-", 6))
		forge(&out, q->model + 6);
	send_inferred(d, seq, &list, 1, q->model);
	if (!strcmp(q->model, "twice"))
		send_inferred(d, seq, &list, 1, NULL);
}

static void room(struct daemon *d, uint64_t seq, const Modeld__Handoff__Infer *q)
{
	const Modeld__Handoff__Tensor *in = q->inputs[0];
	Modeld__Handoff__Registered made = MODELD__HANDOFF__REGISTERED__INIT, *rooms = &made;
	Modeld__Handoff__Tensor out = MODELD__HANDOFF__TENSOR__INIT, *list = &out;
	Modeld__Handoff__Inferred body = MODELD__HANDOFF__INFERRED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	uint64_t bytes = (64 + in->length + 4095) & ~(uint64_t)4095;
	uint8_t token[HANDOFF_TOKEN_BYTES];
	const char *lie = q->model + 4;
	int fd;

	if (!q->make_room && strcmp(lie, "-unasked") != 0) {
		answer_error(d, seq, 9, "no room");
		return;
	}
	fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(ftruncate(fd, (off_t)bytes) == 0);
	if (strcmp(lie, "-unsealed") != 0)
		assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	add_region(d, fd, bytes);
	memcpy(d->regions[d->n_regions].data + 64, d->regions[in->region].data + in->offset,
		in->length);
	memset(token, (int)d->n_regions, sizeof(token));
	made.region.data = token;
	made.region.len = sizeof(token);
	made.number = out.region = d->n_regions;
	made.size = bytes;
	out.name = (char *)"out";
	out.dtype = in->dtype;
	out.n_dims = in->n_dims;
	out.dims = in->dims;
	out.offset = strcmp(lie, "-outside") ? 64 : bytes;
	out.length = in->length;
	body.n_outputs = body.n_room = 1;
	body.outputs = &list;
	body.room = &rooms;
	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFERRED;
	e.inferred = &body;
	answer_with(d, &e, &fd, strcmp(lie, "-none") != 0);
	close(fd);
}

/* An error whose text is its trace context. */
static void traced(struct daemon *d, uint64_t seq, const Modeld__Handoff__Infer *q)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s %s", q->traceparent, q->tracestate);
	answer_error(d, seq, 9, text);
}

static void two_outputs(struct daemon *d, uint64_t seq)
{
	static uint8_t text[] = "\1\0\0\0a\2\0\0\0bc";
	float sum = 42;
	int64_t one = 1, elements = 2;
	Modeld__Handoff__Tensor a = MODELD__HANDOFF__TENSOR__INIT;
	Modeld__Handoff__Tensor b = MODELD__HANDOFF__TENSOR__INIT, *list[] = {&a, &b};

	a.name = (char *)"sum";
	a.dtype = 12;
	a.n_dims = 1;
	a.dims = &one;
	a.data.data = (uint8_t *)&sum;
	a.data.len = sizeof(sum);
	b.name = (char *)"text";
	b.dtype = 14;
	b.n_dims = 1;
	b.dims = &elements;
	b.data.data = text;
	b.data.len = sizeof(text) - 1;
	send_inferred(d, seq, list, 2, NULL);
}

static void release_held(struct daemon *d)
{
	while (d->n_held > 0)
		send_inferred(d, d->held[--d->n_held].seq, NULL, 0, false);
}

static void leave(struct daemon *d, uint64_t seq)
{
	assert(!shutdown(d->fd, SHUT_RD));
	send_inferred(d, seq, NULL, 0, false);
	release_held(d);
	d->over = true;
}

static void infer(struct daemon *d, uint64_t seq, const Modeld__Handoff__Infer *q)
{
	const char *model = q->model;
	Envelope empty = MODELD__HANDOFF__ENVELOPE__INIT;

	if (!strcmp(model, "two"))
		two_outputs(d, seq);
	else if (!strcmp(model, "none"))
		send_inferred(d, seq, NULL, 0, false);
	else if (!strcmp(model, "error"))
		answer_error(d, seq, 9, "no luck");
	else if (!strcmp(model, "traced"))
		traced(d, seq, q);
	else if (!strncmp(model, "hold", 4))
		d->held[d->n_held++] = (struct held){
			seq, !strcmp(model, "hold-quiet"), !strcmp(model, "hold-long")};
	else if (!strncmp(model, "room", 4))
		room(d, seq, q);
	else if (!strcmp(model, "die"))
		_exit(0);
	else if (!strcmp(model, "drop"))
		d->over = true;
	else if (!strcmp(model, "leave"))
		leave(d, seq);
	else if (!strcmp(model, "wrong"))
		answer_limits(d, seq);
	else if (!strcmp(model, "empty"))
		empty.seq = seq, answer(d, &empty);
	else {
		if (!strcmp(model, "stand"))
			(void)raise(SIGSTOP);
		identity(d, seq, q);
		d->over = !strcmp(model, "last");
	}
	if (!strcmp(model, "release"))
		release_held(d);
	assert(d->n_held < HELD_MAX);
}

static void cancel(struct daemon *d, uint64_t seq, uint64_t of)
{
	for (size_t i = 0; i < d->n_held; i++) {
		if (d->held[i].seq != of)
			continue;
		if (d->held[i].late)
			d->late_cancel = seq, d->n_until_late = 2;
		else
			answer_error(d, d->held[i].quiet ? seq : of, 1, "cancelled");
		d->held[i] = d->held[--d->n_held];
		return;
	}
	answer_error(d, seq, 5, "no such request");
}

/* --- The conversation ------------------------------------------------------------------------- */

static void handle(struct daemon *d, const Envelope *e, int fd)
{
	switch (e->body_case) {
	case MODELD__HANDOFF__ENVELOPE__BODY_GET_LIMITS:
		answer_limits(d, e->seq);
		if (d->n_until_late > 0 && --d->n_until_late == 0)
			answer_error(d, d->late_cancel, 1, "cancelled");
		return;
	case MODELD__HANDOFF__ENVELOPE__BODY_REGISTER:
		if (!misbehave(d, e->seq))
			register_(d, e->seq, e->register_->size, fd);
		return;
	case MODELD__HANDOFF__ENVELOPE__BODY_ALLOCATE:
		if (!misbehave(d, e->seq))
			allocate(d, e->seq, e->allocate->size);
		d->over = d->mode == FAKE_LEAVING;
		return;
	case MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTER:
		answer_unregistered(d, e->seq);
		return;
	case MODELD__HANDOFF__ENVELOPE__BODY_INFER:
		infer(d, e->seq, e->infer);
		return;
	case MODELD__HANDOFF__ENVELOPE__BODY_CANCEL:
		cancel(d, e->seq, e->cancel->of);
		return;
	default:
		answer_error(d, e->seq, 3, "unknown message");
	}
}

/* False: the end of the connection. */
static bool turn(struct daemon *d)
{
	int fd = -1;
	size_t n, n_fds = 0;
	Envelope *e;

	if (seqpacket_recv(d->fd, d->record, sizeof(d->record), &n, &fd, 1, &n_fds, 0))
		return false;
	if (d->mode == FAKE_GARBAGE) {
		(void)(seqpacket_send(d->fd, "\377\377\377", 3, NULL, 0, 0) == 0);
		return true;
	}
	e = modeld__handoff__envelope__unpack(NULL, n, d->record);
	assert(e);
	if (d->mode != FAKE_SILENT)
		handle(d, e, fd);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	close_fd(&fd);
	return !d->over;
}

static void serve(int fd, enum fake_mode mode)
{
	struct daemon *d = calloc(1, sizeof(*d));

	assert(d);
	d->fd = fd;
	d->mode = mode;
	if (mode == FAKE_FULL)
		answer_error(d, 0, 8, "max_connections: 1");
	else
		while (turn(d))
			;
	for (size_t i = 1; i <= d->n_regions; i++)
		(void)munmap(d->regions[i].data, d->regions[i].bytes);
	free(d);
	close(fd);
}

void fake_handoff_start(struct fake_handoff *f, enum fake_mode mode)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pid_t test = getpid();

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/modeld-test-XXXXXX");
	assert(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/handoff.sock", f->dir);
	memcpy(at.sun_path, f->path, strlen(f->path) + 1);
	assert(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	assert(listen(listener, 8) == 0);
	f->pid = fork();
	assert(f->pid >= 0);
	if (f->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The test may have ended before. */
		if (getppid() != test)
			_exit(1);
		for (;;)
			serve(accept(listener, NULL, NULL), mode);
	}
	close(listener);
}

void fake_handoff_stop(struct fake_handoff *f)
{
	(void)kill(f->pid, SIGKILL);
	assert(waitpid(f->pid, NULL, 0) == f->pid);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
}

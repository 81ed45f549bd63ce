/*
 * channel.c: wire messages over a socket.
 *
 * Messages are gathered into one record until it is full or channel_flush() sends it. A record goes
 * out at once, or joins a queue when the peer does not read.
 *
 * Invariants: while anything is queued, nothing is sent past it, and the socket is watched for
 * writing; queued_bytes <= queue_max; n_record <= WIRE_MESSAGE_MAX. Packing and unpacking have scratch memory of their own, so
 * that a message may be sent while a received one is being looked at. After on_end or
 * channel_close() no callback comes.
 *
 * Daemon process, loop thread.
 */
#include "pool/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/closing.h"
#include "base/list.h"
#include "base/seqpacket.h"

/* Records that channel_catch_up() takes: more than a peer has in its socket that says what it should. */
#define CATCH_UP_MAX 1024u

/* A record that waits. */
struct record {
	struct list node;
	int fd; /* own: a copy, what it is one of may be closed by then; -1: none */
	size_t n;
	uint8_t data[];
};

struct channel {
	uv_poll_t poll;			     /* poll.data: the channel */
	int fd;				     /* own */
	bool ended;			     /* on_end was called, or it is closed */
	const struct channel_events *events; /* borrow */
	void *data;			     /* borrow: of events */
	struct wire_scratch *in;	     /* own */
	struct wire_scratch *out;	     /* own */
	uint8_t *buffer;		     /* own: WIRE_MESSAGE_MAX bytes, the record received */
	uint64_t received_ns;		     /* when it was */
	uint8_t *record;		     /* own: WIRE_MESSAGE_MAX bytes, to be flushed */
	size_t n_record;
	struct list queue;
	size_t queued_bytes;
	size_t queue_max;
};

static void channel_end(struct channel *c, int err)
{
	uv_poll_stop(&c->poll);
	c->ended = true;
	c->events->on_end(c->data, err);
}

static bool peer_gone(int err)
{
	return err == -EPIPE || err == -ECONNRESET || err == -ENOTCONN || err == -ECONNREFUSED;
}

static void remove_record(struct channel *c, struct record *record)
{
	list_remove(&record->node);
	c->queued_bytes -= record->n;
	close_elsewhere(record->fd);
	free(record);
}

static void drop_queue(struct channel *c)
{
	struct list *node;

	while ((node = list_first(&c->queue)))
		remove_record(c, list_entry(node, struct record, node));
}

/* --- Receiving ------------------------------------------------------------------------------ */

static int take_record(struct channel *c, size_t n, int *fds, size_t n_fds)
{
	int none = -1;
	const struct wire_message *m;
	size_t used;

	if (n_fds > 1)
		return -EPROTO;
	for (size_t at = 0; at < n && !c->ended; at += used) {
		int r = wire_unpack(c->in, c->buffer + at, n - at, &used, &m);

		/* A descriptor belongs to a message that is alone. */
		if (r || (n_fds > 0 && used < n))
			return -EPROTO;
		c->events->on_message(c->data, m, n_fds > 0 ? fds : &none);
	}
	return 0;
}

/* What nobody took: a worker that was taken over may have made it so that closing it waits. */
static void close_rest(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close_elsewhere(fds[i]);
}

/* 0: go on; -EAGAIN: nothing there; else the end. */
static int receive_record(struct channel *c)
{
	int fds[SEQPACKET_FDS_MAX];
	size_t n_fds = 0;
	size_t n;
	int r = seqpacket_recv(
		c->fd, c->buffer, WIRE_MESSAGE_MAX, &n, fds, SEQPACKET_FDS_MAX, &n_fds, 1);

	if (!r) {
		c->received_ns = clock_ns();
		r = take_record(c, n, fds, n_fds);
	}
	close_rest(fds, n_fds);
	return r == -EMSGSIZE ? -EPROTO : r;
}

static void receive(struct channel *c)
{
	int r = receive_record(c);

	if (r && r != -EAGAIN)
		channel_end(c, r);
	if (!c->ended)
		c->events->on_pause(c->data);
}

void channel_catch_up(struct channel *c)
{
	int r = 0;

	for (unsigned n = 0; n < CATCH_UP_MAX && !r && !c->ended; n++)
		r = receive_record(c);
	if (r && r != -EAGAIN && !c->ended)
		channel_end(c, r);
	if (!c->ended)
		c->events->on_pause(c->data);
}

void channel_drain(struct channel *c)
{
	int r = 0;

	/* Somebody may have inherited the other end, and go on. Where that fails nothing can come. */
	(void)!seqpacket_end_input(c->fd);
	while (!r && !c->ended)
		r = receive_record(c);
	if (!c->ended)
		channel_end(c, r == -EAGAIN ? -EPIPE : r);
}

uint64_t channel_received_ns(const struct channel *c)
{
	return c->received_ns;
}

/* --- Sending -------------------------------------------------------------------------------- */

static int send_now(struct channel *c, const void *data, size_t n, int fd)
{
	int r = seqpacket_send(c->fd, data, n, fd < 0 ? NULL : &fd, fd < 0 ? 0 : 1, 1);

	/* A kernel that has no memory for it now will have some: that is no reason to lose a worker. */
	if (r == -ENOBUFS || r == -ENOMEM)
		return -EAGAIN;
	return peer_gone(r) ? 0 : r;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct channel *c)
{
	int events = UV_READABLE | (list_empty(&c->queue) ? 0 : UV_WRITABLE);
	int r = uv_poll_start(&c->poll, events, on_poll);

	/* The only documented failure is a handle that is closing. */
	assert(r == 0);
	(void)r;
}

static void send_queued(struct channel *c)
{
	struct list *node;

	while ((node = list_first(&c->queue))) {
		struct record *record = list_entry(node, struct record, node);
		int r = send_now(c, record->data, record->n, record->fd);

		if (r == -EAGAIN)
			return;
		if (r) {
			channel_end(c, r);
			return;
		}
		remove_record(c, record);
	}
	watch(c);
}

/* -1 is its own copy. -errno */
static int copy_fd(int fd, int *ret_copy)
{
	*ret_copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd >= 0 && *ret_copy < 0 ? -errno : 0;
}

static int enqueue(struct channel *c, const void *data, size_t n, int fd)
{
	struct record *record;
	int r;

	if (n > c->queue_max - c->queued_bytes)
		return CHANNEL_E_FULL;
	record = malloc(sizeof(*record) + n);
	r = record ? copy_fd(fd, &record->fd) : -ENOMEM;
	if (r) {
		free(record);
		return r;
	}
	record->n = n;
	memcpy(record->data, data, n);
	list_push_back(&c->queue, &record->node);
	c->queued_bytes += n;
	if (c->queue.next == &record->node)
		watch(c);
	return 0;
}

static int send_record(struct channel *c, const void *data, size_t n, int fd)
{
	if (list_empty(&c->queue)) {
		int r = send_now(c, data, n, fd);

		if (r != -EAGAIN)
			return r;
	}
	return enqueue(c, data, n, fd);
}

int channel_flush(struct channel *c)
{
	size_t n = c->n_record;

	c->n_record = 0;
	return n > 0 && !c->ended ? send_record(c, c->record, n, -1) : 0;
}

int channel_send(struct channel *c, const struct wire_message *m, int fd)
{
	const uint8_t *data;
	size_t n;
	int r = wire_pack(c->out, m, &data, &n);

	if (r || c->ended)
		return r;
	if (fd >= 0 || n > WIRE_MESSAGE_MAX - c->n_record)
		r = channel_flush(c);
	if (r)
		return r;
	if (fd >= 0)
		return send_record(c, data, n, fd);
	memcpy(c->record + c->n_record, data, n);
	c->n_record += n;
	return 0;
}

/* --- Life ----------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct channel *c = poll->data;

	/* libuv has stopped watching then: what is there is all that will come. */
	if (status < 0) {
		channel_drain(c);
		return;
	}
	if (events & UV_WRITABLE)
		send_queued(c);
	if (!c->ended && (events & UV_READABLE))
		receive(c);
}

static struct channel *channel_free(struct channel *c)
{
	drop_queue(c);
	wire_scratch_free(c->in);
	wire_scratch_free(c->out);
	free(c->buffer);
	free(c->record);
	free(c);
	return NULL;
}
DEFINE_CLEANUP(struct channel *, channel_free)

int channel_new(struct channel **ret_channel, uv_loop_t *loop, int fd, size_t queue_max,
	const struct channel_events *events, void *data)
{
	_cleanup_(channel_freep) struct channel *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	list_init(&c->queue);
	c->queue_max = queue_max;
	c->events = events;
	c->data = data;
	c->buffer = malloc(WIRE_MESSAGE_MAX);
	c->record = malloc(WIRE_MESSAGE_MAX);
	if (!c->buffer || !c->record)
		return -ENOMEM;
	r = wire_scratch_new(&c->in);
	if (!r)
		r = wire_scratch_new(&c->out);
	if (!r)
		r = seqpacket_set_send_buffer(fd, WIRE_MESSAGE_MAX);
	if (!r)
		r = uv_poll_init(loop, &c->poll, fd);
	if (r)
		return r;
	c->fd = fd;
	c->poll.data = c;
	watch(c);
	*ret_channel = steal_ptr(c);
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	channel_free(h->data);
}

struct channel *channel_close(struct channel *c)
{
	if (!c)
		return NULL;
	c->ended = true;
	uv_poll_stop(&c->poll);
	if (seqpacket_end(c->fd))
		close_fd(&c->fd);
	else
		close_elsewhere(steal_fd(&c->fd));
	drop_queue(c);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	return NULL;
}

/*
 * conn.c: a connection on a uv_stream. libuv finishes one queued write each time the socket becomes
 * writable, so at most one uv_write is in flight; nothing is produced until it is done, which is
 * what bounds output to a client that does not read.
 *
 * Invariants: no conn_write() while `writing`; each piece in `writing` is let go exactly once, in
 * the write's callback, which libuv also calls (with an error) on close. Daemon process, loop thread.
 */
#include "http2/conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http2/rights.h"

/* Reads of one connection in one loop iteration; then the others have their turn. */
#define READS_A_TURN 4u
/* For ends of connections in one loop iteration: closing their sockets takes as long again. */
#define ENDS_A_TURN_NS (2 * NS_PER_MS)

/* The rest of a gather: one allocation with everything in it. */
struct conn_write {
	uv_write_t request;
	size_t n_pieces;
	struct piece **pieces; /* own the references */
	uv_buf_t *bufs;
	uint8_t *copy;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct conn *c = handle->data;

	if (c->turn != c->shared->turn) {
		c->turn = c->shared->turn;
		c->reads = 0;
	}
	/* An empty buffer makes libuv leave its read loop; the socket stays readable. */
	if (c->reads++ >= READS_A_TURN)
		*buf = uv_buf_init(NULL, 0);
	else
		*buf = uv_buf_init(
			(char *)c->shared->read_buffer, (unsigned)c->shared->n_read_buffer);
}

static void tell_end(struct conn *c)
{
	struct conn_shared *s = c->shared;
	uint64_t begun_ns = clock_ns();

	c->events->on_end(c, c->end_error);
	s->ends_ns += clock_ns() - begun_ns;
}

static void on_read_end(struct conn *c, int err)
{
	c->end_error = err;
	if (c->shared->ends_ns < ENDS_A_TURN_NS)
		tell_end(c);
	else
		list_push_back(&c->shared->ended, &c->end_node);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;

	if (n == 0 || n == UV_ENOBUFS)
		return;
	if (n > 0) {
		c->events->on_data(c, (const uint8_t *)buf->base, (size_t)n);
		return;
	}
	uv_read_stop(stream);
	on_read_end(c, n == UV_EOF ? 0 : (int)n);
}

/* Of a connection that may bring descriptors: libuv has nothing to read into, and so only tells that there is something. */
static void on_alloc_none(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	*buf = uv_buf_init(NULL, 0);
}

static void on_readable(uv_stream_t *stream, ssize_t none, const uv_buf_t *no_buf)
{
	struct conn *c = stream->data;
	uv_buf_t buf;

	while (!c->closing) {
		size_t n;
		int r;

		on_alloc(&c->uv.handle, 0, &buf);
		if (buf.len == 0)
			return;
		r = rights_read(c->shared->rights, c->fd, buf.base, buf.len, &n);
		if (r == -EAGAIN)
			return;
		if (r || n == 0) {
			uv_read_stop(stream);
			on_read_end(c, r);
			return;
		}
		c->events->on_data(c, (const uint8_t *)buf.base, n);
		if (n < buf.len)
			return;
	}
}

static int start_reading(struct conn *c, int fd, enum endpoint_kind kind)
{
	if (kind != ENDPOINT_UNIX || !c->shared->rights)
		return uv_read_start(&c->uv.stream, on_alloc, on_read);
	c->fd = fd;
	rights_expect(fd);
	return uv_read_start(&c->uv.stream, on_alloc_none, on_readable);
}

void conn_shared_init(struct conn_shared *s, uint8_t *read_buffer, size_t n)
{
	*s = (struct conn_shared){.read_buffer = read_buffer, .n_read_buffer = n};
	list_init(&s->ended);
}

bool conn_shared_turn(struct conn_shared *s)
{
	struct list *node;

	s->turn++;
	s->ends_ns = 0;
	while (s->ends_ns < ENDS_A_TURN_NS && (node = list_first(&s->ended))) {
		list_remove(node);
		tell_end(list_entry(node, struct conn, end_node));
	}
	return list_empty(&s->ended);
}

static int init_handle(struct conn *c, uv_loop_t *loop, enum endpoint_kind kind)
{
	return kind == ENDPOINT_UNIX ? uv_pipe_init(loop, &c->uv.pipe, 0)
				     : uv_tcp_init(loop, &c->uv.tcp);
}

static int open_handle(struct conn *c, int fd, enum endpoint_kind kind)
{
	int on = 1;

	if (kind == ENDPOINT_UNIX)
		return uv_pipe_open(&c->uv.pipe, fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return uv_tcp_open(&c->uv.tcp, fd);
}

int conn_open(struct conn *c, uv_loop_t *loop, int fd, enum endpoint_kind kind,
	const struct conn_events *events, struct conn_shared *shared, bool *ret_opened)
{
	int r;

	*c = (struct conn){.events = events, .shared = shared, .fd = -1};
	list_init(&c->end_node);
	*ret_opened = false;
	r = init_handle(c, loop, kind);
	if (r) {
		close(fd);
		return r;
	}
	*ret_opened = true;
	c->uv.handle.data = c;
	peer_ask(&c->peer, fd);
	r = open_handle(c, fd, kind);
	if (r)
		close(fd);
	else
		r = start_reading(c, fd, kind);
	if (r)
		conn_close(c);
	return r;
}

size_t conn_pending(const struct conn *c)
{
	/* libuv has written all some time before it says so: until then the write is not over. */
	size_t n = c->writing ? uv_stream_get_write_queue_size(&c->uv.stream) : 0;

	return c->writing && n == 0 ? 1 : n;
}

static struct conn_write *write_free(struct conn_write *w)
{
	for (size_t i = 0; i < w->n_pieces; i++)
		piece_unref(w->pieces[i]);
	free(w);
	return NULL;
}

static void on_write(uv_write_t *request, int status)
{
	struct conn *c = request->data;

	c->writing = write_free(c->writing);
	if (c->closing || status == UV_ECANCELED)
		return;
	if (status < 0)
		c->events->on_end(c, status);
	else
		c->events->on_written(c);
}

/* Copied bytes of buffers from `first` on. */
static size_t copied_bytes(const struct gather *b, size_t first)
{
	size_t n = 0;

	for (size_t i = first; i < b->n_bufs; i++)
		n += b->pieces[i] ? 0 : b->bufs[i].len;
	return n;
}

/* Take the rest of a gather over: references move, copied bytes are copied once more. */
static struct conn_write *write_new(struct gather *b, size_t first)
{
	size_t n = b->n_bufs - first;
	struct conn_write *w = malloc(sizeof(*w) + n * (sizeof(uv_buf_t) + sizeof(struct piece *)) +
				      copied_bytes(b, first));
	uint8_t *copy;

	if (!w)
		return NULL;
	w->bufs = (uv_buf_t *)(w + 1);
	w->pieces = (struct piece **)(w->bufs + n);
	w->copy = copy = (uint8_t *)(w->pieces + n);
	w->n_pieces = n;
	for (size_t i = 0; i < n; i++) {
		w->pieces[i] = steal_ptr(b->pieces[first + i]);
		w->bufs[i] = b->bufs[first + i];
		if (w->pieces[i])
			continue;
		memcpy(copy, w->bufs[i].base, w->bufs[i].len);
		w->bufs[i].base = (char *)copy;
		copy += w->bufs[i].len;
	}
	return w;
}

static int write_rest(struct conn *c, struct gather *b, size_t first)
{
	struct conn_write *w = write_new(b, first);
	int r;

	if (!w)
		return -ENOMEM;
	w->request.data = c;
	r = uv_write(&w->request, &c->uv.stream, w->bufs, (unsigned)w->n_pieces, on_write);
	if (r)
		write_free(w);
	else
		c->writing = w;
	return r;
}

int conn_write(struct conn *c, struct gather *b)
{
	size_t first = 0;
	int r;

	assert(!c->writing && !c->shut);
	r = uv_try_write(&c->uv.stream, b->bufs, (unsigned)b->n_bufs);
	if (r >= 0)
		first = gather_advance(b, (size_t)r);
	else if (r != UV_EAGAIN)
		first = b->n_bufs;
	r = r < 0 && r != UV_EAGAIN ? r : 0;
	if (!r && first < b->n_bufs)
		r = write_rest(c, b, first);
	gather_reset(b, 0);
	return r;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
}

void conn_shut(struct conn *c)
{
	if (c->shut || c->closing)
		return;
	c->shut = true;
	/* It fails only on a connection that is broken already; the read side tells. */
	(void)!uv_shutdown(&c->shutdown, &c->uv.stream, on_shutdown);
}

static void on_close(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	c->events->on_closed(c);
}

/* The last reference to the socket closes what lies in it unread: libuv's is not it then. */
void conn_close(struct conn *c)
{
	int fd;

	if (c->closing)
		return;
	c->closing = true;
	list_remove(&c->end_node);
	fd = c->fd >= 0 ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
	uv_close(&c->uv.handle, on_close);
	if (fd >= 0)
		rights_close(c->shared->rights, fd);
}

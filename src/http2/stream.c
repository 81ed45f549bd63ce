/*
 * stream.c: a stream's queues: output pieces that wait for HTTP/2 to take them, and the accounts of
 * input that was not taken yet.
 *
 * What the client does not read of one stream must not stop others, which may be other people's (a proxy
 * puts them on one connection): bytes of a stream that is shut, its own window being closed, do not count
 * against the connection's max_output_bytes. They are bounded by the stream's mark, which is lower where
 * many streams are shut.
 *
 * Invariants: session->queued_bytes, ->held_bytes and ->kept_bytes are the sums over its streams, ->shut_bytes is that of
 * queued_bytes over those that are shut; head_sent is below head->n; nothing is queued once `ended`. Daemon process, loop thread.
 */
#include "http2/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "http2/session_private.h"

/* A stream's own high-water mark; the connection's is max_output_bytes. */
#define STREAM_OUTPUT_HIGH ((size_t)1 << 20)
/* The same where streams that are shut have so many times max_output_bytes together. */
#define SHUT_OUTPUT_HIGH ((size_t)64 << 10)
#define SHUT_TIMES	 4u
#define PIECE_SMALLEST	 ((size_t)448)
#define PIECE_LARGEST	 ((size_t)64 << 10)
/* Calls that give way to one piece of input, at most: each has as much as a window, in the end. */
#define GIVE_WAY_MAX 4u
/* A client that still sends after its reply ended is listened to for so long, and so much. */
#define DRAIN_NS    NS_PER_S
#define DRAIN_BYTES ((size_t)1 << 20)

static void end_drain(struct stream *s)
{
	deadline_clear(&s->session->transport->deadlines, &s->timer);
	s->reset = true;
	session_check(s->session, nghttp2_submit_rst_stream(s->session->ng, NGHTTP2_FLAG_NONE,
					  s->id, NGHTTP2_NO_ERROR));
	session_mark_dirty(s->session);
}

static void on_drain_due(struct deadline *d)
{
	end_drain(container_of(d, struct stream, timer));
}

struct stream *stream_new(struct session *session, int32_t id)
{
	struct transport *t = session->transport;
	struct stream *s = blocks_take(&t->blocks, t->events->streams->stream_bytes);

	if (!s)
		return NULL;
	memset(s, 0, t->events->streams->stream_bytes);
	s->session = session;
	s->id = id;
	s->received_ns = t->now_ns;
	list_init(&s->waiting);
	list_init(&s->node);
	list_push_back(&session->streams, &s->node);
	session->n_streams++;
	t->events->streams->on_begin(s);
	return s;
}

void stream_close(struct stream *s)
{
	struct session *session = s->session;
	struct transport *t = session->transport;

	t->events->streams->on_close(s);
	deadline_clear(&t->deadlines, &s->timer);
	stream_drop_output(s);
	stream_unhold(s, s->held_bytes);
	stream_keep(s, 0);
	list_remove(&s->waiting);
	list_remove(&s->node);
	if (session->recent == s)
		session->recent = NULL;
	blocks_give(&t->blocks, s, t->events->streams->stream_bytes);
	if (--session->n_streams == 0) {
		session->idle_ns = t->now_ns;
		session_mark_dirty(session);
		if (t->settings->idle_timeout_ms)
			session_due_by(session,
				clock_add(t->now_ns, t->settings->idle_timeout_ms * NS_PER_MS));
	}
}

/* --- input ------------------------------------------------------------------------------------ */

void stream_taken(struct stream *s, size_t n)
{
	struct session *session = s->session;

	/* Once END_STREAM comes no window of the stream is of use. */
	if (n && !s->half_closed && !s->last_frame)
		session_check(session, nghttp2_session_consume_stream(session->ng, s->id, n));
}

void stream_measure(struct stream *s)
{
	s->measured_ns = s->session->transport->now_ns;
	s->measured_bytes = 0;
}

bool stream_may_hold(const struct stream *s, size_t n)
{
	const struct transport *t = s->session->transport;

	return (transport_held_bytes(t) + n) / 2 <= t->settings->max_held_bytes;
}

static size_t stored(const struct session *s)
{
	return s->held_bytes + s->kept_bytes;
}

static struct session *hoarder(const struct transport *t)
{
	struct session *most = NULL;

	list_for_each (&t->sessions, it) {
		struct session *s = list_entry(it, struct session, node);

		if (!most || stored(s) > stored(most))
			most = s;
	}
	return most;
}

static struct stream *largest(const struct session *session)
{
	struct stream *most = NULL;

	list_for_each (&session->streams, it) {
		struct stream *s = list_entry(it, struct stream, node);

		if (!most || s->held_bytes + s->kept_bytes > most->held_bytes + most->kept_bytes)
			most = s;
	}
	return most;
}

bool stream_get_room(struct stream *s, size_t n)
{
	struct transport *t = s->session->transport;

	for (unsigned i = 0; i < GIVE_WAY_MAX && !stream_may_hold(s, n); i++) {
		struct session *session = hoarder(t);

		if (session == s->session || stored(session) <= stored(s->session) + n)
			return false;
		t->events->streams->on_hoarding(largest(session));
	}
	return stream_may_hold(s, n);
}

void stream_hold(struct stream *s, size_t n)
{
	s->session->transport->held_bytes += n;
	s->held_bytes += n;
	s->session->held_bytes += n;
}

void stream_unhold(struct stream *s, size_t n)
{
	assert(n <= s->held_bytes);
	s->held_bytes -= n;
	s->session->held_bytes -= n;
	s->session->transport->held_bytes -= n;
	if (n == 0)
		return;
	session_credit(s->session);
	/* Nothing may have been received just now: then nobody else sends the window. */
	session_mark_dirty(s->session);
}

void stream_keep(struct stream *s, size_t n)
{
	struct transport *t = s->session->transport;

	t->kept_bytes += n - s->kept_bytes;
	s->session->kept_bytes += n - s->kept_bytes;
	s->kept_bytes = n;
}

void stream_drain(struct stream *s)
{
	struct transport *t = s->session->transport;

	s->timer.on_due = on_drain_due;
	if (deadline_set(&t->deadlines, &s->timer, clock_add(t->now_ns, DRAIN_NS)))
		session_fail(s->session, -ENOMEM);
	s->draining = true;
}

void stream_discard(struct stream *s, size_t n)
{
	s->drained_bytes += n;
	if (s->drained_bytes <= DRAIN_BYTES)
		stream_taken(s, n);
	else if (s->draining && !s->reset)
		end_drain(s);
}

/* --- output ----------------------------------------------------------------------------------- */

static void append(struct stream *s, struct piece *p)
{
	if (s->tail)
		s->tail->next = p;
	else
		s->head = p;
	s->tail = p;
}

static void queued(struct stream *s, size_t n)
{
	assert(!s->ended);
	if (s->queued_bytes == 0)
		s->progress_ns = s->session->transport->now_ns;
	s->queued_bytes += n;
	s->session->queued_bytes += n;
	if (s->shut)
		s->session->shut_bytes += n;
}

static size_t piece_size(size_t n)
{
	if (n < PIECE_SMALLEST)
		return PIECE_SMALLEST;
	return n < PIECE_LARGEST ? n : PIECE_LARGEST;
}

int stream_queue_copy(struct stream *s, const void *data, size_t n)
{
	const uint8_t *from = data;

	while (n) {
		size_t done = s->tail ? piece_append(s->tail, from, n) : 0;

		if (!done) {
			struct piece *p = piece_new(&s->session->transport->blocks, piece_size(n));

			if (!p)
				return -ENOMEM;
			append(s, p);
			continue;
		}
		queued(s, done);
		from += done;
		n -= done;
	}
	return 0;
}

int stream_queue_lent(
	struct stream *s, const void *data, size_t n, void (*release)(void *owner), void *owner)
{
	struct piece *p = piece_lent(&s->session->transport->blocks, data, n, release, owner);

	if (!p) {
		release(owner);
		return -ENOMEM;
	}
	append(s, p);
	queued(s, n);
	return 0;
}

void stream_owe(struct stream *s, size_t n)
{
	s->owed_bytes += n;
}

void stream_settle(struct stream *s, size_t n)
{
	assert(n <= s->owed_bytes);
	s->owed_bytes -= n;
	/* Who waits for room is looked at when the session is. */
	session_mark_dirty(s->session);
}

static void pop(struct stream *s)
{
	struct piece *p = s->head;

	s->head = p->next;
	if (!s->head)
		s->tail = NULL;
	s->head_sent = 0;
	piece_unref(p);
}

static void set_shut(struct stream *s, bool shut)
{
	if (s->shut == shut)
		return;
	s->shut = shut;
	if (shut)
		s->session->shut_bytes += s->queued_bytes;
	else
		s->session->shut_bytes -= s->queued_bytes;
}

void stream_take_output(struct stream *s, struct gather *b, size_t n)
{
	assert(n <= s->queued_bytes);
	set_shut(s, false);
	s->queued_bytes -= n;
	s->session->queued_bytes -= n;
	s->progress_ns = s->session->transport->now_ns;
	while (n) {
		size_t left = s->head->n - s->head_sent;
		size_t part = n < left ? n : left;

		gather_piece(b, s->head, s->head_sent, part);
		s->head_sent += part;
		n -= part;
		if (part == left)
			pop(s);
	}
}

void stream_drop_output(struct stream *s)
{
	set_shut(s, false);
	s->session->queued_bytes -= s->queued_bytes;
	s->queued_bytes = 0;
	while (s->head)
		pop(s);
}

/* --- back-pressure ---------------------------------------------------------------------------- */

void session_find_shut(struct session *s)
{
	/* Far from the mark nobody asks. */
	if (s->queued_bytes < s->transport->settings->max_output_bytes / 2)
		return;
	list_for_each (&s->streams, it) {
		struct stream *stream = list_entry(it, struct stream, node);

		if (stream->queued_bytes)
			set_shut(stream, stream_window_closed(stream));
	}
}

/* What counts against max_output_bytes. */
static uint64_t connection_bytes(const struct session *s)
{
	return s->queued_bytes - s->shut_bytes;
}

static size_t high_water(const struct stream *s)
{
	const struct session *session = s->session;

	bool many =
		session->shut_bytes / SHUT_TIMES >= session->transport->settings->max_output_bytes;

	return many ? SHUT_OUTPUT_HIGH : STREAM_OUTPUT_HIGH;
}

bool stream_connection_full(const struct stream *s)
{
	return connection_bytes(s->session) >= s->session->transport->settings->max_output_bytes;
}

bool stream_full(const struct stream *s)
{
	return s->queued_bytes + s->owed_bytes >= high_water(s) || stream_connection_full(s);
}

void stream_wait(struct stream *s)
{
	if (list_empty(&s->waiting))
		list_push_back(&s->session->waiting, &s->waiting);
	session_mark_dirty(s->session);
}

/* Low water is half of high water, so that producers are not woken for every frame. */
static bool has_room(const struct stream *s)
{
	uint64_t max = s->session->transport->settings->max_output_bytes;

	return s->queued_bytes + s->owed_bytes <= high_water(s) / 2 &&
	       connection_bytes(s->session) <= max / 2;
}

void session_wake_waiting(struct session *s)
{
	struct list woken;
	struct list *node;

	list_init(&woken);
	list_for_each (&s->waiting, it) {
		struct stream *stream = list_entry(it, struct stream, waiting);

		if (!has_room(stream))
			continue;
		list_remove(it);
		list_push_back(&woken, it);
	}
	/* One at a time from the front: what on_room does may take others off the list. */
	while ((node = list_first(&woken))) {
		struct stream *stream = list_entry(node, struct stream, waiting);

		list_remove(node);
		s->transport->events->streams->on_room(stream);
	}
}

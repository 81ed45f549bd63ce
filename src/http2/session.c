/*
 * session.c: one HTTP/2 connection, its life and its input and output.
 *
 * nghttp2 is never re-entered: bytes go in from on_data() alone and come out in session_flush()
 * alone, once a loop iteration; everything else only submits. Failures in between are noted
 * (session_fail) and acted on in the next flush.
 *
 * Invariants: state only moves forward; after SESSION_CLOSED there is no stream, no client and no
 * nghttp2 session, and the memory goes when the loop has closed the handle; uncredited_bytes are
 * what the connection's window still lacks, and is 0 while less than half a window is held.
 * Daemon process, loop thread.
 */
#include "http2/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "http2/session_memory.h"
#include "http2/session_private.h"

/* More frames than this waiting to be sent: the peer provokes them and does not read. */
#define OUTBOUND_QUEUE_MAX    5000u
#define MAX_SEND_HEADER_BYTES ((size_t)16 << 10)
#define MAX_OUTBOUND_ACK      ((size_t)128)
/* Gathers written in one go; then other connections have their turn. */
#define WRITES_A_FLUSH 2u
/* Of a frame: its header, in it the type; a whole GOAWAY without debug data, which ends with the error code. */
#define FRAME_HEAD  9u
#define FRAME_TYPE  3u
#define GOAWAY_BARE (FRAME_HEAD + 8u)

/* --- setup ------------------------------------------------------------------------------------ */

static void set_options(nghttp2_option *o, const struct http2_settings *settings)
{
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, MAX_OUTBOUND_ACK);
	nghttp2_option_set_max_send_header_block_length(o, MAX_SEND_HEADER_BYTES);
	nghttp2_option_set_stream_reset_rate_limit(o, settings->reset_burst, settings->reset_rate);
	/* Values with outer spaces "may be stripped": not a reason to fail a call. */
	nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(o, 1);
}

int session_setup_new(struct session_setup **ret_setup, const struct http2_settings *settings)
{
	_cleanup_(session_setup_freep) struct session_setup *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	if (nghttp2_session_callbacks_new(&s->callbacks) || nghttp2_option_new(&s->option) ||
		nghttp2_option_new(&s->unix_option))
		return -ENOMEM;
	session_set_callbacks(s->callbacks);
	set_options(s->option, settings);
	set_options(s->unix_option, settings);
	/* It would reset the streams of clients that name the socket's path as :authority. */
	nghttp2_option_set_no_http_messaging(s->unix_option, 1);
	*ret_setup = steal_ptr(s);
	return 0;
}

struct session_setup *session_setup_free(struct session_setup *s)
{
	if (!s)
		return NULL;
	nghttp2_session_callbacks_del(s->callbacks);
	nghttp2_option_del(s->option);
	nghttp2_option_del(s->unix_option);
	free(s);
	return NULL;
}

static int greet(struct session *s)
{
	const struct http2_settings *f = s->transport->settings;
	const nghttp2_settings_entry entries[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, f->max_concurrent_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, f->stream_window_bytes},
		{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, f->max_frame_bytes},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, f->max_header_bytes},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};
	int rv = nghttp2_submit_settings(
		s->ng, NGHTTP2_FLAG_NONE, entries, sizeof(entries) / sizeof(entries[0]));

	if (!rv)
		rv = nghttp2_session_set_local_window_size(
			s->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)f->connection_window_bytes);
	return session_translate(rv);
}

static int open_http2(struct session *s)
{
	const struct session_setup *setup = s->transport->setup;
	nghttp2_mem memory = session_memory(&s->transport->blocks);
	nghttp2_option *option =
		s->endpoint->kind == ENDPOINT_UNIX ? setup->unix_option : setup->option;
	int rv = nghttp2_session_server_new3(&s->ng, setup->callbacks, s, option, &memory);

	return rv ? session_translate(rv) : greet(s);
}

/* max_age +-10 %, so that connections made together do not all leave together. */
static uint64_t age_end(const struct session *s)
{
	uint64_t age_ns = s->transport->settings->max_age_ms * NS_PER_MS;
	uint64_t random = 0;

	if (!age_ns)
		return CLOCK_NO_DEADLINE;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = s->started_ns;
	return clock_add(s->started_ns, age_ns - age_ns / 10 + random % (age_ns / 5 + 1));
}

static const struct conn_events conn_events;

static void session_init(struct session *s, struct transport *t, const struct endpoint *endpoint)
{
	s->transport = t;
	s->endpoint = endpoint;
	list_init(&s->node);
	list_init(&s->dirty);
	list_init(&s->streams);
	list_init(&s->waiting);
	list_init(&s->late.node);
	list_init(&s->late.streams);
	s->timer.on_due = session_on_due;
	t->now_ns = clock_ns();
	s->started_ns = s->state_ns = s->read_ns = s->idle_ns = s->scanned_ns = t->now_ns;
	s->age_ns = age_end(s);
}

int session_open(struct transport *t, int fd, const struct endpoint *endpoint)
{
	struct session *s = calloc(1, sizeof(*s));
	bool opened = false;
	int r;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	session_init(s, t, endpoint);
	r = conn_open(&s->conn, t->loop, fd, endpoint->kind, &conn_events, &t->conns, &opened);
	if (!opened) {
		free(s);
		return r;
	}
	list_push_back(&t->sessions, &s->node);
	t->n_connections++;
	if (!r)
		r = open_http2(s);
	if (r) {
		session_kill(s);
		return r;
	}
	session_arm(s);
	/* Our SETTINGS wait for the client's first bytes: an HTTP/1 client must not see them. */
	return 0;
}

/* --- what it is ------------------------------------------------------------------------------------ */

struct session *session_of(struct list *node)
{
	return list_entry(node, struct session, node);
}

struct transport *session_transport(const struct session *s)
{
	return s->transport;
}

const struct endpoint *session_endpoint(const struct session *s)
{
	return s->endpoint;
}

const struct peer *session_peer(const struct session *s)
{
	return &s->conn.peer;
}

void **session_kept(struct session *s)
{
	return &s->kept;
}

struct session_late *session_late(struct session *s)
{
	return &s->late;
}

/* --- input ------------------------------------------------------------------------------------ */

/* Not HTTP/2. A browser or an HTTP/1 client may get a sentence to read. */
static void answer_stranger(struct session *s, const uint8_t *data, size_t n)
{
	const char *page = s->transport->events->on_stranger(data, n);
	struct gather *b = s->transport->gather;

	if (!page || conn_pending(&s->conn)) {
		session_kill(s);
		return;
	}
	gather_copy(b, page, strlen(page));
	if (conn_write(&s->conn, b))
		session_kill(s);
	else
		session_linger(s);
}

static void on_data(struct conn *c, const uint8_t *data, size_t n)
{
	struct session *s = container_of(c, struct session, conn);
	ssize_t rv;

	s->transport->now_ns = s->read_ns = clock_ns();
	s->keepalive_sent_ns = 0;
	if (s->state >= SESSION_LINGERING || s->goodbye_code || s->failed)
		return;
	rv = nghttp2_session_mem_recv(s->ng, data, n);
	if (rv == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
		answer_stranger(s, data, n);
		return;
	}
	session_check(s, (int)(rv < 0 ? rv : 0));
	session_credit(s);
	if (nghttp2_session_get_outbound_queue_size(s->ng) > OUTBOUND_QUEUE_MAX)
		session_fail(s, -ENOBUFS);
	session_mark_dirty(s);
}

static void on_end(struct conn *c, int err)
{
	struct session *s = container_of(c, struct session, conn);

	s->transport->now_ns = clock_ns();
	log_debug("connection ended", "error=%s streams=%u", err ? err_str(err) : "none",
		s->n_streams);
	session_kill(s);
}

static void on_closed(struct conn *c)
{
	struct session *s = container_of(c, struct session, conn);
	struct transport *t = s->transport;

	assert(s->state == SESSION_CLOSED);
	assert(list_empty(&s->late.streams));
	list_remove(&s->late.node);
	list_remove(&s->node);
	t->n_connections--;
	free(s);
	t->on_session_gone(t);
}

/* --- output ----------------------------------------------------------------------------------- */

/* One frame as nghttp2 made it. A GOAWAY that it sends without a word gets some. */
static void put_frame(struct gather *b, const uint8_t *frame, size_t n)
{
	const char *words = NULL;
	uint8_t head[FRAME_HEAD];
	size_t n_words;

	if (n == GOAWAY_BARE && frame[FRAME_TYPE] == NGHTTP2_GOAWAY)
		words = session_goaway_words(frame[GOAWAY_BARE - 1]);
	if (!words) {
		gather_copy(b, frame, n);
		return;
	}
	n_words = strlen(words);
	memcpy(head, frame, sizeof(head));
	head[2] = (uint8_t)(n - FRAME_HEAD + n_words);
	gather_copy(b, head, sizeof(head));
	gather_copy(b, frame + FRAME_HEAD, n - FRAME_HEAD);
	gather_copy(b, words, n_words);
}

static int produce(struct session *s, struct gather *b)
{
	while (!gather_full(b)) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(s->ng, &data);

		if (n < 0)
			return session_translate((int)n);
		if (n == 0)
			break;
		put_frame(b, data, (size_t)n);
	}
	return s->failed;
}

static int write_out(struct session *s)
{
	struct gather *b = s->transport->gather;

	for (unsigned i = 0; !conn_pending(&s->conn); i++) {
		int r;

		if (i == WRITES_A_FLUSH) {
			session_mark_dirty(s);
			return 0;
		}
		r = produce(s, b);
		if (r) {
			gather_reset(b, 0);
			return r;
		}
		if (b->n_bytes == 0)
			return 0;
		r = conn_write(&s->conn, b);
		if (r)
			return r;
	}
	s->write_progress_ns = s->transport->now_ns;
	s->write_pending = conn_pending(&s->conn);
	session_due_by(s, clock_add(s->transport->now_ns, session_scan_ns(s)));
	return 0;
}

/* Has everything been said? */
static bool complete(const struct session *s)
{
	if (conn_pending(&s->conn))
		return false;
	if (s->goodbye_code)
		return true;
	/* After the first GOAWAY nghttp2 is content without streams; we still take calls then. */
	if (nghttp2_session_want_write(s->ng) || s->state == SESSION_NOTICED)
		return false;
	if (s->state == SESSION_LEAVING && s->n_streams == 0)
		return true;
	return !nghttp2_session_want_read(s->ng);
}

void session_flush(struct list *node)
{
	struct session *s = list_entry(node, struct session, dirty);
	int r;

	list_remove(&s->dirty);
	r = s->failed ? s->failed : write_out(s);
	if (r) {
		log_debug("connection failed", "error=%s streams=%u", err_str(r), s->n_streams);
		session_kill(s);
		return;
	}
	session_find_shut(s);
	if (!list_empty(&s->waiting))
		session_wake_waiting(s);
	if (complete(s))
		session_linger(s);
}

static void on_written(struct conn *c)
{
	struct session *s = container_of(c, struct session, conn);

	s->transport->now_ns = clock_ns();
	session_mark_dirty(s);
}

static const struct conn_events conn_events = {
	.on_data = on_data,
	.on_written = on_written,
	.on_end = on_end,
	.on_closed = on_closed,
};

/*
 * http2_peer.h: calls on a loop of their own ("bed"), and HTTP/2 clients ("peers") that talk to it
 * over socket pairs on the same loop. Tests say what to send and run the loop until what they expect
 * has happened; nothing waits for time alone. A header and not an object, because other tests of this
 * folder bring doubles of what this one links.
 */
#ifndef TESTS_HTTP2_PEER_H
#define TESTS_HTTP2_PEER_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "grpc/calls.h"
#include "grpc/service.h"
#include "proto/grpc_frame.h"
#include "proto/grpc_status.h"

struct bed {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t watchdog; /* a test that waits for what never comes fails */
	struct http2_settings http2;
	struct grpc_settings grpc;
	struct calls *calls;
	struct service_index *index;
	struct endpoint endpoint;
	unsigned n_kept;	 /* connections that a service keeps something with */
	bool (*done)(void *arg); /* what bed_run() waits for */
	void *arg;
	bool drained;
	bool late;
};

/* Defaults that no test runs into. */
static inline void bed_defaults(struct bed *b);
/* After bed_defaults() and what the test changes. */
static inline int bed_open(struct bed *b, const struct service *const *services);
/* Kill what is left, wait for on_drained, free. */
static inline void bed_close(struct bed *b);
/* Run the loop until done(arg). Returns false when that took too long. */
static inline bool bed_run(struct bed *b, bool (*done)(void *arg), void *arg);

#define PEER_STREAMS	 512
#define PEER_HEADERS_MAX ((size_t)1 << 20) /* of a header list sent */

/* What came back on one stream. */
struct answer {
	int32_t id;
	int http_status;
	int grpc_status; /* -1: none came */
	char message[1100];
	char content_type[64];
	char encoding[32];
	char accept_encoding[64];
	struct buf body;
	unsigned n_headers; /* HEADERS frames */
	bool trailers_only;
	bool ended;  /* END_STREAM */
	bool closed; /* the stream is gone */
	uint32_t error;
};

struct http2_peer {
	struct bed *bed;
	nghttp2_session *ng; /* NULL: bytes only */
	uv_poll_t poll;
	int fd;
	bool reading;
	bool eof;
	bool poll_closed;
	struct buf out; /* not written yet */
	struct buf raw; /* what came */
	struct answer answers[PEER_STREAMS];
	unsigned n_answers;
	unsigned n_goaways;
	uint32_t goaway_error;
	int32_t goaway_last;
	char goaway_text[64];
	unsigned n_settings;
	unsigned n_ping_acks;
	unsigned n_pings;
	bool no_ping_ack;
	struct {
		int32_t id;
		struct buf data;
		size_t done;
		bool end;
		bool deferred;
	} bodies[PEER_STREAMS];
	unsigned n_bodies;
};

struct peer_options {
	bool raw;	       /* no HTTP/2 of ours */
	uint32_t window;       /* SETTINGS_INITIAL_WINDOW_SIZE; 0: default */
	bool no_window_update; /* never open a window again */
	bool no_ping_ack;
};

/* Connects; NULL when it was refused. */
static inline struct http2_peer *peer_new(struct bed *b, const struct peer_options *options);
static inline struct http2_peer *peer_free(struct http2_peer *p);

struct peer_request {
	const char *method; /* NULL: POST */
	const char *path;
	const char *content_type; /* NULL: application/grpc; "": none */
	const char *timeout;
	const char *encoding;
	const char *accept;
	const char *extra_name;
	const char *extra_value;
	const char *more_name, *more_value;
	bool no_te;
};

/* Open a call. end: END_STREAM on HEADERS. Returns the stream id. */
static inline int32_t peer_call(struct http2_peer *p, const struct peer_request *request, bool end);
/* Queue body bytes. */
static inline void peer_send(
	struct http2_peer *p, int32_t id, const void *data, size_t n, bool end);
/* A message with its prefix. */
static inline void peer_message(
	struct http2_peer *p, int32_t id, const void *data, size_t n, bool end);
static inline void peer_reset(struct http2_peer *p, int32_t id, uint32_t code);
static inline void peer_ping(struct http2_peer *p);
/* Bytes as they are. */
static inline void peer_bytes(struct http2_peer *p, const void *data, size_t n);
/* Stop or go on reading the socket. */
static inline void peer_read(struct http2_peer *p, bool on);
static inline void peer_flush(struct http2_peer *p);

static inline struct answer *peer_answer(struct http2_peer *p, int32_t id);
/* Run until the stream is closed. */
static inline struct answer *peer_wait(struct http2_peer *p, int32_t id);
/* For bed_run. */
static inline bool peer_is_eof(void *peer);
/* Message i of a body: data and size; false when it is not there whole. */
static inline bool answer_message(const struct answer *a, unsigned i, const uint8_t **ret_data,
	size_t *ret_n, bool *ret_compressed);

#define WATCHDOG_MS 10000
#define BODY_MAX    ((size_t)64 << 20)

/* Not made to fail by the fault loop. */
void *__real_realloc(void *memory, size_t n);
void *__real_calloc(size_t n, size_t size);

static inline void bytes_append(struct buf *b, const void *data, size_t n)
{
	cr_assert_leq(n, b->max - b->len);
	if (b->cap - b->len < n) {
		b->cap = 2 * (b->len + n);
		b->data = __real_realloc(b->data, b->cap);
		cr_assert(b->data);
	}
	if (n)
		memcpy(b->data + b->len, data, n);
	b->len += n;
}

/* --- bed -------------------------------------------------------------------------------------- */

static inline void bed_defaults(struct bed *b)
{
	*b = (struct bed){0};
	b->http2 = (struct http2_settings){
		.max_connections = 100,
		.max_concurrent_streams = 256,
		.stream_window_bytes = 4 << 20,
		.connection_window_bytes = 64 << 20,
		.max_held_bytes = 64 << 20,
		.max_frame_bytes = 64 << 10,
		.max_header_bytes = 16 << 10,
		.receive_timeout_ms = 60000,
		.send_timeout_ms = 60000,
		.handshake_timeout_ms = 60000,
		.max_age_grace_ms = 60000,
		.keepalive_interval_ms = 7200000,
		.keepalive_timeout_ms = 20000,
		.min_ping_interval_ms = 10000,
		.max_ping_strikes = 2,
		.reset_burst = 10000,
		.reset_rate = 1000,
		.max_output_bytes = 4 << 20,
	};
	b->grpc = (struct grpc_settings){
		.max_receive_message_bytes = 16 << 20,
		.compression = "none",
		.compression_min_bytes = 1024,
		.compression_max_bytes = 256 << 10,
	};
	log_init(NULL, LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
}

/* What timers have done must be seen before the loop sleeps. */
static inline void bed_turn(struct bed *b)
{
	if (b->calls)
		transport_flush(calls_transport(b->calls));
	if (b->done && b->done(b->arg))
		uv_stop(&b->loop);
}

static inline void bed_on_prepare(uv_prepare_t *h)
{
	bed_turn(h->data);
}

static inline void bed_on_check(uv_check_t *h)
{
	bed_turn(h->data);
}

static inline void on_drained(void *data)
{
	struct bed *b = data;

	cr_assert(!b->drained);
	b->drained = true;
}

static inline void bed_on_watchdog(uv_timer_t *h)
{
	struct bed *b = h->data;

	b->late = true;
}

static inline int bed_on_connection(void *data, void **ret_connection)
{
	struct bed *b = data;
	unsigned *kept = malloc(sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	b->n_kept++;
	*ret_connection = kept;
	return 0;
}

static inline void bed_on_connection_gone(void *data, void *connection)
{
	struct bed *b = data;

	b->n_kept--;
	free(connection);
}

static inline int bed_open(struct bed *b, const struct service *const *services)
{
	static const struct calls_events events = {
		.on_connection = bed_on_connection,
		.on_connection_gone = bed_on_connection_gone,
		.on_drained = on_drained,
	};
	int r;

	cr_assert_eq(uv_loop_init(&b->loop), 0);
	uv_prepare_init(&b->loop, &b->prepare);
	uv_check_init(&b->loop, &b->check);
	uv_timer_init(&b->loop, &b->watchdog);
	b->prepare.data = b->check.data = b->watchdog.data = b;
	uv_prepare_start(&b->prepare, bed_on_prepare);
	uv_check_start(&b->check, bed_on_check);
	r = service_index_new(&b->index, services);
	if (!r)
		r = calls_new(&b->calls, &b->loop, &b->http2, &b->grpc, &events, b);
	b->endpoint = (struct endpoint){.kind = ENDPOINT_UNIX, .offer = b->index};
	return r;
}

static inline bool is_drained(void *arg)
{
	return ((struct bed *)arg)->drained;
}

static inline void bed_close(struct bed *b)
{
	if (b->calls) {
		if (!b->drained)
			calls_kill(b->calls);
		cr_assert(bed_run(b, is_drained, b));
		cr_assert_eq(calls_counters(b->calls).open, 0);
		cr_assert_eq(transport_n_connections(calls_transport(b->calls)), 0);
		cr_assert_eq(b->n_kept, 0);
		b->calls = calls_free(b->calls);
	}
	b->index = service_index_free(b->index);
	uv_close((uv_handle_t *)&b->prepare, NULL);
	uv_close((uv_handle_t *)&b->check, NULL);
	uv_close((uv_handle_t *)&b->watchdog, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&b->loop), 0);
}

static inline bool bed_run(struct bed *b, bool (*done)(void *arg), void *arg)
{
	b->late = false;
	b->done = done;
	b->arg = arg;
	uv_timer_start(&b->watchdog, bed_on_watchdog, WATCHDOG_MS, 0);
	while (!done(arg) && !b->late)
		uv_run(&b->loop, UV_RUN_ONCE);
	uv_timer_stop(&b->watchdog);
	b->done = NULL;
	return !b->late;
}

/* --- what comes back -------------------------------------------------------------------------- */

static inline struct answer *peer_answer(struct http2_peer *p, int32_t id)
{
	struct answer *a;

	for (unsigned i = 0; i < p->n_answers; i++) {
		if (p->answers[i].id == id)
			return &p->answers[i];
	}
	cr_assert_lt(p->n_answers, PEER_STREAMS);
	a = &p->answers[p->n_answers++];
	a->id = id;
	a->grpc_status = -1;
	buf_init(&a->body, BODY_MAX);
	return a;
}

static inline void copy_text(char *out, size_t cap, const uint8_t *value, size_t n)
{
	n = n < cap - 1 ? n : cap - 1;
	if (n)
		memcpy(out, value, n);
	out[n] = 0;
}

static inline int peer_on_header(nghttp2_session *ng, const nghttp2_frame *frame,
	const uint8_t *name, size_t n_name, const uint8_t *value, size_t n, uint8_t flags,
	void *data)
{
	struct answer *a = peer_answer(data, frame->hd.stream_id);
	char key[64];

	copy_text(key, sizeof(key), name, n_name);
	if (!strcmp(key, ":status"))
		a->http_status = (int)strtol((const char *)value, NULL, 10);
	else if (!strcmp(key, "grpc-status"))
		a->grpc_status = (int)strtol((const char *)value, NULL, 10);
	else if (!strcmp(key, "grpc-encoding"))
		copy_text(a->encoding, sizeof(a->encoding), value, n);
	else if (!strcmp(key, "grpc-accept-encoding"))
		copy_text(a->accept_encoding, sizeof(a->accept_encoding), value, n);
	else if (!strcmp(key, "content-type"))
		copy_text(a->content_type, sizeof(a->content_type), value, n);
	else if (!strcmp(key, "grpc-message")) {
		copy_text(a->message, sizeof(a->message), value, n);
		a->message[grpc_message_decode(a->message, strlen(a->message))] = 0;
	}
	return 0;
}

static inline void peer_on_goaway(struct http2_peer *p, const nghttp2_goaway *goaway)
{
	p->n_goaways++;
	p->goaway_error = goaway->error_code;
	p->goaway_last = goaway->last_stream_id;
	copy_text(p->goaway_text, sizeof(p->goaway_text), goaway->opaque_data,
		goaway->opaque_data_len);
}

static inline int peer_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *data)
{
	struct http2_peer *p = data;
	bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct answer *a;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		a = peer_answer(p, frame->hd.stream_id);
		if (frame->hd.type == NGHTTP2_HEADERS) {
			a->n_headers++;
			a->trailers_only = end && a->n_headers == 1;
		} else {
			cr_assert(!end || a->grpc_status < 0);
		}
		a->ended |= end;
		break;
	case NGHTTP2_GOAWAY:
		peer_on_goaway(p, &frame->goaway);
		break;
	case NGHTTP2_SETTINGS:
		p->n_settings += !ack;
		break;
	case NGHTTP2_PING:
		p->n_ping_acks += ack;
		p->n_pings += !ack;
		if (!ack && !p->no_ping_ack)
			nghttp2_submit_ping(ng, NGHTTP2_FLAG_ACK, frame->ping.opaque_data);
		break;
	default:
		break;
	}
	return 0;
}

static inline int peer_on_chunk(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *data)
{
	bytes_append(&peer_answer(data, id)->body, bytes, n);
	return 0;
}

static inline int peer_on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *data)
{
	struct answer *a = peer_answer(data, id);

	a->closed = true;
	a->error = code;
	return 0;
}

/* --- what goes out ---------------------------------------------------------------------------- */

static inline ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *out, size_t cap,
	uint32_t *flags, nghttp2_data_source *source, void *data)
{
	struct http2_peer *p = data;
	unsigned i = (unsigned)source->fd;
	size_t n = p->bodies[i].data.len - p->bodies[i].done;

	if (n == 0 && !p->bodies[i].end) {
		p->bodies[i].deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = n < cap ? n : cap;
	if (n)
		memcpy(out, p->bodies[i].data.data + p->bodies[i].done, n);
	p->bodies[i].done += n;
	if (p->bodies[i].end && p->bodies[i].done == p->bodies[i].data.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static inline void add(nghttp2_nv *nv, size_t *n, const char *name, const char *value)
{
	if (value)
		nv[(*n)++] = (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name),
			strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static inline int32_t peer_call(struct http2_peer *p, const struct peer_request *q, bool end)
{
	const char *type = q->content_type ? q->content_type : "application/grpc";
	nghttp2_data_provider provider = {.read_callback = read_body};
	nghttp2_nv nv[12];
	size_t n = 0;
	int32_t id;

	add(nv, &n, ":method", q->method ? q->method : "POST");
	add(nv, &n, ":scheme", "http");
	add(nv, &n, ":path", q->path);
	add(nv, &n, ":authority", "test");
	add(nv, &n, "te", q->no_te ? NULL : "trailers");
	add(nv, &n, "content-type", *type ? type : NULL);
	add(nv, &n, "grpc-timeout", q->timeout);
	add(nv, &n, "grpc-encoding", q->encoding);
	add(nv, &n, "grpc-accept-encoding", q->accept);
	add(nv, &n, q->extra_name, q->extra_value);
	add(nv, &n, q->more_name, q->more_value);
	cr_assert_lt(p->n_bodies, PEER_STREAMS);
	provider.source.fd = (int)p->n_bodies;
	id = nghttp2_submit_request(p->ng, NULL, nv, n, end ? NULL : &provider, NULL);
	cr_assert_gt(id, 0);
	p->bodies[p->n_bodies].id = id;
	buf_init(&p->bodies[p->n_bodies++].data, BODY_MAX);
	peer_flush(p);
	return id;
}

static inline unsigned body_of(struct http2_peer *p, int32_t id)
{
	unsigned i = 0;

	while (i < p->n_bodies && p->bodies[i].id != id)
		i++;
	cr_assert_lt(i, p->n_bodies);
	return i;
}

static inline void peer_send(struct http2_peer *p, int32_t id, const void *data, size_t n, bool end)
{
	unsigned i = body_of(p, id);

	bytes_append(&p->bodies[i].data, data, n);
	p->bodies[i].end = end;
	if (p->bodies[i].deferred) {
		p->bodies[i].deferred = false;
		nghttp2_session_resume_data(p->ng, id);
	}
	peer_flush(p);
}

static inline void peer_message(
	struct http2_peer *p, int32_t id, const void *data, size_t n, bool end)
{
	uint8_t prefix[GRPC_PREFIX_SIZE];
	unsigned i = body_of(p, id);

	grpc_frame_prefix(prefix, false, (uint32_t)n);
	bytes_append(&p->bodies[i].data, prefix, sizeof(prefix));
	peer_send(p, id, data, n, end);
}

static inline void peer_reset(struct http2_peer *p, int32_t id, uint32_t code)
{
	nghttp2_submit_rst_stream(p->ng, NGHTTP2_FLAG_NONE, id, code);
	peer_flush(p);
}

static inline void peer_ping(struct http2_peer *p)
{
	nghttp2_submit_ping(p->ng, NGHTTP2_FLAG_NONE, NULL);
	peer_flush(p);
}

static inline void peer_on_poll(uv_poll_t *poll, int status, int events);

static inline void set_events(struct http2_peer *p)
{
	int events = (p->reading ? UV_READABLE : 0) | (p->out.len ? UV_WRITABLE : 0);

	if (p->eof || !events)
		uv_poll_stop(&p->poll);
	else
		uv_poll_start(&p->poll, events, peer_on_poll);
}

static inline void write_out(struct http2_peer *p)
{
	while (p->out.len && !p->eof) {
		/* Not send(), which fault loops let fail: the peer is not what is tested. */
		ssize_t n = sendto(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL, NULL, 0);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			buf_reset(&p->out);
			break;
		}
		buf_consume(&p->out, (size_t)n);
	}
	set_events(p);
}

static inline void peer_bytes(struct http2_peer *p, const void *data, size_t n)
{
	bytes_append(&p->out, data, n);
	write_out(p);
}

static inline void peer_flush(struct http2_peer *p)
{
	const uint8_t *data;
	ssize_t n;

	while (p->ng && (n = nghttp2_session_mem_send(p->ng, &data)) > 0)
		bytes_append(&p->out, data, (size_t)n);
	write_out(p);
}

static inline void read_in(struct http2_peer *p)
{
	static uint8_t buffer[65536];
	ssize_t n = read(p->fd, buffer, sizeof(buffer));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		p->eof = true;
		return;
	}
	bytes_append(&p->raw, buffer, (size_t)n);
	if (p->ng)
		cr_assert_geq(nghttp2_session_mem_recv(p->ng, buffer, (size_t)n), 0);
}

static inline void peer_on_poll(uv_poll_t *poll, int status, int events)
{
	struct http2_peer *p = poll->data;

	/* libuv reports a reset connection as an error, without events. */
	if (status < 0 || (events & UV_READABLE))
		read_in(p);
	peer_flush(p);
}

static inline void peer_read(struct http2_peer *p, bool on)
{
	p->reading = on;
	set_events(p);
}

/* --- life ------------------------------------------------------------------------------------- */

static inline void open_http2(struct http2_peer *p, const struct peer_options *o)
{
	nghttp2_session_callbacks *c;
	nghttp2_option *option;
	nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->window};

	cr_assert_eq(nghttp2_session_callbacks_new(&c), 0);
	cr_assert_eq(nghttp2_option_new(&option), 0);
	nghttp2_option_set_no_auto_ping_ack(option, 1);
	nghttp2_option_set_no_auto_window_update(option, o->no_window_update);
	nghttp2_option_set_max_send_header_block_length(option, PEER_HEADERS_MAX);
	nghttp2_session_callbacks_set_on_header_callback(c, peer_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, peer_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, peer_on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, peer_on_close);
	cr_assert_eq(nghttp2_session_client_new2(&p->ng, c, p, option), 0);
	cr_assert_eq(
		nghttp2_submit_settings(p->ng, NGHTTP2_FLAG_NONE, &entry, o->window ? 1 : 0), 0);
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(option);
}

static inline struct http2_peer *peer_new(struct bed *b, const struct peer_options *options)
{
	static const struct peer_options none;
	const struct peer_options *o = options ? options : &none;
	struct http2_peer *p = __real_calloc(1, sizeof(*p));
	int fds[2];

	cr_assert(p);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->bed = b;
	p->fd = fds[0];
	p->reading = true;
	p->no_ping_ack = o->no_ping_ack;
	buf_init(&p->out, BODY_MAX);
	buf_init(&p->raw, BODY_MAX);
	cr_assert_eq(uv_poll_init(&b->loop, &p->poll, p->fd), 0);
	p->poll.data = p;
	if (!transport_adopt(calls_transport(b->calls), fds[1], &b->endpoint))
		return peer_free(p);
	if (!o->raw)
		open_http2(p, o);
	peer_flush(p);
	return p;
}

static inline void peer_on_poll_closed(uv_handle_t *h)
{
	((struct http2_peer *)h->data)->poll_closed = true;
}

static inline bool is_poll_closed(void *arg)
{
	return ((struct http2_peer *)arg)->poll_closed;
}

static inline struct http2_peer *peer_free(struct http2_peer *p)
{
	if (!p)
		return NULL;
	uv_poll_stop(&p->poll);
	close(p->fd);
	uv_close((uv_handle_t *)&p->poll, peer_on_poll_closed);
	cr_assert(bed_run(p->bed, is_poll_closed, p));
	nghttp2_session_del(p->ng);
	for (unsigned i = 0; i < p->n_answers; i++)
		buf_deinit(&p->answers[i].body);
	for (unsigned i = 0; i < p->n_bodies; i++)
		buf_deinit(&p->bodies[i].data);
	buf_deinit(&p->out);
	buf_deinit(&p->raw);
	free(p);
	return NULL;
}

static inline bool peer_is_eof(void *peer)
{
	return ((struct http2_peer *)peer)->eof;
}

static inline bool is_closed(void *answer)
{
	return ((struct answer *)answer)->closed;
}

static inline struct answer *peer_wait(struct http2_peer *p, int32_t id)
{
	struct answer *a = peer_answer(p, id);

	cr_assert(bed_run(p->bed, is_closed, a), "stream %d did not close", id);
	return a;
}

static inline bool answer_message(const struct answer *a, unsigned i, const uint8_t **ret_data,
	size_t *ret_n, bool *ret_compressed)
{
	const uint8_t *at = a->body.data;
	size_t left = a->body.len;

	for (;;) {
		size_t n;

		if (left < GRPC_PREFIX_SIZE)
			return false;
		n = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
		if (left - GRPC_PREFIX_SIZE < n)
			return false;
		if (i-- == 0) {
			*ret_data = at + GRPC_PREFIX_SIZE;
			*ret_n = n;
			*ret_compressed = at[0] == 1;
			return true;
		}
		at += GRPC_PREFIX_SIZE + n;
		left -= GRPC_PREFIX_SIZE + n;
	}
}

#endif

/*
 * transport_test.c: HTTP/2 without gRPC: a floor of our own on the transport, that answers a request
 * with headers, a body and trailers of its choice, and a client of nghttp2's.
 */
#include "http2/transport.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http2/session.h"
#include "http2/stream.h"
#include "tests/support/failalloc.h"

#define WATCHDOG_MS 10000

/* What the floor above keeps of a stream. */
struct exchange {
	struct stream stream; /* first */
	char path[32];
	size_t n_body;
	bool requested;
};

/* The floor above, the loop, and one client. */
static struct bed {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_timer_t watchdog;
	struct http2_settings settings;
	struct transport *transport;
	struct endpoint endpoint;
	unsigned begun;
	unsigned closed;
	unsigned kept; /* connections that something is kept with */
	unsigned shutdowns;
	bool drained;
	bool late;

	nghttp2_session *client; /* NULL: bytes only */
	uv_poll_t poll;
	int fd;
	bool eof;
	bool poll_closed;
	char raw[4096]; /* what came first */
	size_t n_raw;
	char headers[1024]; /* "name: value\n" of all that came */
	char body[64];
	size_t n_body;
	bool ended;
	uint32_t end_code;			     /* of the stream that ended last */
	size_t n_upload;			     /* bytes that are to be sent yet; 0: a word */
	unsigned connection_updates, stream_updates; /* of windows */
} bed;

static struct exchange *exchange_of(struct stream *s)
{
	return (struct exchange *)s;
}

/* --- the floor above -------------------------------------------------------------------------- */

static void on_begin(struct stream *s)
{
	bed.begun++;
	cr_assert_eq(exchange_of(s)->n_body, 0, "the memory is zeroed");
	cr_assert_eq(session_transport(s->session), bed.transport);
	cr_assert_eq(session_endpoint(s->session), &bed.endpoint);
}

static void on_header(
	struct stream *s, const char *name, size_t n_name, const char *value, size_t n_value)
{
	struct exchange *x = exchange_of(s);

	if (n_name != 5 || memcmp(name, ":path", 5) != 0)
		return;
	cr_assert_lt(n_value, sizeof(x->path));
	memcpy(x->path, value, n_value);
}

static void on_request(struct stream *s)
{
	void **kept = session_kept(s->session);

	exchange_of(s)->requested = true;
	if (*kept)
		return;
	*kept = &bed;
	bed.kept++;
}

static void on_data(struct stream *s, const uint8_t *data, size_t n)
{
	exchange_of(s)->n_body += n;
	stream_taken(s, n);
}

/* "/alone": headers alone; "/bare": a body without trailers; anything else: with them. */
static void on_half_close(struct stream *s)
{
	static const struct header headers[] = {
		HEADER_LITERAL(":status", "201"), HEADER_LITERAL("content-type", "text/cat")};
	const char *path = exchange_of(s)->path;

	cr_assert(exchange_of(s)->requested);
	if (!strcmp(path, "/alone")) {
		stream_respond_alone(s, headers, 2);
		return;
	}
	if (stream_queue_copy(s, "purr", 4)) {
		stream_cancel(s);
		return;
	}
	stream_respond(s, headers, 2);
	stream_end(s, strcmp(path, "/bare") != 0);
}

static size_t on_trailers(struct stream *s, struct header *ret_trailers)
{
	static char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%zu", exchange_of(s)->n_body);

	ret_trailers[0] = (struct header)HEADER_LITERAL("x-mood", "good");
	ret_trailers[1] = (struct header){"x-bytes", digits, 7, n, HEADER_UNIQUE};
	return 2;
}

static void nothing(struct stream *s)
{
}

static void on_shutdown(struct stream *s)
{
	bed.shutdowns++;
}

static void on_close(struct stream *s)
{
	bed.closed++;
}

static const char *on_stranger(const uint8_t *data, size_t n)
{
	return n >= 5 && !memcmp(data, "HELLO", 5) ? "Good day.\n" : NULL;
}

static void on_forget(void *data, void *kept)
{
	cr_assert_eq(data, &bed);
	cr_assert_eq(kept, &bed);
	bed.kept--;
}

static void on_drained(void *data)
{
	cr_assert_not(bed.drained);
	bed.drained = true;
}

static const struct stream_events streams = {
	.stream_bytes = sizeof(struct exchange),
	.on_begin = on_begin,
	.on_header = on_header,
	.on_request = on_request,
	.on_data = on_data,
	.on_half_close = on_half_close,
	.on_trailers = on_trailers,
	.on_room = nothing,
	.on_silent = nothing,
	.on_slow = nothing,
	.on_stuck = nothing,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
};

static const struct transport_events events = {
	.streams = &streams,
	.on_stranger = on_stranger,
	.on_forget = on_forget,
	.on_drained = on_drained,
};

/* --- the client ------------------------------------------------------------------------------- */

static int client_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *data)
{
	size_t n = strlen(bed.headers);

	snprintf(bed.headers + n, sizeof(bed.headers) - n, "%.*s: %.*s\n", (int)n_name,
		(const char *)name, (int)n_value, (const char *)value);
	return 0;
}

static int client_on_chunk(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *data)
{
	cr_assert_leq(n, sizeof(bed.body) - bed.n_body);
	memcpy(bed.body + bed.n_body, bytes, n);
	bed.n_body += n;
	return 0;
}

static int client_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *data)
{
	if (frame->hd.type != NGHTTP2_WINDOW_UPDATE)
		return 0;
	if (frame->hd.stream_id == 0)
		bed.connection_updates++;
	else
		bed.stream_updates++;
	return 0;
}

static int client_on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *data)
{
	bed.ended = true;
	bed.end_code = code;
	return 0;
}

static void client_send(void)
{
	const uint8_t *data;
	ssize_t n;

	while (bed.client && (n = nghttp2_session_mem_send(bed.client, &data)) > 0)
		cr_assert_eq(send(bed.fd, data, (size_t)n, MSG_NOSIGNAL), n);
}

static void on_poll(uv_poll_t *poll, int status, int event)
{
	uint8_t data[4096];
	ssize_t n = read(bed.fd, data, sizeof(data));

	if (n <= 0) {
		bed.eof = true;
		uv_poll_stop(poll);
		return;
	}
	if (!bed.client && (size_t)n <= sizeof(bed.raw) - bed.n_raw) {
		memcpy(bed.raw + bed.n_raw, data, (size_t)n);
		bed.n_raw += (size_t)n;
	}
	if (bed.client)
		cr_assert_eq(nghttp2_session_mem_recv(bed.client, data, (size_t)n), n);
	client_send();
}

static void client_open(bool http2)
{
	nghttp2_session_callbacks *c;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	bed.fd = fds[0];
	cr_assert_eq(uv_poll_init(&bed.loop, &bed.poll, bed.fd), 0);
	cr_assert_eq(uv_poll_start(&bed.poll, UV_READABLE, on_poll), 0);
	cr_assert(transport_adopt(bed.transport, fds[1], &bed.endpoint));
	if (!http2)
		return;
	cr_assert_eq(nghttp2_session_callbacks_new(&c), 0);
	nghttp2_session_callbacks_set_on_header_callback(c, client_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, client_on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, client_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, client_on_close);
	cr_assert_eq(nghttp2_session_client_new(&bed.client, c, NULL), 0);
	nghttp2_session_callbacks_del(c);
	cr_assert_eq(nghttp2_submit_settings(bed.client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static void on_poll_closed(uv_handle_t *h)
{
	bed.poll_closed = true;
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *data)
{
	size_t n = bed.n_upload < cap ? bed.n_upload : cap;

	if (n == 0) {
		memcpy(out, "stroke", 6);
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		return 6;
	}
	memset(out, 's', n);
	bed.n_upload -= n;
	if (bed.n_upload == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* last: the name of the last header. */
static void ask_with(const char *path, const char *authority, const char *last)
{
	const nghttp2_nv nv[] = {
		{(uint8_t *)":method", (uint8_t *)"PUT", 7, 3, NGHTTP2_NV_FLAG_NONE},
		{(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, NGHTTP2_NV_FLAG_NONE},
		{(uint8_t *)":path", (uint8_t *)path, 5, strlen(path), NGHTTP2_NV_FLAG_NONE},
		{(uint8_t *)":authority", (uint8_t *)authority, 10, strlen(authority),
			NGHTTP2_NV_FLAG_NONE},
		{(uint8_t *)last, (uint8_t *)"x", strlen(last), 1, NGHTTP2_NV_FLAG_NONE},
	};
	const nghttp2_data_provider body = {.read_callback = read_body};

	bed.headers[0] = '\0';
	bed.n_body = 0;
	bed.ended = false;
	cr_assert_gt(nghttp2_submit_request(bed.client, NULL, nv, 5, &body, NULL), 0);
	client_send();
}

static void ask(const char *path)
{
	ask_with(path, "here", "x-last");
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_prepare(uv_prepare_t *h)
{
	if (bed.transport)
		transport_flush(bed.transport);
}

static void on_watchdog(uv_timer_t *h)
{
	bed.late = true;
}

static int open_transport(void)
{
	return transport_new(&bed.transport, &bed.loop, &bed.settings, &events, &bed);
}

static void set_up(void)
{
	bed = (struct bed){
		.endpoint = {.kind = ENDPOINT_UNIX},
		.settings = {.max_connections = 2,
			.max_concurrent_streams = 10,
			.stream_window_bytes = 65535,
			.connection_window_bytes = 131072,
			.max_held_bytes = 64 << 20,
			.max_frame_bytes = 16384,
			.max_header_bytes = 4096,
			.receive_timeout_ms = 60000,
			.send_timeout_ms = 60000,
			.handshake_timeout_ms = 60000,
			.keepalive_interval_ms = 7200000,
			.keepalive_timeout_ms = 20000,
			.reset_burst = 100,
			.reset_rate = 10,
			.max_output_bytes = 1 << 20},
		.fd = -1,
	};
	log_init(NULL, LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	uv_prepare_init(&bed.loop, &bed.prepare);
	uv_prepare_start(&bed.prepare, on_prepare);
	uv_timer_init(&bed.loop, &bed.watchdog);
	uv_timer_start(&bed.watchdog, on_watchdog, WATCHDOG_MS, 0);
	cr_assert_eq(open_transport(), 0);
}

#define RUN_UNTIL(condition)                                                                       \
	do {                                                                                       \
		while (!(condition) && !bed.late)                                                  \
			uv_run(&bed.loop, UV_RUN_NOWAIT);                                          \
		cr_assert(condition);                                                              \
	} while (0)

static void tear_down(void)
{
	if (!bed.drained)
		transport_kill(bed.transport);
	RUN_UNTIL(bed.drained);
	cr_assert_eq(bed.begun, bed.closed);
	cr_assert_eq(bed.kept, 0);
	bed.transport = transport_free(bed.transport);
	nghttp2_session_del(bed.client);
	if (bed.fd >= 0) {
		uv_close((uv_handle_t *)&bed.poll, on_poll_closed);
		RUN_UNTIL(bed.poll_closed);
		close(bed.fd);
	}
	uv_close((uv_handle_t *)&bed.prepare, NULL);
	uv_close((uv_handle_t *)&bed.watchdog, NULL);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
}

TestSuite(transport, .init = set_up, .fini = tear_down);

/* --- tests ------------------------------------------------------------------------------------ */

Test(transport, headers_body_and_trailers)
{
	client_open(true);
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_assert_str_eq(
		bed.headers, ":status: 201\ncontent-type: text/cat\nx-mood: good\nx-bytes: 6\n");
	cr_assert_eq(bed.n_body, 4);
	cr_assert_arr_eq(bed.body, "purr", 4);
	cr_assert_eq(bed.kept, 1);
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_assert_eq(bed.kept, 1, "one a connection");
}

/* The stream's is given back while more of it is to come, the connection's always. */
Test(transport, windows_are_given_back)
{
	bed.settings.stream_window_bytes = 16384;
	client_open(true);
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_assert_eq(bed.connection_updates, 1, "it is larger than a client takes it to be");
	bed.n_upload = 16384;
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_expect_not_null(strstr(bed.headers, "x-bytes: 16384\n"));
	cr_expect_eq(bed.stream_updates, 0, "all of it came in one frame, the last");
	bed.n_upload = 200000;
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_expect_not_null(strstr(bed.headers, "x-bytes: 200000\n"));
	cr_expect_geq(bed.stream_updates, (200000 - 16384) / 16384);
	cr_expect_gt(bed.connection_updates, 1);
}

Test(transport, no_trailers)
{
	client_open(true);
	ask("/bare");
	RUN_UNTIL(bed.ended);
	cr_assert_str_eq(bed.headers, ":status: 201\ncontent-type: text/cat\n");
	cr_assert_eq(bed.n_body, 4);
}

Test(transport, headers_alone)
{
	client_open(true);
	ask("/alone");
	RUN_UNTIL(bed.ended);
	cr_assert_str_eq(bed.headers, ":status: 201\ncontent-type: text/cat\n");
	cr_assert_eq(bed.n_body, 0);
}

Test(transport, strangers_hear_what_the_floor_above_says)
{
	client_open(false);
	cr_assert_eq(send(bed.fd, "HELLO there\r\n", 13, 0), 13);
	RUN_UNTIL(bed.eof);
	cr_assert_eq(bed.n_raw, 10);
	cr_assert_arr_eq(bed.raw, "Good day.\n", 10);
	cr_assert_eq(bed.begun, 0);
}

Test(transport, or_nothing)
{
	client_open(false);
	cr_assert_eq(send(bed.fd, "hello there\r\n", 13, 0), 13);
	RUN_UNTIL(bed.eof);
	cr_assert_eq(bed.n_raw, 0);
}

/* Over a Unix socket that is what some clients name it. */
Test(transport, the_authority_may_be_a_path)
{
	client_open(true);
	ask_with("/cat", "/run/modeld/grpc.sock", "x-last");
	RUN_UNTIL(bed.ended);
	cr_assert_eq(bed.end_code, NGHTTP2_NO_ERROR);
	cr_assert_eq(bed.n_body, 4);
}

/* Each costs its stream, of which the floor above hears no request, and no more. */
Test(transport, requests_that_are_none_are_reset)
{
	static const struct {
		const char *path;
		const char *last;
	} wrong[] = {{"", "x-last"}, {"/cat", ":path"}, {"/cat", ":status"}, {"/cat", "connection"},
		{"/cat", "te"}};
	const unsigned n = sizeof(wrong) / sizeof(wrong[0]);

	client_open(true);
	for (unsigned i = 0; i < n; i++) {
		ask_with(wrong[i].path, "here", wrong[i].last);
		RUN_UNTIL(bed.ended);
		cr_expect_eq(bed.end_code, NGHTTP2_PROTOCOL_ERROR, "list %u", i);
		cr_assert_eq(bed.kept, 0);
		RUN_UNTIL(bed.closed == i + 1);
	}
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_assert_eq(bed.end_code, NGHTTP2_NO_ERROR);
}

/* A string of 65537 bytes is announced: nghttp2 decodes no further, and says no word of its own. */
Test(transport, goaway_has_words)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0\0"
				    "\0\0\7\1\0\0\0\0\1"
				    "\0\1x\x7f\x82\xff\3";
	static const char words[] = "more than 65536 bytes";

	client_open(false);
	cr_assert_eq(send(bed.fd, bytes, sizeof(bytes) - 1, 0), (ssize_t)sizeof(bytes) - 1);
	RUN_UNTIL(bed.eof);
	cr_assert_not_null(memmem(bed.raw, bed.n_raw, words, sizeof(words) - 1));
}

/* Asked to end, the floor above hears of it for each stream; what is open finishes. */
Test(transport, drains)
{
	client_open(true);
	ask("/cat");
	RUN_UNTIL(bed.begun == 1);
	transport_drain(bed.transport);
	RUN_UNTIL(bed.ended);
	RUN_UNTIL(bed.drained);
	cr_assert_eq(bed.shutdowns, 1);
	cr_assert_arr_eq(bed.body, "purr", 4);
	cr_assert_eq(transport_n_connections(bed.transport), 0);
}

/* Who has just connected is not reset: he is greeted, and told that there will be no more. */
Test(transport, drains_who_has_said_nothing_yet)
{
	client_open(true);
	transport_drain(bed.transport);
	ask("/cat");
	RUN_UNTIL(bed.ended);
	cr_assert_arr_eq(bed.body, "purr", 4);
	RUN_UNTIL(bed.drained);
}

Test(transport, waits_a_moment_for_who_says_nothing)
{
	client_open(false);
	transport_drain(bed.transport);
	RUN_UNTIL(bed.drained);
	cr_assert_eq(transport_n_connections(bed.transport), 0);
}

static int open_and_free(void *arg)
{
	struct transport *t = NULL;
	int r = transport_new(&t, &bed.loop, &bed.settings, &events, &bed);

	transport_free(t);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	return r;
}

Test(transport, faults)
{
	FAULT_LOOP(open_and_free, NULL);
}

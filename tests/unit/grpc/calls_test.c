/* calls_test.c: connections: handshake, limits of time and number, GOAWAY, pings, strangers. */
#include "http2_peer.h"
#include "peer_services.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/uio.h>

#include "grpc/call_private.h"
#include "http2/session_private.h"
#include "tests/support/failalloc.h"

static struct bed bed;

static void set_up(void)
{
	bed_defaults(&bed);
	memset(&fake_log, 0, sizeof(fake_log));
}

static void tear_down(void)
{
	cr_assert_eq(fake_log.opened, fake_log.closed);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

TestSuite(calls, .init = set_up, .fini = tear_down);

static struct http2_peer *open_with(const struct peer_options *options)
{
	struct http2_peer *p;

	cr_assert_eq(bed_open(&bed, fake_services), 0);
	p = peer_new(&bed, options);
	cr_assert(p);
	return p;
}

static void close_with(struct http2_peer *p)
{
	peer_free(p);
	bed_close(&bed);
}

static void wait_eof(struct http2_peer *p)
{
	cr_assert(bed_run(&bed, peer_is_eof, p));
}

static int32_t start(struct http2_peer *p, const char *path, bool end)
{
	return peer_call(p, &(struct peer_request){.path = path}, end);
}

static void expect_echo(struct http2_peer *p)
{
	int32_t id = start(p, "/t.T/Echo", false);

	peer_message(p, id, "x", 1, true);
	cr_assert_eq(peer_wait(p, id)->grpc_status, GRPC_OK);
}

static bool call_is_open(void *arg)
{
	return fake_log.call != NULL;
}

static bool is_drained_now(void *arg)
{
	return bed.drained;
}

/* --- shutdown --------------------------------------------------------------------------------- */

static bool has_goaway(void *peer)
{
	return ((struct http2_peer *)peer)->n_goaways == 1;
}

static bool has_two_goaways(void *peer)
{
	return ((struct http2_peer *)peer)->n_goaways == 2;
}

Test(calls, goaway_in_two_steps)
{
	struct http2_peer *p = open_with(NULL);
	int32_t chat = start(p, "/t.T/Chat", false);
	int32_t late;

	cr_assert(bed_run(&bed, call_is_open, NULL));
	p->no_ping_ack = true;
	calls_drain(bed.calls);
	cr_assert(bed_run(&bed, has_goaway, p));
	cr_assert_eq(p->goaway_last, INT32_MAX);
	cr_assert_eq(p->goaway_error, NGHTTP2_NO_ERROR);
	/* What crossed the first GOAWAY on its way is served. nghttp2's client sends nothing after
	 * a GOAWAY, so the call in flight stands for it. */
	peer_message(p, chat, "a", 1, false);
	late = p->goaway_last;
	cr_assert_eq(late, INT32_MAX);
	/* No answer to the ping: the second step comes by time. */
	cr_assert(bed_run(&bed, has_two_goaways, p));
	cr_assert_eq(p->goaway_last, chat);
	cr_assert_str_eq(p->goaway_text, "draining");
	cr_assert_not(bed.drained);
	peer_message(p, chat, "b", 1, true);
	cr_assert_eq(peer_wait(p, chat)->grpc_status, GRPC_OK);
	wait_eof(p);
	peer_free(p);
	cr_assert(bed_run(&bed, is_drained_now, NULL));
	bed_close(&bed);
}

static bool two_calls_were_opened(void *arg)
{
	return fake_log.opened == 2;
}

/* By hand, because nghttp2's client opens nothing after a GOAWAY. */
static void open_by_hand(struct http2_peer *p, uint8_t stream)
{
	static const char block[] = "\x83\x86\x04\x0a/t.T/Never\x01\x01"
				    "a\x0f\x10\x10"
				    "application/grpc";
	const uint8_t frame[] = {0, 0, sizeof(block) - 1, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS,
		0, 0, 0, stream};

	peer_bytes(p, frame, sizeof(frame));
	peer_bytes(p, block, sizeof(block) - 1);
}

Test(calls, call_that_crosses_the_first_goaway_is_served)
{
	struct http2_peer *p = open_with(NULL);

	start(p, "/t.T/Never", false);
	cr_assert(bed_run(&bed, call_is_open, NULL));
	p->no_ping_ack = true;
	calls_drain(bed.calls);
	cr_assert(bed_run(&bed, has_goaway, p));
	open_by_hand(p, 3);
	cr_assert(bed_run(&bed, two_calls_were_opened, NULL));
	cr_assert(bed_run(&bed, has_two_goaways, p));
	cr_assert_eq(p->goaway_last, 3);
	open_by_hand(p, 5);
	for (unsigned i = 0; i < 20; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_eq(fake_log.opened, 2);
	close_with(p);
}

Test(calls, drain_without_calls)
{
	struct http2_peer *p = open_with(NULL);

	expect_echo(p);
	calls_drain(bed.calls);
	wait_eof(p);
	/* nghttp2's client looks at nothing after a GOAWAY when it has no calls. */
	cr_assert_eq(p->goaway_last, INT32_MAX);
	cr_assert(memmem(p->raw.data, p->raw.len, "draining", 8));
	peer_free(p);
	cr_assert(bed_run(&bed, is_drained_now, NULL));
	bed_close(&bed);
}

Test(calls, kill_closes_calls)
{
	struct http2_peer *p = open_with(NULL);

	start(p, "/t.T/Never", false);
	cr_assert(bed_run(&bed, call_is_open, NULL));
	calls_kill(bed.calls);
	cr_assert_eq(fake_log.closed, 1);
	cr_assert_not(bed.drained);
	wait_eof(p);
	close_with(p);
}

Test(calls, drain_with_no_connection)
{
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	calls_drain(bed.calls);
	cr_assert_not(bed.drained);
	cr_assert(bed_run(&bed, is_drained_now, NULL));
	bed_close(&bed);
}

/* --- time ------------------------------------------------------------------------------------- */

Test(calls, handshake_timeout)
{
	struct http2_peer *p;

	bed.http2.handshake_timeout_ms = 20;
	p = open_with(&(struct peer_options){.raw = true});
	peer_bytes(p, "PRI * HT", 8);
	wait_eof(p);
	close_with(p);
}

Test(calls, idle_timeout)
{
	struct http2_peer *p;

	bed.http2.idle_timeout_ms = 20;
	p = open_with(NULL);
	expect_echo(p);
	wait_eof(p);
	cr_assert(memmem(p->raw.data, p->raw.len, "max_idle", 8));
	close_with(p);
}

Test(calls, a_call_is_not_idle)
{
	struct http2_peer *p;
	int32_t id;

	bed.http2.idle_timeout_ms = 10;
	p = open_with(NULL);
	id = peer_call(p, &(struct peer_request){.path = "/t.T/Never", .timeout = "60m"}, false);
	cr_assert_eq(peer_wait(p, id)->http_status, 200);
	cr_assert_eq(peer_answer(p, id)->grpc_status, GRPC_DEADLINE_EXCEEDED);
	close_with(p);
}

Test(calls, max_age_and_grace)
{
	struct http2_peer *p;

	bed.http2.max_age_ms = 30;
	bed.http2.max_age_grace_ms = 30;
	p = open_with(NULL);
	start(p, "/t.T/Never", false);
	wait_eof(p);
	cr_assert_eq(p->n_goaways, 2);
	cr_assert_str_eq(p->goaway_text, "max_age");
	cr_assert_eq(fake_log.closed, 1);
	close_with(p);
}

Test(calls, keepalive)
{
	struct http2_peer *p;

	bed.http2.keepalive_interval_ms = 20;
	bed.http2.keepalive_timeout_ms = 20;
	p = open_with(NULL);
	while (p->n_pings < 3)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_not(p->eof);
	p->no_ping_ack = true;
	wait_eof(p);
	close_with(p);
}

Test(calls, silent_inside_a_message)
{
	struct http2_peer *p;
	int32_t id;
	const struct answer *a;

	bed.http2.receive_timeout_ms = 30;
	p = open_with(NULL);
	id = start(p, "/t.T/Chat", false);
	peer_send(p, id, "\0\0\0\0\7abc", 8, false);
	a = peer_wait(p, id);
	cr_assert_eq(a->grpc_status, GRPC_DEADLINE_EXCEEDED);
	cr_assert(strstr(a->message, "receive_timeout_ms (30)"));
	expect_echo(p);
	close_with(p);
}

Test(calls, reader_that_opens_no_window)
{
	struct http2_peer *p;
	int32_t id;

	bed.http2.send_timeout_ms = 30;
	p = open_with(&(struct peer_options){.no_window_update = true});
	id = start(p, "/t.T/Big", false);
	peer_message(p, id, "100000", 6, true);
	cr_assert_eq(peer_wait(p, id)->grpc_status, GRPC_DEADLINE_EXCEEDED);
	cr_assert(strstr(peer_answer(p, id)->message, "send_timeout_ms (30)"));
	cr_assert_eq(fake_log.released, 1);
	close_with(p);
}

static bool no_connection(void *arg)
{
	return transport_n_connections(calls_transport(bed.calls)) == 0;
}

Test(calls, reader_that_leaves_the_socket_full)
{
	struct http2_peer *p;
	int32_t id;

	bed.http2.send_timeout_ms = 30;
	p = open_with(&(struct peer_options){.window = 16 << 20});
	nghttp2_session_set_local_window_size(p->ng, NGHTTP2_FLAG_NONE, 0, 16 << 20);
	id = start(p, "/t.T/Big", false);
	peer_read(p, false);
	peer_message(p, id, "10000000", 8, true);
	cr_assert(bed_run(&bed, no_connection, NULL));
	cr_assert_eq(fake_log.released, 1);
	close_with(p);
}

static struct session *session_under_test(void)
{
	return fake_log.call->stream.session;
}

/* Let the session look at its streams as if `stream` had been stuck since the machine started. */
static void look_at_stuck(struct stream *stream)
{
	struct session *s = stream->session;

	cr_assert_gt(stream->queued_bytes, 0);
	stream->progress_ns = 0;
	s->scanned_ns = 0;
	session_on_due(&s->timer);
}

static struct http2_peer *flood_with(uint32_t window)
{
	struct http2_peer *p = open_with(
		&(struct peer_options){.window = window, .no_window_update = window == 0});
	int32_t id = start(p, "/t.T/Flood", false);

	nghttp2_session_set_local_window_size(p->ng, NGHTTP2_FLAG_NONE, 0, 16 << 20);
	peer_read(p, false);
	peer_message(p, id, "", 0, true);
	return p;
}

static bool socket_is_full(void *arg)
{
	return fake_log.call && conn_pending(&session_under_test()->conn) &&
	       fake_log.call->stream.queued_bytes;
}

static bool window_is_shut(void *arg)
{
	return fake_log.call && !conn_pending(&session_under_test()->conn) &&
	       fake_log.call->stream.queued_bytes;
}

/* A gather may take long on a slow line: the streams behind it are not to blame. */
Test(calls, slow_socket_is_no_stuck_stream)
{
	struct http2_peer *p = flood_with(16 << 20);

	cr_assert(bed_run(&bed, socket_is_full, NULL));
	look_at_stuck(&fake_log.call->stream);
	peer_read(p, true);
	while (peer_answer(p, 1)->body.len < (4 << 20))
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_eq(fake_log.closed, 0);
	close_with(p);
}

/* Nothing may be sent on a call whose status is on its way. */
Test(calls, stuck_stream_is_closed_at_once)
{
	struct http2_peer *p = flood_with(0);

	cr_assert(bed_run(&bed, window_is_shut, NULL));
	look_at_stuck(&fake_log.call->stream);
	cr_assert_eq(fake_log.closed, 1);
	peer_read(p, true);
	cr_assert_eq(peer_wait(p, 1)->grpc_status, GRPC_DEADLINE_EXCEEDED);
	close_with(p);
}

static bool is_leaving(void *arg)
{
	return session_under_test()->state == SESSION_LEAVING;
}

/* The grace is for connections that are too old. */
Test(calls, drain_is_not_cut_by_the_grace_of_age)
{
	struct http2_peer *p;

	bed.http2.max_age_ms = 3600000;
	p = open_with(NULL);
	start(p, "/t.T/Never", false);
	cr_assert(bed_run(&bed, call_is_open, NULL));
	calls_drain(bed.calls);
	cr_assert(bed_run(&bed, is_leaving, NULL));
	session_under_test()->state_ns = 1;
	session_on_due(&session_under_test()->timer);
	cr_assert_eq(fake_log.closed, 0);
	peer_reset(p, 1, NGHTTP2_CANCEL);
	wait_eof(p);
	close_with(p);
}

static bool kernel_takes_all;
static size_t n_swallowed;

/* In the place of libuv's: the fastest of all readers. */
int uv_try_write(uv_stream_t *stream, const uv_buf_t *parts, unsigned n)
{
	ssize_t written;

	if (!kernel_takes_all) {
		written = writev(stream->io_watcher.fd, (const struct iovec *)parts, (int)n);
		return written < 0 ? -errno : (int)written;
	}
	written = 0;
	for (unsigned i = 0; i < n; i++)
		written += (ssize_t)parts[i].len;
	n_swallowed += (size_t)written;
	return (int)written;
}

Test(calls, fast_reader_leaves_others_their_turn)
{
	struct http2_peer *p = open_with(&(struct peer_options){.window = INT32_MAX});
	size_t most = 0;
	size_t n = 0;
	int32_t id;

	nghttp2_session_set_local_window_size(p->ng, NGHTTP2_FLAG_NONE, 0, INT32_MAX);
	expect_echo(p);
	kernel_takes_all = true;
	id = start(p, "/t.T/Big", false);
	peer_message(p, id, "30000000", 8, true);
	while (n_swallowed < 30000000) {
		uv_run(&bed.loop, UV_RUN_ONCE);
		most = n_swallowed - n > most ? n_swallowed - n : most;
		n = n_swallowed;
	}
	cr_assert_lt(most, 16 << 20);
	close_with(p);
}

/* --- pings ------------------------------------------------------------------------------------ */

Test(calls, ping_strikes)
{
	struct http2_peer *p = open_with(NULL);

	for (unsigned i = 0; i < 4; i++)
		peer_ping(p);
	wait_eof(p);
	cr_assert_eq(p->n_goaways, 1);
	cr_assert_eq(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	cr_assert_str_eq(p->goaway_text, "too_many_pings");
	close_with(p);
}

Test(calls, replies_forgive_pings)
{
	struct http2_peer *p = open_with(NULL);

	for (unsigned i = 0; i < 20; i++) {
		peer_ping(p);
		peer_ping(p);
		expect_echo(p);
	}
	cr_assert_eq(p->n_goaways, 0);
	cr_assert_eq(p->n_ping_acks, 40);
	close_with(p);
}

Test(calls, no_strikes_when_there_is_no_limit)
{
	struct http2_peer *p;

	bed.http2.max_ping_strikes = 0;
	p = open_with(NULL);
	for (unsigned i = 0; i < 20; i++)
		peer_ping(p);
	while (p->n_ping_acks < 20)
		uv_run(&bed.loop, UV_RUN_ONCE);
	expect_echo(p);
	close_with(p);
}

/* --- strangers and abuse ---------------------------------------------------------------------- */

Test(calls, http1_gets_a_sentence)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http2_peer *p = open_with(&(struct peer_options){.raw = true});

	peer_bytes(p, get, sizeof(get) - 1);
	wait_eof(p);
	/* No SETTINGS frame comes before it. */
	cr_assert_geq(p->raw.len, 12);
	cr_assert_arr_eq(p->raw.data, "HTTP/1.1 505", 12);
	cr_assert(memmem(p->raw.data, p->raw.len, "gRPC", 4));
	close_with(p);
}

Test(calls, noise_gets_nothing)
{
	struct http2_peer *p = open_with(&(struct peer_options){.raw = true});

	peer_bytes(p, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
	wait_eof(p);
	cr_assert_eq(p->raw.len, 0);
	close_with(p);
}

Test(calls, reset_flood)
{
	struct http2_peer *p;

	bed.http2.reset_burst = 20;
	bed.http2.reset_rate = 1;
	p = open_with(NULL);
	for (unsigned i = 0; i < 60 && !p->eof; i++) {
		int32_t id = start(p, "/t.T/Never", false);

		peer_reset(p, id, NGHTTP2_CANCEL);
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	wait_eof(p);
	cr_assert_eq(p->n_goaways, 1);
	close_with(p);
}

/* A header that HTTP/2 forbids is a stream error that makes the server send RST_STREAM. Nothing was begun:
 * a few hundred of such cost nobody else on the connection anything. */
Test(calls, wrong_requests_do_not_end_a_connection)
{
	const struct peer_request q = {
		.path = "/t.T/Never", .extra_name = "connection", .extra_value = "close"};
	struct http2_peer *p = open_with(NULL);

	for (unsigned i = 0; i < 300; i++)
		cr_assert_eq(peer_wait(p, peer_call(p, &q, false))->error, NGHTTP2_PROTOCOL_ERROR);
	cr_assert_eq(fake_log.opened, 0);
	cr_assert_eq(p->n_goaways, 0);
	expect_echo(p);
	close_with(p);
}

/* Calls that were begun are another thing. */
Test(calls, resets_that_the_peer_provokes)
{
	uint8_t overflow[] = {
		0, 0, 4, NGHTTP2_WINDOW_UPDATE, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff};
	struct http2_peer *p = open_with(NULL);

	for (unsigned i = 0; i < 150 && !p->n_goaways; i++) {
		int32_t id = start(p, "/t.T/Never", false);

		peer_flush(p);
		overflow[7] = (uint8_t)(id >> 8);
		overflow[8] = (uint8_t)id;
		peer_bytes(p, overflow, sizeof(overflow));
		peer_wait(p, id);
	}
	wait_eof(p);
	cr_assert_gt(fake_log.opened, 90);
	cr_assert_lt(fake_log.opened, 110);
	cr_assert_eq(p->n_goaways, 1);
	cr_assert_eq(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	cr_assert_str_eq(p->goaway_text, "too_many_resets");
	close_with(p);
}

/* Two of 32 are for Unix sockets. */
Test(calls, connections_by_tcp_leave_some)
{
	struct http2_peer *peers[32];

	bed.http2.max_connections = 32;
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	bed.endpoint.kind = ENDPOINT_TCP;
	for (unsigned i = 0; i < 30; i++)
		cr_assert(peers[i] = peer_new(&bed, NULL));
	cr_assert_null(peer_new(&bed, NULL));
	bed.endpoint.kind = ENDPOINT_UNIX;
	for (unsigned i = 30; i < 32; i++)
		cr_assert(peers[i] = peer_new(&bed, NULL));
	cr_assert_null(peer_new(&bed, NULL));
	for (unsigned i = 0; i < 31; i++)
		peer_free(peers[i]);
	expect_echo(peers[31]);
	close_with(peers[31]);
}

Test(calls, connection_cap)
{
	struct http2_peer *p;
	struct http2_peer *q;

	bed.http2.max_connections = 2;
	p = open_with(NULL);
	q = peer_new(&bed, NULL);
	cr_assert(q);
	cr_assert_null(peer_new(&bed, NULL));
	expect_echo(p);
	peer_free(p);
	while (transport_n_connections(calls_transport(bed.calls)) > 1)
		uv_run(&bed.loop, UV_RUN_ONCE);
	p = peer_new(&bed, NULL);
	cr_assert(p);
	expect_echo(p);
	peer_free(q);
	close_with(p);
}

Test(calls, connections_do_not_disturb_each_other)
{
	struct http2_peer *p = open_with(NULL);
	struct http2_peer *q = peer_new(&bed, NULL);
	struct http2_peer *noise = peer_new(&bed, &(struct peer_options){.raw = true});

	start(p, "/t.T/Never", false);
	peer_bytes(noise, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\njunk that is no frame at all", 52);
	expect_echo(q);
	wait_eof(noise);
	expect_echo(p);
	peer_free(noise);
	peer_free(q);
	close_with(p);
}

/* --- faults ----------------------------------------------------------------------------------- */

static bool closed_or_eof(void *arg)
{
	struct http2_peer *p = arg;

	return p->eof || (p->n_answers && p->answers[0].closed);
}

/* Only the daemon's side fails to allocate: the peer makes its own first. NULL: r says why. */
static struct http2_peer *open_anyway(int *r)
{
	struct http2_peer *p = NULL;

	memset(&fake_log, 0, sizeof(fake_log));
	bed_defaults(&bed);
	bed.grpc.compression = "gzip";
	bed.grpc.compression_min_bytes = 8;
	*r = bed_open(&bed, fake_services);
	if (!*r) {
		p = peer_new(&bed, NULL);
		*r = p ? 0 : -1;
	}
	return p;
}

static void close_anyway(struct http2_peer *p)
{
	peer_free(p);
	bed_close(&bed);
	cr_assert_eq(fake_log.opened, fake_log.closed);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

static int one_call(const char *path, const char *message)
{
	int r;
	struct http2_peer *p = open_anyway(&r);

	if (p) {
		int32_t id =
			peer_call(p, &(struct peer_request){.path = path, .accept = "gzip"}, false);

		peer_message(p, id, message, strlen(message), true);
		cr_assert(bed_run(&bed, closed_or_eof, p));
		r = peer_answer(p, id)->grpc_status;
	}
	close_anyway(p);
	return r;
}

static bool opened_or_over(void *arg)
{
	return fake_log.opened == 1 || closed_or_eof(arg);
}

static bool told_or_over(void *arg)
{
	return ((struct http2_peer *)arg)->n_goaways > 0 || closed_or_eof(arg);
}

/* A call is under way when the daemon drains, and ends then. */
static int fault_drain(void *arg)
{
	int r;
	struct http2_peer *p = open_anyway(&r);

	if (p) {
		int32_t id = peer_call(p, &(struct peer_request){.path = "/t.T/Chat"}, false);

		cr_assert(bed_run(&bed, opened_or_over, p));
		calls_drain(bed.calls);
		cr_assert(bed_run(&bed, told_or_over, p));
		if (!closed_or_eof(p))
			peer_message(p, id, "b", 1, true);
		cr_assert(bed_run(&bed, closed_or_eof, p));
		r = peer_answer(p, id)->grpc_status;
	}
	close_anyway(p);
	return r;
}

static int fault_echo(void *arg)
{
	return one_call("/t.T/Echo", "a message that is a message that is compressed");
}

static int fault_big(void *arg)
{
	return one_call("/t.T/Big", "1000000");
}

static int fault_page(void *arg)
{
	return one_call("/no.T/Method", "") == GRPC_UNIMPLEMENTED ? 0 : -1;
}

Test(calls, faults)
{
	FAULT_LOOP(fault_echo, NULL);
	FAULT_LOOP(fault_big, NULL);
	FAULT_LOOP(fault_page, NULL);
	FAULT_LOOP(fault_drain, NULL);
}

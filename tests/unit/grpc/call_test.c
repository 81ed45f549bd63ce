/* call_test.c: calls over HTTP/2: the rows of what a gRPC server must do, both ways. */
#include "http2_peer.h"
#include "peer_services.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/codec.h"

static struct bed bed;
static struct http2_peer *peer;

static void open_all(void)
{
	memset(&fake_log, 0, sizeof(fake_log));
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	peer = peer_new(&bed, NULL);
	cr_assert(peer);
}

static void set_up(void)
{
	bed_defaults(&bed);
	open_all();
}

static void tear_down(void)
{
	peer = peer_free(peer);
	bed_close(&bed);
	cr_assert_eq(fake_log.opened, fake_log.closed);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

TestSuite(call, .init = set_up, .fini = tear_down);
/* These open the bed themselves, with settings of their own. */
TestSuite(settings, .fini = tear_down);

static void expect_message(const struct answer *a, unsigned i, const void *data, size_t n)
{
	const uint8_t *got;
	size_t n_got;
	bool compressed;

	cr_assert(answer_message(a, i, &got, &n_got, &compressed), "message %u is missing", i);
	cr_assert_eq(n_got, n);
	cr_assert_not(compressed);
	cr_assert_arr_eq(got, data, n);
}

static void expect_status(const struct answer *a, int http, int status, const char *part)
{
	cr_assert_eq(a->http_status, http, "HTTP %d", a->http_status);
	cr_assert_eq(a->grpc_status, status, "status %d: %s", a->grpc_status, a->message);
	cr_assert(strstr(a->message, part), "\"%s\" lacks \"%s\"", a->message, part);
	cr_assert(a->trailers_only);
	cr_assert_str_eq(a->content_type, "application/grpc");
}

/* A call of Echo with these headers and one message. */
static struct answer *call(struct peer_request q)
{
	int32_t id;

	if (!q.path)
		q.path = "/t.T/Echo";
	id = peer_call(peer, &q, false);
	peer_message(peer, id, "hello", 5, true);
	return peer_wait(peer, id);
}

Test(call, unary)
{
	const struct answer *a = call((struct peer_request){0});

	cr_assert_eq(a->http_status, 200);
	cr_assert_eq(a->grpc_status, GRPC_OK);
	cr_assert_eq(a->n_headers, 2);
	cr_assert_str_eq(a->content_type, "application/grpc");
	cr_assert_str_eq(a->accept_encoding, "");
	cr_assert_str_eq(a->encoding, "");
	cr_assert_eq(a->error, NGHTTP2_NO_ERROR);
	expect_message(a, 0, "hello", 5);
	cr_assert_eq(fake_log.length, 5);
	cr_assert_eq(fake_log.deadline_ns, CLOCK_NO_DEADLINE);
	cr_assert_eq(calls_counters(bed.calls).total, 1);
	cr_assert_eq(calls_counters(bed.calls).open, 0);
}

Test(call, content_types)
{
	static const char *const good[] = {"application/grpc", "application/grpc+proto",
		"application/grpc;charset=utf-8", "application/grpc+proto;x", "Application/GRPC"};
	static const char *const bad_grpc[] = {"application/grpc+json", "application/grpc+protox"};
	static const char *const bad[] = {"application/json", "application/grpc-web",
		"application/grpcfoo", "application/grpc-web+proto", "application/grp", ""};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(call((struct peer_request){.content_type = good[i]})->grpc_status, 0,
			"%s", good[i]);
	for (size_t i = 0; i < sizeof(bad_grpc) / sizeof(bad_grpc[0]); i++)
		expect_status(call((struct peer_request){.content_type = bad_grpc[i]}), 415,
			GRPC_INTERNAL, "content-type");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct answer *a = call((struct peer_request){.content_type = bad[i]});

		cr_assert_eq(a->http_status, 415, "%s", bad[i]);
		cr_assert_eq(a->grpc_status, -1);
		cr_assert(memmem(a->body.data, a->body.len, "modeld", 6));
	}
}

Test(call, te_is_not_required)
{
	cr_assert_eq(call((struct peer_request){.no_te = true})->grpc_status, GRPC_OK);
}

Test(call, get_is_answered_with_a_page)
{
	struct peer_request q = {.method = "GET", .path = "/", .content_type = ""};
	const struct answer *a = peer_wait(peer, peer_call(peer, &q, true));

	cr_assert_eq(a->http_status, 405);
	cr_assert_str_eq(a->content_type, "text/plain; charset=utf-8");
	cr_assert(memmem(a->body.data, a->body.len, "gRPC over HTTP/2", 16));
	cr_assert_eq(a->n_headers, 1);
	q.method = "HEAD";
	a = peer_wait(peer, peer_call(peer, &q, true));
	cr_assert_eq(a->http_status, 405);
	cr_assert_eq(a->body.len, 0);
	q.method = "GET";
	q.content_type = NULL;
	expect_status(peer_wait(peer, peer_call(peer, &q, true)), 405, GRPC_INTERNAL, "POST");
}

Test(call, unknown_methods)
{
	static const char *const paths[] = {
		"/t.T/echo", "/t.T/", "/t.T", "/", "/t.T/Echo/", "/x.Y/Z"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect_status(call((struct peer_request){.path = paths[i]}), 200,
			GRPC_UNIMPLEMENTED, paths[i]);
}

Test(call, timeouts)
{
	static const char *const bad[] = {"5x", "123456789S", "S", "5", "-1S", " 1S1"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_status(call((struct peer_request){.timeout = bad[i]}), 200, GRPC_INTERNAL,
			"grpc-timeout");
	expect_status(call((struct peer_request){.timeout = "0n"}), 200, GRPC_DEADLINE_EXCEEDED,
		"deadline");
	cr_assert_eq(fake_log.opened, 0);
	cr_assert_eq(call((struct peer_request){.timeout = "10S"})->grpc_status, GRPC_OK);
	cr_assert_lt(fake_log.deadline_ns, clock_ns() + 11 * NS_PER_S);
	cr_assert_eq(call((struct peer_request){.timeout = "99999999H"})->grpc_status, GRPC_OK);
}

Test(call, deadline_ends_a_call)
{
	expect_status(call((struct peer_request){.path = "/t.T/Never", .timeout = "5m"}), 200,
		GRPC_DEADLINE_EXCEEDED, "Deadline Exceeded");
	cr_assert_eq(fake_log.messages, 1);
	cr_assert_eq(fake_log.closed, 1);
}

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* What services can know of who calls. */
Test(call, who_calls)
{
	struct peer_request q = {.extra_name = "traceparent", .extra_value = TRACEPARENT};

	cr_assert_eq(call(q)->grpc_status, GRPC_OK);
	cr_assert_str_eq(fake_log.traceparent, TRACEPARENT);
	cr_assert_eq(fake_log.uid, (int64_t)getuid());
	q.extra_value = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
	cr_assert_eq(call(q)->grpc_status, GRPC_OK, "a malformed one is ignored");
	cr_assert_str_eq(fake_log.traceparent, "");
}

Test(call, who_traces)
{
	struct peer_request q = {.extra_name = "traceparent",
		.extra_value = TRACEPARENT,
		.more_name = "tracestate",
		.more_value = "a=b , c=d"};

	cr_assert_eq(call(q)->grpc_status, GRPC_OK);
	cr_assert_str_eq(fake_log.tracestate, "a=b,c=d");
	q.extra_name = "tracestate";
	q.extra_value = "e=f";
	cr_assert_eq(call(q)->grpc_status, GRPC_OK);
	cr_assert_str_eq(fake_log.tracestate, "", "it says nothing without a traceparent");
}

Test(call, a_tracestate_that_is_lost)
{
	const struct peer_request q = {.extra_name = "traceparent",
		.extra_value = TRACEPARENT,
		.more_name = "tracestate",
		.more_value = "no state"};

	cr_assert_eq(call(q)->grpc_status, GRPC_OK);
	cr_assert_str_eq(fake_log.traceparent, TRACEPARENT);
	cr_assert_str_eq(fake_log.tracestate, "");
}

Test(call, header_list_limit)
{
	static char big[20000];
	const struct answer *a;

	memset(big, 'v', sizeof(big) - 1);
	a = call((struct peer_request){.extra_name = "x-big", .extra_value = big});
	expect_status(a, 200, GRPC_RESOURCE_EXHAUSTED, "max_header_bytes (16384)");
	/* The connection and its compression state are whole. */
	cr_assert_eq(call((struct peer_request){0})->grpc_status, GRPC_OK);
}

/* A header of a kilobyte, many times: each but the first is one byte on the wire. */
static size_t bomb(nghttp2_nv *nv, size_t n, size_t cap)
{
	static char value[1000];

	memset(value, 'v', sizeof(value));
	for (; n < cap; n++)
		nv[n] = (nghttp2_nv){(uint8_t *)"x-bomb", (uint8_t *)value, 6, sizeof(value),
			NGHTTP2_NV_FLAG_NONE};
	return n;
}

Test(call, header_bomb_is_not_read_to_its_end)
{
	nghttp2_nv nv[4 + 100] = {
		{(uint8_t *)":method", (uint8_t *)"POST", 7, 4, 0},
		{(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
		{(uint8_t *)":path", (uint8_t *)"/t.T/Echo", 5, 9, 0},
		{(uint8_t *)":authority", (uint8_t *)"test", 10, 4, 0},
	};
	size_t n = bomb(nv, 4, sizeof(nv) / sizeof(nv[0]));
	int32_t id = nghttp2_submit_request(peer->ng, NULL, nv, n, NULL, NULL);
	const struct answer *a;

	peer_flush(peer);
	a = peer_wait(peer, id);
	cr_assert_eq(a->error, NGHTTP2_INTERNAL_ERROR);
	cr_assert_eq(a->n_headers, 0);
	cr_assert_eq(fake_log.opened, 0);
	cr_assert_eq(call((struct peer_request){0})->grpc_status, GRPC_OK);
}

static bool fake_call_is_open(void *arg)
{
	return fake_log.call != NULL;
}

Test(call, trailer_bomb_is_not_read_to_its_end)
{
	nghttp2_nv nv[100];
	size_t n = bomb(nv, 0, sizeof(nv) / sizeof(nv[0]));
	int32_t id = peer_call(peer, &(struct peer_request){.path = "/t.T/Never"}, false);

	cr_assert(bed_run(&bed, fake_call_is_open, NULL));
	cr_assert_eq(nghttp2_submit_trailer(peer->ng, id, nv, n), 0);
	peer_flush(peer);
	cr_assert_eq(peer_wait(peer, id)->error, NGHTTP2_INTERNAL_ERROR);
	cr_assert_eq(fake_log.closed, 1);
	cr_assert_eq(call((struct peer_request){0})->grpc_status, GRPC_OK);
}

/* --- messages --------------------------------------------------------------------------------- */

static struct answer *raw_call(const char *path, const char *encoding, const void *data, size_t n)
{
	struct peer_request q = {.path = path, .encoding = encoding};
	int32_t id = peer_call(peer, &q, false);

	peer_send(peer, id, data, n, true);
	return peer_wait(peer, id);
}

Test(call, every_split_of_two_messages)
{
	static const char bytes[] = "\0\0\0\0\003abc\0\0\0\0\0\0\0\0\0\002de";
	const size_t n = sizeof(bytes) - 1;
	struct peer_request q = {.path = "/t.T/Chat"};

	for (size_t i = 0; i <= n; i++) {
		int32_t id = peer_call(peer, &q, false);
		const struct answer *a;

		peer_send(peer, id, bytes, i, false);
		uv_run(&bed.loop, UV_RUN_NOWAIT);
		peer_send(peer, id, bytes + i, n - i, true);
		a = peer_wait(peer, id);
		cr_assert_eq(a->grpc_status, GRPC_OK);
		expect_message(a, 0, "abc", 3);
		expect_message(a, 1, "", 0);
		expect_message(a, 2, "de", 2);
	}
}

Test(call, byte_by_byte)
{
	static const char bytes[] = "\0\0\0\0\003abc";
	int32_t id = peer_call(peer, &(struct peer_request){.path = "/t.T/Echo"}, false);

	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		peer_send(peer, id, bytes + i, 1, false);
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	peer_send(peer, id, "", 0, true);
	expect_message(peer_wait(peer, id), 0, "abc", 3);
}

Test(call, cardinality)
{
	expect_status(raw_call("/t.T/Echo", NULL, "", 0), 200, GRPC_UNIMPLEMENTED, "got none");
	expect_status(
		peer_wait(peer, peer_call(peer, &(struct peer_request){.path = "/t.T/Echo"}, true)),
		200, GRPC_UNIMPLEMENTED, "cardinality");
	expect_status(raw_call("/t.T/Echo", NULL, "\0\0\0\0\1a\0\0\0\0\1b", 12), 200,
		GRPC_UNIMPLEMENTED, "got more");
	/* None is as good as many for a client stream. */
	cr_assert_eq(raw_call("/t.T/Chat", NULL, "", 0)->grpc_status, GRPC_OK);
}

Test(call, empty_message_is_a_message)
{
	const struct answer *a = raw_call("/t.T/Echo", NULL, "\0\0\0\0\0", 5);

	cr_assert_eq(a->grpc_status, GRPC_OK);
	expect_message(a, 0, "", 0);
}

Test(call, truncated)
{
	expect_status(raw_call("/t.T/Echo", NULL, "\0\0\0", 3), 200, GRPC_INTERNAL, "inside");
	expect_status(raw_call("/t.T/Echo", NULL, "\0\0\0\0\5ab", 7), 200, GRPC_INTERNAL, "inside");
}

Test(call, bad_flag)
{
	expect_status(raw_call("/t.T/Echo", NULL, "\2\0\0\0\0", 5), 200, GRPC_INTERNAL,
		"unexpected payload format");
}

Test(call, limit_from_the_prefix_alone)
{
	struct peer_request q = {.path = "/t.T/Echo"};
	int32_t id = peer_call(peer, &q, false);

	/* 4 GiB - 1, and not a byte of it. */
	peer_send(peer, id, "\0\xff\xff\xff\xff", 5, false);
	expect_status(peer_wait(peer, id), 200, GRPC_RESOURCE_EXHAUSTED,
		"Received message larger than max (4294967295 vs. 16777216): [limits] "
		"max_receive_message_bytes");
	cr_assert_eq(raw_call("/t.T/Collect", NULL, "\0\0\0\3\xe9", 5)->grpc_status,
		GRPC_RESOURCE_EXHAUSTED);
}

Test(call, collected_message)
{
	const struct answer *a = raw_call("/t.T/Collect", NULL, "\0\0\0\0\3abc", 8);

	cr_assert_eq(a->grpc_status, GRPC_OK);
	expect_message(a, 0, "abc", 3);
}

/* --- compression ------------------------------------------------------------------------------ */

static size_t compressed(enum codec c, const void *data, size_t n, uint8_t *out, size_t cap)
{
	struct deflate_piece piece = {data, n};
	struct buf b;
	size_t size;

	buf_init(&b, cap);
	cr_assert_eq(codec_compress(c, &piece, 1, &b), 0);
	size = b.len;
	cr_assert_leq(size + 5, cap);
	out[0] = 1;
	out[1] = (uint8_t)(size >> 24);
	out[2] = (uint8_t)(size >> 16);
	out[3] = (uint8_t)(size >> 8);
	out[4] = (uint8_t)size;
	memcpy(out + 5, b.data, size);
	buf_deinit(&b);
	return size + 5;
}

Test(call, compressed_requests)
{
	static uint8_t data[300000];
	static uint8_t packed[400000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 >> 8);
	for (enum codec c = CODEC_GZIP; c <= CODEC_DEFLATE; c++) {
		size_t n = compressed(c, data, sizeof(data), packed, sizeof(packed));
		const struct answer *a = raw_call("/t.T/Echo", codec_name(c), packed, n);

		cr_assert_eq(a->grpc_status, GRPC_OK, "%s", a->message);
		expect_message(a, 0, data, sizeof(data));
		cr_assert_eq(fake_log.length, UINT64_MAX);
	}
}

/* More than what is inflated in one go. */
Test(call, large_compressed_request)
{
	static uint8_t data[15 << 20];
	static uint8_t packed[1 << 20];
	size_t n = compressed(CODEC_GZIP, data, sizeof(data), packed, sizeof(packed));
	const struct answer *a = raw_call("/t.T/Echo", "gzip", packed, n);

	cr_assert_eq(a->grpc_status, GRPC_OK, "%s", a->message);
	expect_message(a, 0, data, sizeof(data));
}

Test(call, compression_errors)
{
	static uint8_t zeros_of_17_mib[17 << 20];
	static uint8_t packed[1 << 20];
	size_t n;

	expect_status(raw_call("/t.T/Echo", "snappy", "\1\0\0\0\1a", 6), 200, GRPC_UNIMPLEMENTED,
		CODEC_ACCEPTED);
	/* Named, but not used. */
	cr_assert_eq(raw_call("/t.T/Echo", "snappy", "\0\0\0\0\1a", 6)->grpc_status, GRPC_OK);
	expect_status(raw_call("/t.T/Echo", NULL, "\1\0\0\0\1a", 6), 200, GRPC_INTERNAL,
		"compressed flag set with identity");
	expect_status(raw_call("/t.T/Echo", "identity", "\1\0\0\0\1a", 6), 200, GRPC_INTERNAL,
		"compressed flag set with identity");
	expect_status(raw_call("/t.T/Echo", "gzip", "\1\0\0\0\4junk", 9), 200, GRPC_INTERNAL,
		"not valid gzip");
	n = compressed(CODEC_GZIP, "abc", 3, packed, sizeof(packed));
	packed[4] -= 4;
	expect_status(
		raw_call("/t.T/Echo", "gzip", packed, n - 4), 200, GRPC_INTERNAL, "ends early");
	n = compressed(
		CODEC_GZIP, zeros_of_17_mib, sizeof(zeros_of_17_mib), packed, sizeof(packed));
	expect_status(raw_call("/t.T/Echo", "gzip", packed, n), 200, GRPC_RESOURCE_EXHAUSTED,
		"max_receive_message_bytes");
	expect_status(raw_call("/t.T/Collect", "gzip", packed, n), 200, GRPC_RESOURCE_EXHAUSTED,
		"/t.T/Collect");
}

/* Who speaks of compression hears what we know; the others' replies are shorter. */
Test(call, encodings_are_told_to_those_who_name_theirs)
{
	cr_assert_str_eq(
		call((struct peer_request){.accept = "gzip"})->accept_encoding, CODEC_ACCEPTED);
	cr_assert_str_eq(
		call((struct peer_request){.accept = "x"})->accept_encoding, CODEC_ACCEPTED);
	cr_assert_str_eq(call((struct peer_request){0})->accept_encoding, "");
}

static void check_compressed_reply(const char *accept, bool expected)
{
	static uint8_t data[5000];
	struct peer_request q = {.path = "/t.T/Echo", .accept = accept};
	int32_t id = peer_call(peer, &q, false);
	const struct answer *a;
	const uint8_t *got;
	size_t n;
	bool flag;

	peer_message(peer, id, data, sizeof(data), true);
	a = peer_wait(peer, id);
	cr_assert_eq(a->grpc_status, GRPC_OK);
	cr_assert(answer_message(a, 0, &got, &n, &flag));
	cr_assert_eq(flag, expected);
	cr_assert_str_eq(a->encoding, expected ? "gzip" : "");
	cr_assert_eq(n < 1000, expected);
}

Test(settings, compressed_replies)
{
	bed_defaults(&bed);
	bed.grpc.compression = "gzip";
	open_all();
	check_compressed_reply("identity, deflate, gzip", true);
	check_compressed_reply("identity,deflate", false);
	check_compressed_reply(NULL, false);
	/* Small ones are not, though the header says that they might. */
	cr_assert_str_eq(call((struct peer_request){.accept = "gzip"})->encoding, "gzip");
}

/* --- ends ------------------------------------------------------------------------------------- */

Test(call, early_trailers_then_reset)
{
	struct peer_request q = {.path = "/t.T/Early"};
	int32_t id = peer_call(peer, &q, false);
	const struct answer *a = peer_wait(peer, id);

	expect_status(a, 200, GRPC_FAILED_PRECONDITION, "100% too early\n\xc3\xa4");
	/* We did not end our side, so the server did, without an error. */
	cr_assert(a->ended);
	cr_assert_eq(a->error, NGHTTP2_NO_ERROR);
}

static bool has_ended(void *answer)
{
	return ((struct answer *)answer)->ended;
}

Test(call, early_trailers_and_a_client_that_ends)
{
	struct peer_request q = {.path = "/t.T/Early"};
	int32_t id = peer_call(peer, &q, false);
	struct answer *a = peer_answer(peer, id);

	cr_assert(bed_run(&bed, has_ended, a));
	cr_assert_not(a->closed);
	peer_message(peer, id, "late", 4, true);
	peer_wait(peer, id);
	cr_assert_eq(fake_log.taken, 0);
}

Test(call, status_after_a_message)
{
	struct peer_request q = {.path = "/t.T/Late"};
	const struct answer *a = peer_wait(peer, peer_call(peer, &q, true));

	expect_message(a, 0, "one", 3);
	cr_assert_eq(a->http_status, 200);
	cr_assert_eq(a->n_headers, 2);
	cr_assert_eq(a->grpc_status, GRPC_INTERNAL);
	cr_assert_str_eq(a->message, "after 1");
}

static bool is_opened(void *arg)
{
	return fake_log.opened == *(unsigned *)arg;
}

static bool all_closed(void *arg)
{
	return fake_log.opened == fake_log.closed && fake_log.opened > 0;
}

Test(call, cancel_at_each_stage)
{
	static const char *const bodies[] = {"", "\0\0", "\0\0\0\0\5ab", "\0\0\0\0\2ab"};
	static const size_t sizes[] = {0, 2, 7, 7};

	for (unsigned i = 0; i < 4; i++) {
		struct peer_request q = {.path = "/t.T/Never"};
		int32_t id = peer_call(peer, &q, false);
		unsigned opened = i + 1;

		peer_send(peer, id, bodies[i], sizes[i], i == 3);
		cr_assert(bed_run(&bed, is_opened, &opened));
		uv_run(&bed.loop, UV_RUN_NOWAIT);
		peer_reset(peer, id, NGHTTP2_CANCEL);
		cr_assert(bed_run(&bed, all_closed, NULL));
	}
	cr_assert_eq(calls_counters(bed.calls).open, 0);
}

Test(call, connection_lost)
{
	struct peer_request q = {.path = "/t.T/Never"};
	unsigned opened = 2;

	peer_call(peer, &q, true);
	peer_call(peer, &q, false);
	q.path = "/t.T/Chat";
	peer_call(peer, &q, false);
	/* The first has no message: it is refused. */
	opened = 3;
	cr_assert(bed_run(&bed, is_opened, &opened));
	peer = peer_free(peer);
	cr_assert(bed_run(&bed, all_closed, NULL));
	cr_assert_eq(fake_log.closed, 3);
}

/* --- back-pressure ---------------------------------------------------------------------------- */

static bool hold_is_empty(void *arg)
{
	return fake_log.budget == 0;
}

Test(settings, service_that_waits)
{
	static uint8_t data[2000000];
	struct peer_request q = {.path = "/t.T/Hold"};
	struct answer *a;
	uint32_t sum = 0;
	int32_t id;

	bed_defaults(&bed);
	bed.http2.stream_window_bytes = 65536;
	open_all();
	for (size_t i = 0; i < sizeof(data); i++)
		sum = sum * 31 + (data[i] = (uint8_t)(i * 13 >> 3));
	id = peer_call(peer, &q, false);
	a = peer_answer(peer, id);
	peer_message(peer, id, data, sizeof(data), true);
	while (fake_log.taken < sizeof(data)) {
		fake_log.budget = 12345;
		if (sizeof(data) - fake_log.taken < fake_log.budget)
			fake_log.budget = sizeof(data) - fake_log.taken;
		if (fake_log.call)
			call_resume(fake_log.call);
		cr_assert(bed_run(&bed, hold_is_empty, NULL));
		cr_assert_not(a->ended);
	}
	peer_wait(peer, id);
	cr_assert_eq(a->grpc_status, GRPC_OK);
	cr_assert_eq(fake_log.sum, sum);
	cr_assert_eq(fake_log.half_closed, 1);
}

Test(settings, service_that_waits_inside_a_compressed_message)
{
	static uint8_t data[500000];
	static uint8_t packed[100000];
	struct peer_request q = {.path = "/t.T/Hold", .encoding = "gzip"};
	int32_t id;
	size_t n;

	bed_defaults(&bed);
	bed.http2.stream_window_bytes = 65536;
	open_all();
	n = compressed(CODEC_GZIP, data, sizeof(data), packed, sizeof(packed));
	id = peer_call(peer, &q, false);
	peer_send(peer, id, packed, n, true);
	while (fake_log.taken < sizeof(data)) {
		fake_log.budget = 50000;
		if (fake_log.call)
			call_resume(fake_log.call);
		cr_assert(bed_run(&bed, hold_is_empty, NULL));
	}
	cr_assert_eq(peer_wait(peer, id)->grpc_status, GRPC_OK);
	cr_assert_eq(fake_log.taken, sizeof(data));
}

/* Bytes that a stalled call holds are given back to the connection when it is cancelled. */
Test(settings, stalled_calls_do_not_use_up_the_connection)
{
	static uint8_t data[65000];
	struct peer_request q = {.path = "/t.T/Hold"};

	bed_defaults(&bed);
	bed.http2.stream_window_bytes = 65536;
	bed.http2.connection_window_bytes = 4 * 65536;
	open_all();
	for (unsigned i = 1; i <= 30; i++) {
		int32_t id = peer_call(peer, &q, false);

		peer_message(peer, id, data, sizeof(data), false);
		cr_assert(bed_run(&bed, is_opened, &i));
		peer_reset(peer, id, NGHTTP2_CANCEL);
		cr_assert(bed_run(&bed, all_closed, NULL));
	}
	cr_assert_eq(call((struct peer_request){0})->grpc_status, GRPC_OK);
}

/* --- output ----------------------------------------------------------------------------------- */

static struct answer *big(struct http2_peer *p, const char *digits)
{
	struct peer_request q = {.path = "/t.T/Big"};
	int32_t id = peer_call(p, &q, false);

	peer_message(p, id, digits, strlen(digits), true);
	return peer_answer(p, id);
}

Test(call, lent_bytes_are_not_copied)
{
	static const uint8_t zero[64];
	const struct answer *a = peer_wait(peer, big(peer, "10000000")->id);
	struct calls_counters counters = calls_counters(bed.calls);
	const uint8_t *got;
	size_t n;
	bool flag;

	cr_assert_eq(a->grpc_status, GRPC_OK);
	cr_assert(answer_message(a, 0, &got, &n, &flag));
	cr_assert_eq(n, 10000004);
	cr_assert_arr_eq(got, "head", 4);
	cr_assert_arr_eq(got + n - 64, zero, 64);
	cr_assert_eq(fake_log.released, 1);
	cr_assert_eq(counters.bulk_bytes_sent, 10000000);
	cr_assert_eq(counters.bulk_bytes_copied, 0);
	peer_wait(peer, big(peer, "100")->id);
	counters = calls_counters(bed.calls);
	cr_assert_eq(counters.bulk_bytes_copied, 100);
	cr_assert_eq(fake_log.released, 2);
}

static bool body_began(void *answer)
{
	return ((struct answer *)answer)->body.len > 0;
}

Test(call, lent_bytes_of_a_reset_stream)
{
	struct answer *a = big(peer, "20000000");

	cr_assert(bed_run(&bed, body_began, a));
	peer_reset(peer, a->id, NGHTTP2_CANCEL);
	cr_assert_eq(call((struct peer_request){0})->grpc_status, GRPC_OK);
	cr_assert_eq(fake_log.released, 1);
}

Test(call, lent_bytes_of_a_lost_connection)
{
	struct answer *a = big(peer, "20000000");

	cr_assert(bed_run(&bed, body_began, a));
	peer = peer_free(peer);
	cr_assert(bed_run(&bed, all_closed, NULL));
}

Test(settings, producer_waits_for_a_slow_reader)
{
	struct peer_request q = {.path = "/t.T/Flood"};
	struct answer *a;
	int32_t id;
	unsigned lent;

	bed_defaults(&bed);
	bed.http2.max_output_bytes = 512 << 10;
	open_all();
	id = peer_call(peer, &q, false);
	a = peer_answer(peer, id);
	peer_read(peer, false);
	peer_message(peer, id, "", 0, true);
	for (unsigned i = 0; i < 50; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	lent = fake_log.lent;
	cr_assert_gt(lent, 0);
	/* The limit, a gather at the socket, and what the kernel took. */
	cr_assert_lt(lent, 64);
	for (unsigned i = 0; i < 50; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_eq(fake_log.lent, lent);
	peer_read(peer, true);
	while (a->body.len < (16 << 20))
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_gt(fake_log.writable, 0);
	peer_reset(peer, id, NGHTTP2_CANCEL);
	cr_assert(bed_run(&bed, all_closed, NULL));
}

/* A client that asks and does not read: its later requests wait, unread. */
Test(settings, requests_wait_behind_unread_replies)
{
	struct answer *answers[40];

	bed_defaults(&bed);
	bed.http2.max_output_bytes = 1 << 20;
	open_all();
	peer_read(peer, false);
	for (unsigned i = 0; i < 40; i++) {
		answers[i] = big(peer, "1000000");
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	for (unsigned i = 0; i < 50; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_lt(fake_log.lent, 6);
	peer_read(peer, true);
	for (unsigned i = 0; i < 40; i++)
		cr_assert_eq(peer_wait(peer, answers[i]->id)->grpc_status, GRPC_OK);
}

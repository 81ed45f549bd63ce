/* otlp_test.c: spans in JSON, byte for byte. */
#include "trace/otlp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct trace_span whole(void)
{
	struct trace_span s = {
		.self = {.sampled = true},
		.has_parent = true,
		.tracestate = "a=b,c=\"d\"",
		.received_ns = UINT64_C(1700000000000000001),
		.ended_ns = UINT64_C(1700000000000000009),
		.stages_ns = {UINT64_C(1700000000000000002), UINT64_C(1700000000000000003),
			UINT64_C(1700000000000000004), UINT64_C(1700000000000000005)},
		.compute_ns = 7,
		.batch_requests = 2,
		.system = "grpc",
		.model = "m",
		.version = "1",
		.worker = "cpu:0/0",
		.request_id = "\"\n\xff",
		.client = "127.0.0.1:1",
	};

	memset(s.self.trace_id, 0xab, sizeof(s.self.trace_id));
	memset(s.self.span_id, 0x01, sizeof(s.self.span_id));
	memset(s.parent_id, 0xff, sizeof(s.parent_id));
	return s;
}

#define TEXT(key, value)   "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"
#define NUMBER(key, value) "{\"key\":\"" key "\",\"value\":{\"intValue\":\"" value "\"}}"
#define EVENT(name, digit)                                                                         \
	"{\"timeUnixNano\":\"170000000000000000" digit "\",\"name\":\"" name "\"}"

static void expect(const struct buf *b, const char *text)
{
	cr_expect_eq(b->len, strlen(text));
	cr_expect_eq(memcmp(b->data, text, b->len), 0, "%.*s\nis not\n%s", (int)b->len,
		(const char *)b->data, text);
}

Test(otlp, a_span)
{
	struct trace_span s = whole();
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_eq(otlp_add(&b, &s, true), 0);
	expect(&b,
		"{\"traceId\":\"abababababababababababababababab\",\"spanId\":\"0101010101010101\","
		"\"parentSpanId\":\"ffffffffffffffff\",\"traceState\":\"a=b,c=\\\"d\\\"\",\"name\":"
		"\"infer\",\"kind\":2,"
		"\"startTimeUnixNano\":\"1700000000000000001\",\"endTimeUnixNano\":"
		"\"1700000000000000009\",\"attributes\":[" TEXT("rpc.system", "grpc") "," NUMBER(
			"rpc.grpc.status_code", "0") "," TEXT("client.address",
			"127.0.0.1:1") "," TEXT("modeld.model", "m") "," TEXT("modeld.version",
			"1") "," TEXT("modeld.worker", "cpu:0/0") "," TEXT("modeld.request_id",
			"\\\"\\u000a\\ufffd") "," NUMBER("modeld.batch_requests",
			"2") "," NUMBER("modeld.compute_ns", "7") "],\"events\":[" EVENT("received",
			"1") "," EVENT("queued", "2") "," EVENT("sent", "3") "," EVENT("computed",
			"4") "," EVENT("replied", "5") "]}");
	buf_deinit(&b);
}

Test(otlp, what_is_not_there_is_left_out)
{
	struct trace_span s = {.received_ns = UINT64_C(1700000000000000001),
		.ended_ns = UINT64_C(1700000000000000002),
		.system = "grpc",
		.status = 13,
		.failed = true};
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_eq(otlp_add(&b, &s, false), 0);
	expect(&b,
		",{\"traceId\":\"00000000000000000000000000000000\",\"spanId\":"
		"\"0000000000000000\",\"name\":\"infer\",\"kind\":2,\"startTimeUnixNano\":"
		"\"1700000000000000001\",\"endTimeUnixNano\":\"1700000000000000002\","
		"\"attributes\":[" TEXT("rpc.system", "grpc") "," NUMBER("rpc.grpc.status_code",
			"13") "],\"events\":[" EVENT("received", "1") "],\"status\":{\"code\":2}}");
	buf_deinit(&b);
}

Test(otlp, around_them)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_eq(otlp_begin(&b, "host", 4711), 0);
	cr_assert_eq(otlp_end(&b), 0);
	expect(&b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[" TEXT(
			   "service.name", "modeld") "," TEXT("service.version",
			   MODELD_VERSION) "," TEXT("host.name", "host") "," NUMBER("process.pid",
			   "4711") "]},\"scopeSpans\":[{\"scope\":{\"name\":\"modeld\"},\"spans\":["
				   "]}]}]}");
	buf_deinit(&b);
}

Test(otlp, no_room)
{
	struct trace_span s = whole();
	struct buf b;

	for (size_t max = 0; max < 1200; max += 7) {
		int r;

		buf_init(&b, max);
		r = otlp_begin(&b, "host", 1);
		if (!r)
			r = otlp_add(&b, &s, true);
		if (!r)
			r = otlp_end(&b);
		cr_assert_eq(r, -ENOBUFS);
		buf_deinit(&b);
	}
}

static int body(void *arg)
{
	struct trace_span s = whole();
	struct buf b;
	int r;

	(void)arg;
	buf_init(&b, 1 << 20);
	r = otlp_begin(&b, "host", 1);
	if (!r)
		r = otlp_add(&b, &s, true);
	if (!r)
		r = otlp_end(&b);
	buf_deinit(&b);
	return r;
}

Test(otlp, no_memory)
{
	FAULT_LOOP(body, NULL);
}

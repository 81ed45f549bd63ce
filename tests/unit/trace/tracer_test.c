/* tracer_test.c: which calls are traced, and what becomes of their spans. */
#include "trace/tracer.h"

#include <errno.h>
#include <sched.h>

#include "collector.h"
#include "tests/support/failalloc.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static struct collector c;
static struct trace_settings settings;
static struct tracer *t;

static void begin(const char *answer)
{
	collector_start(&c, answer);
	settings = (struct trace_settings){.endpoint = c.url,
		.sample_ratio = 1,
		.max_queued_spans = 1024,
		.export_interval_ms = 1,
		.export_timeout_ms = 60000};
}

static void start(void)
{
	cr_assert_eq(tracer_new(&t, &settings), 0);
}

static void end(void)
{
	t = tracer_free(t);
	collector_stop(&c);
}

static void wait_for(bool (*what)(void))
{
	while (!what())
		sched_yield();
}

static struct trace_span sampled(const char *traceparent)
{
	struct trace_span s = {.system = "grpc"};

	cr_assert(tracer_sample(t, traceparent, &s));
	return s;
}

Test(tracer, callers_decide)
{
	struct trace_span s = {.system = "grpc"};
	uint8_t first;

	NEEDS_CURL();
	begin(COLLECTOR_OK);
	settings.sample_ratio = 0;
	start();
	cr_expect_not(tracer_sample(t, "", &s));
	cr_expect_not(tracer_sample(t, "00-" TRACE "-" PARENT "-00", &s));
	s = sampled("00-" TRACE "-" PARENT "-01");
	cr_expect(s.has_parent && s.self.sampled);
	cr_expect_eq(s.self.trace_id[0], 0x0a);
	cr_expect_eq(s.parent_id[0], 0xb7);
	first = s.self.span_id[1];
	for (unsigned i = 0; i < 64 && s.self.span_id[1] == first; i++)
		s = sampled("00-" TRACE "-" PARENT "-01");
	cr_expect_neq(s.self.span_id[1], first, "spans have the same id");
	end();
}

Test(tracer, the_ratio_decides)
{
	struct trace_span s = {.system = "grpc"};
	unsigned n = 0;

	NEEDS_CURL();
	begin(COLLECTOR_OK);
	settings.sample_ratio = 0.25;
	start();
	for (unsigned i = 0; i < 10000; i++)
		n += tracer_sample(t, "", &s);
	cr_expect(n > 2000 && n < 3000, "%u of 10000", n);
	cr_expect_not(s.has_parent);
	end();
}

static bool all_sent(void)
{
	return tracer_counters(t).sent == 3;
}

Test(tracer, spans_arrive)
{
	struct trace_span s;

	NEEDS_CURL();
	begin(COLLECTOR_OK);
	start();
	for (unsigned i = 0; i < 3; i++) {
		s = sampled("00-" TRACE "-" PARENT "-01");
		tracer_submit(t, &s);
	}
	wait_for(all_sent);
	end();
	cr_expect(strstr(c.got, "\"traceId\":\"" TRACE "\""));
	cr_expect(strstr(c.got, "\"parentSpanId\":\"" PARENT "\""));
	cr_expect_eq(tracer_counters(NULL).sent, 0);
}

/* What waits is sent at the end, in as many requests as it takes. */
Test(tracer, the_end_sends_what_waits)
{
	struct trace_span s;

	NEEDS_CURL();
	begin(COLLECTOR_OK);
	settings.export_interval_ms = 3600000;
	start();
	s = sampled("");
	for (unsigned i = 0; i < 700; i++)
		tracer_submit(t, &s);
	end();
	cr_expect_eq(c.n_requests, 2);
}

static bool some_failed(void)
{
	return tracer_counters(t).failed == 1;
}

Test(tracer, a_collector_that_refuses)
{
	struct trace_span s;

	NEEDS_CURL();
	begin(COLLECTOR_REFUSE);
	start();
	s = sampled("");
	tracer_submit(t, &s);
	wait_for(some_failed);
	cr_expect_eq(tracer_counters(t).sent, 0);
	end();
}

static bool hangs(void)
{
	return c.n_requests == 1;
}

/* Nobody waits for it: neither who submits nor the end. */
Test(tracer, a_collector_that_hangs)
{
	struct trace_span s;

	NEEDS_CURL();
	begin(NULL);
	settings.max_queued_spans = 4;
	start();
	s = sampled("");
	tracer_submit(t, &s);
	wait_for(hangs);
	for (unsigned i = 0; i < 10; i++)
		tracer_submit(t, &s);
	cr_expect_eq(tracer_counters(t).dropped, 6);
	end();
}

static int make(void *arg)
{
	struct tracer *made;
	int r = tracer_new(&made, &settings);

	(void)arg;
	if (!r)
		tracer_free(made);
	return r;
}

Test(tracer, no_memory)
{
	NEEDS_CURL();
	begin(COLLECTOR_OK);
	FAULT_LOOP_KINDS(make, NULL, FAIL_ALLOCATIONS);
	collector_stop(&c);
	cr_assert_null(tracer_free(NULL));
}

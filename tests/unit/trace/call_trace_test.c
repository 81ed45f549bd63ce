/* call_trace_test.c: what is told of a call, and to whom. */
#include "trace/call_trace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/peer.h"
#include "base/request_times.h"
#include "proto/grpc_status.h"
#include "tests/support/failalloc.h"
#include "trace/tracer.h"

#define TRACE	    "0af7651916cd43dd8448eb211c80319c"
#define PARENT	    "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE "-" PARENT "-01"

/* The tracer, played: it traces while `samples`, and the last span is kept. */
static bool samples;
static struct trace_span told;
static unsigned n_told;
static struct tracer *const tracer = (struct tracer *)&samples;

bool tracer_sample(struct tracer *t, const char *traceparent, struct trace_span *s)
{
	cr_assert_eq(t, tracer);
	if (!samples)
		return false;
	if (traceparent[0]) {
		s->self = traceparent_read(traceparent);
		memcpy(s->parent_id, s->self.span_id, sizeof(s->parent_id));
		s->has_parent = true;
	}
	memset(s->self.span_id, 0x77, sizeof(s->self.span_id));
	s->self.sampled = true;
	return true;
}

void tracer_submit(struct tracer *t, const struct trace_span *s)
{
	cr_assert_eq(t, tracer);
	told = *s;
	n_told++;
}

static char lines[4096];
static size_t n_lines;

static void on_line(void *data, enum log_level level, uint64_t time_ns, const char *text, size_t n)
{
	(void)data;
	(void)level;
	(void)time_ns;
	n_lines +=
		(size_t)snprintf(lines + n_lines, sizeof(lines) - n_lines, "%.*s\n", (int)n, text);
}

static void set_up(void)
{
	samples = true;
	n_told = 0;
	log_init("test", LOG_LEVEL_ERROR);
}

TestSuite(call_trace, .init = set_up);

static const struct trace_context given = {TRACEPARENT, "a=1"};
static const struct request_times times = {
	.submitted_ns = 20, .dispatched_ns = 30, .done_ns = 40, .compute_ns = 5};
static const struct call_trace_subject subject = {
	.system = "s", .model = "m", .version = "1", .id = "id-7 and more", .n_id = 4};

Test(call_trace, a_span)
{
	struct call_trace *t = call_trace_begin(tracer, &given, 10);

	cr_expect_str_eq(call_trace_parent(t), "00-" TRACE "-7777777777777777-01");
	call_trace_ran(t, &times, 3, "cpu:0/0");
	call_trace_answer(t, GRPC_OK);
	call_trace_answer(t, GRPC_INTERNAL);
	cr_expect_eq(n_told, 0);
	cr_expect_null(call_trace_end(t, &subject));
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.parent_id[0], 0xb7);
	cr_expect_str_eq(told.tracestate, "a=1");
	cr_expect_eq(told.status, GRPC_OK, "the first answer counts");
	cr_expect_not(told.failed);
	cr_expect_str_eq(told.system, "s");
	cr_expect_str_eq(told.model, "m");
	cr_expect_str_eq(told.version, "1");
	cr_expect_str_eq(told.request_id, "id-7");
	cr_expect_str_eq(told.worker, "cpu:0/0");
	cr_expect_eq(told.batch_requests, 3);
	cr_expect_eq(told.compute_ns, 5);
	cr_expect_eq(told.stages_ns[TRACE_QUEUED] - told.received_ns, 10);
	cr_expect_eq(told.stages_ns[TRACE_COMPUTED] - told.received_ns, 30);
	cr_expect_eq(told.stages_ns[TRACE_REPLIED], told.ended_ns);
	cr_expect_gt(told.received_ns, UINT64_C(1600000000000000000), "by the wall clock");
}

Test(call_trace, what_does_not_run)
{
	struct call_trace *t = call_trace_begin(tracer, &given, 10);

	call_trace_answer(t, GRPC_UNAVAILABLE);
	call_trace_ran(t, &times, 3, "cpu:0/0");
	call_trace_end(t, &(struct call_trace_subject){.system = "s"});
	cr_expect_eq(told.status, GRPC_UNAVAILABLE);
	cr_expect(told.failed);
	cr_expect_str_eq(told.model, "");
	cr_expect_eq(told.stages_ns[TRACE_QUEUED], 0);
	cr_expect_eq(told.stages_ns[TRACE_REPLIED], 0);
}

Test(call_trace, what_no_worker_has_answered)
{
	struct call_trace *t = call_trace_begin(tracer, &given, 10);

	call_trace_ran(t, &times, 3, "");
	call_trace_end(t, &subject);
	cr_expect_eq(told.status, GRPC_CANCELLED, "nor anybody else");
	cr_expect_not(told.failed);
	cr_expect_neq(told.stages_ns[TRACE_SENT], 0);
	cr_expect_eq(told.stages_ns[TRACE_COMPUTED], 0);
}

Test(call_trace, nobody_wants_to_hear)
{
	samples = false;
	cr_expect_null(call_trace_begin(tracer, &given, 10));
	cr_expect_null(call_trace_begin(NULL, &given, 10));
	cr_expect_null(call_trace_parent(NULL));
	call_trace_ran(NULL, &times, 3, "cpu:0/0");
	call_trace_answer(NULL, GRPC_OK);
	cr_expect_null(call_trace_end(NULL, &subject));
	cr_expect_eq(n_told, 0);
}

Test(call_trace, a_line)
{
	struct call_trace *t;

	log_init("test", LOG_LEVEL_DEBUG);
	log_tap(on_line, NULL);
	t = call_trace_begin(NULL, &given, 10);
	cr_assert(t);
	cr_expect_null(call_trace_parent(t), "it is not traced");
	call_trace_ran(t, &times, 3, "cpu:0/0");
	call_trace_answer(t, GRPC_NOT_FOUND);
	call_trace_end(t, &subject);
	cr_expect_eq(n_told, 0);
	cr_expect(strstr(lines, "inference ended"), "%s", lines);
	cr_expect(strstr(lines, " model=\"m\" version=1 request_id=\"id-7\" "), "%s", lines);
	cr_expect(strstr(lines, " worker=cpu:0/0 status=NOT_FOUND "), "%s", lines);
}

static int trace_one(void *arg)
{
	struct call_trace *t = call_trace_begin(tracer, &given, 10);

	(void)arg;
	call_trace_answer(t, GRPC_OK);
	call_trace_end(t, &subject);
	return t ? 0 : -1;
}

Test(call_trace, no_memory)
{
	FAULT_LOOP_KINDS(trace_one, NULL, FAIL_ALLOCATIONS);
}

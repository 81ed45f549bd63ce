/* inference_trace_test.c: what is told of requests over the handoff socket, and which trace they go on with. */
#include "handoff/inference_trace.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/log.h"
#include "dispatch/demand.h"
#include "fake_peer.h"
#include "proto/handoff_message.h"
#include "trace/tracer.h"

#define PAGE	    4096u
#define TRACE	    "0af7651916cd43dd8448eb211c80319c"
#define PARENT	    "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE "-" PARENT "-01"
#define OURS	    "00-" TRACE "-7777777777777777-01"

/* The tracer, played: it traces what comes with a trace that is, and the last span is kept. */
static struct trace_span told;
static unsigned n_told;

bool tracer_sample(struct tracer *t, const char *traceparent, struct trace_span *s)
{
	(void)t;
	if (!traceparent[0])
		return false;
	s->self = traceparent_read(traceparent);
	memset(s->self.span_id, 0x77, sizeof(s->self.span_id));
	return s->self.sampled;
}

void tracer_submit(struct tracer *t, const struct trace_span *s)
{
	(void)t;
	told = *s;
	n_told++;
}

static struct bench b;
static int client;
static uint64_t seq;

static void set_up(void)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT, *answer;
	int memory, came;

	log_init(NULL, LOG_LEVEL_ERROR);
	bench_init(&b);
	cr_assert_eq(bench_open(&b), 0);
	handoff_set_tracer(b.h, (struct tracer *)&b);
	client = bench_connect(&b);
	cr_assert_geq(client, 0);
	memory = fake_memfd(PAGE, SEALED, 0);
	m.size = PAGE;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &m;
	cr_assert(bench_send(client, &e, &memory, 1));
	answer = bench_receive(&b, client, &came);
	cr_assert(answer);
	modeld__handoff__envelope__free_unpacked(answer, NULL);
	close(memory);
}

static void tear_down(void)
{
	close(client);
	bench_close(&b, true);
}

TestSuite(inference_trace, .init = set_up, .fini = tear_down);

static void send_infer(const char *model, const char *traceparent, const char *tracestate)
{
	struct bench_infer i;

	bench_infer_init(&i);
	i.m.model = (char *)model;
	i.m.traceparent = (char *)traceparent;
	i.m.tracestate = (char *)tracestate;
	i.e.seq = ++seq;
	cr_assert(bench_send(client, &i.e, NULL, 0));
	bench_turn(&b);
}

static void take_answer(void)
{
	int came;
	Envelope *answer = bench_receive(&b, client, &came);

	cr_assert(answer);
	cr_expect_eq(answer->seq, seq);
	modeld__handoff__envelope__free_unpacked(answer, NULL);
}

static void expect_told(enum grpc_status status, bool failed)
{
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.status, status);
	cr_expect_eq(told.failed, failed);
	cr_expect_str_eq(told.system, "modeld.handoff");
	cr_expect_eq(strncmp(told.client, "uid:", 4), 0, "%s", told.client);
	n_told = 0;
}

Test(inference_trace, an_answer)
{
	send_infer("m", TRACEPARENT, "a=1 , b=2");
	cr_expect_str_eq(fake_first_request()->traceparent, OURS);
	cr_expect_str_eq(fake_first_request()->tracestate, "a=1,b=2");
	cr_expect_eq(n_told, 0);
	fake_answer(fake_first_request(), GRPC_OK, 2, 4);
	take_answer();
	expect_told(GRPC_OK, false);
	cr_expect_str_eq(told.model, "m");
	cr_expect_str_eq(told.version, "1");
	cr_expect_str_eq(told.tracestate, "a=1,b=2");
	cr_expect_neq(told.stages_ns[TRACE_SENT], 0);
	cr_expect_neq(told.stages_ns[TRACE_REPLIED], 0);
}

Test(inference_trace, a_failure)
{
	send_infer("m", TRACEPARENT, "");
	fake_answer(fake_first_request(), GRPC_INTERNAL, 0, 0);
	take_answer();
	expect_told(GRPC_INTERNAL, true);
	send_infer("m", TRACEPARENT, "");
	fake_answer(fake_first_request(), GRPC_OK, 2, HANDOFF_INLINE_MAX);
	take_answer();
	expect_told(GRPC_FAILED_PRECONDITION, false);
}

Test(inference_trace, what_is_refused_at_once)
{
	send_infer("none", TRACEPARENT, "");
	take_answer();
	expect_told(GRPC_NOT_FOUND, false);
	cr_expect_str_eq(told.model, "");
	fake.refusal = GRPC_UNAVAILABLE;
	send_infer("m", TRACEPARENT, "");
	take_answer();
	expect_told(GRPC_UNAVAILABLE, true);
}

Test(inference_trace, a_client_that_goes)
{
	send_infer("m", TRACEPARENT, "");
	handoff_kill(b.h);
	bench_turn(&b);
	expect_told(GRPC_CANCELLED, false);
}

/* One span, from its first byte. */
Test(inference_trace, a_model_that_is_loaded_for_it)
{
	fake.absent = true;
	fake.demand_error = 0;
	send_infer("m", TRACEPARENT, "a=1");
	fake.absent = false;
	fake_end_demands(GRPC_OK, "");
	cr_expect_eq(n_told, 0);
	cr_expect_str_eq(fake_first_request()->traceparent, OURS);
	cr_expect_str_eq(fake_first_request()->tracestate, "a=1");
	fake_answer(fake_first_request(), GRPC_OK, 2, 4);
	take_answer();
	expect_told(GRPC_OK, false);
}

Test(inference_trace, what_is_not_traced_goes_on_as_it_came)
{
	static const char unsampled[] = "00-" TRACE "-" PARENT "-00";

	send_infer("m", unsampled, "a=1");
	cr_expect_str_eq(fake_first_request()->traceparent, unsampled);
	cr_expect_str_eq(fake_first_request()->tracestate, "a=1");
	fake_answer(fake_first_request(), GRPC_OK, 2, 4);
	take_answer();
	send_infer("m", "00-no", "a=1");
	cr_expect_str_eq(fake_first_request()->traceparent, "", "it is malformed");
	cr_expect_str_eq(fake_first_request()->tracestate, "");
	fake_answer(fake_first_request(), GRPC_OK, 2, 4);
	take_answer();
	cr_expect_eq(n_told, 0);
}

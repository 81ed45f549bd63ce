/* infer_trace_test.c: what is told of inferences that end, and which traceparent goes on to dispatch. */
#include "services/infer_trace.h"

#include <criterion/criterion.h>

#include "infer_messages.h"
#include "tests/support/failalloc.h"
#include "trace/tracer.h"

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct fixture f;
static struct ask ask;
static struct call call;

/* src/trace, played: all calls are sampled, and the last span is kept. */
static struct trace_span told;
static unsigned n_told;
static bool samples;

bool tracer_sample(struct tracer *t, const char *traceparent, struct trace_span *s)
{
	(void)t;
	if (samples && traceparent[0]) {
		s->self = traceparent_read(traceparent);
		memcpy(s->parent_id, s->self.span_id, sizeof(s->parent_id));
		s->has_parent = true;
	}
	memset(s->self.span_id, 0x77, sizeof(s->self.span_id));
	s->self.sampled = samples;
	return samples;
}

void tracer_submit(struct tracer *t, const struct trace_span *s)
{
	(void)t;
	told = *s;
	n_told++;
}

static void set_up(void)
{
	fixture_init(&f);
	f.services.tracer = (struct tracer *)&f;
	samples = true;
	double_model(&f.dispatch, "m");
	ask_init(&ask);
	double_call_open(
		&call, fixture_method(&model_worker_service, "Infer"), &f.services, &f.client);
	call.traceparent = TRACEPARENT;
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(infer_trace, .init = set_up, .fini = tear_down);

static void ask_it(void)
{
	ask_pack(&ask);
	double_call_message(&call, ask.packed, ask.n);
	double_call_half_close(&call);
}

Test(infer_trace, an_answer)
{
	ask_it();
	cr_expect_eq(n_told, 0);
	double_echo(double_nth(&f.dispatch, 0));
	double_call_close(&call);
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.self.trace_id[0], 0x0a);
	cr_expect_eq(told.parent_id[0], 0xb7);
	cr_expect_eq(told.status, GRPC_OK);
	cr_expect_not(told.failed);
	cr_expect_str_eq(told.model, "m");
	cr_expect_str_eq(told.request_id, "id-7");
	cr_expect_neq(told.stages_ns[TRACE_REPLIED], 0);
	cr_expect_leq(told.received_ns, told.ended_ns);
}

Test(infer_trace, a_failure_of_ours)
{
	ask_it();
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "no", NULL, 0);
	double_call_close(&call);
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.status, GRPC_INTERNAL);
	cr_expect(told.failed);
	cr_expect_eq(told.stages_ns[TRACE_REPLIED], 0);
}

Test(infer_trace, what_is_refused_at_once)
{
	ask.m.model_id = (char *)"nosuch";
	ask_it();
	double_call_close(&call);
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.status, GRPC_NOT_FOUND);
	cr_expect_not(told.failed);
	cr_expect_str_eq(told.model, "");
	cr_expect_eq(told.stages_ns[TRACE_QUEUED], 0);
}

Test(infer_trace, a_client_that_goes)
{
	ask_it();
	double_call_close(&call);
	cr_assert_eq(n_told, 1);
	cr_expect_eq(told.status, GRPC_CANCELLED);
}

Test(infer_trace, none_where_it_is_not_sampled)
{
	samples = false;
	ask_it();
	double_echo(double_nth(&f.dispatch, 0));
	double_call_close(&call);
	cr_expect_eq(n_told, 0);
}

Test(infer_trace, none_without_a_tracer)
{
	f.services.tracer = NULL;
	ask_it();
	double_echo(double_nth(&f.dispatch, 0));
	double_call_close(&call);
	cr_expect_eq(n_told, 0);
}

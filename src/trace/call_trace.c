/* call_trace.c: a call's span, from its first byte to its end. Daemon process, loop thread. */
#include "trace/call_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/request_times.h"
#include "proto/grpc_status.h"
#include "trace/tracer.h"

struct call_trace {
	struct tracer *tracer; /* borrow; NULL: it is not traced, this is for the log alone */
	bool answered;
	char traceparent[TRACEPARENT_BYTES + 1]; /* of our own span, where it is traced */
	struct trace_span span; /* its times are of CLOCK_MONOTONIC until it is sent */
};

struct call_trace *call_trace_begin(
	struct tracer *tracer, const struct trace_context *given, uint64_t received_ns)
{
	struct call_trace *t;
	bool wanted = log_level() >= LOG_LEVEL_DEBUG;

	if (!tracer && !wanted)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->span.received_ns = received_ns;
	if (tracer && tracer_sample(tracer, given->traceparent, &t->span)) {
		t->tracer = tracer;
		traceparent_write(&t->span.self, t->traceparent);
		snprintf(t->span.tracestate, sizeof(t->span.tracestate), "%s", given->tracestate);
	} else if (!wanted) {
		free(t);
		t = NULL;
	}
	return t;
}

const char *call_trace_parent(const struct call_trace *t)
{
	return t && t->tracer ? t->traceparent : NULL;
}

static void take(char out[TRACE_TEXT_MAX], const char *text)
{
	snprintf(out, TRACE_TEXT_MAX, "%s", text ? text : "");
}

void call_trace_ran(struct call_trace *t, const struct request_times *times,
	uint32_t batch_requests, const char *worker)
{
	struct trace_span *s;

	if (!t || t->answered)
		return;
	s = &t->span;
	s->stages_ns[TRACE_QUEUED] = times->submitted_ns;
	s->stages_ns[TRACE_SENT] = times->dispatched_ns;
	s->stages_ns[TRACE_COMPUTED] = worker && worker[0] ? times->done_ns : 0;
	s->compute_ns = times->compute_ns;
	s->batch_requests = batch_requests;
	take(s->worker, worker);
}

static bool is_ours(uint32_t status)
{
	return status == GRPC_UNKNOWN || status == GRPC_INTERNAL || status == GRPC_UNAVAILABLE ||
	       status == GRPC_DATA_LOSS || status == GRPC_DEADLINE_EXCEEDED ||
	       status == GRPC_UNIMPLEMENTED;
}

void call_trace_answer(struct call_trace *t, uint32_t status)
{
	if (!t || t->answered)
		return;
	t->answered = true;
	t->span.status = status;
	t->span.failed = is_ours(status);
}

static void describe(struct trace_span *s, const struct call_trace_subject *subject)
{
	char client[PEER_TEXT_MAX];
	size_t n = subject->n_id < TRACE_TEXT_MAX ? subject->n_id : TRACE_TEXT_MAX - 1;

	s->system = subject->system;
	if (subject->peer)
		take(s->client, peer_format(subject->peer, client));
	if (subject->id)
		memcpy(s->request_id, subject->id, n);
	take(s->model, subject->model);
	take(s->version, subject->version);
}

static uint64_t us_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns > from_ns ? (to_ns - from_ns) / NS_PER_US : 0;
}

static void write_line(const struct trace_span *s)
{
	char model[2 * TRACE_TEXT_MAX], id[2 * TRACE_TEXT_MAX];
	char trace[2 * TRACE_ID_BYTES + 1] = "";

	if (s->self.sampled)
		trace_id_write(s->self.trace_id, TRACE_ID_BYTES, trace);
	log_debug("inference ended",
		"model=%s version=%s request_id=%s client=%s worker=%s status=%s "
		"total_us=%" PRIu64 " queue_us=%" PRIu64 " batch_requests=%" PRIu32 " trace=%s",
		log_quote(s->model, strlen(s->model), model, sizeof(model)), s->version,
		log_quote(s->request_id, strlen(s->request_id), id, sizeof(id)), s->client,
		s->worker, grpc_status_name((int)s->status),
		us_between(s->received_ns, s->ended_ns),
		us_between(s->stages_ns[TRACE_QUEUED], s->stages_ns[TRACE_SENT]), s->batch_requests,
		trace);
}

/* Times of the monotonic clock as the wall clock has them; what was not reached stays 0. */
static void set_times(struct trace_span *s, uint64_t now_ns)
{
	uint64_t offset_ns = clock_wall_ns() - now_ns;

	s->received_ns += offset_ns;
	s->ended_ns += offset_ns;
	for (size_t i = 0; i < TRACE_STAGES_; i++)
		s->stages_ns[i] += s->stages_ns[i] ? offset_ns : 0;
}

struct call_trace *call_trace_end(struct call_trace *t, const struct call_trace_subject *subject)
{
	uint64_t now_ns;

	if (!t)
		return NULL;
	now_ns = clock_ns();
	t->span.ended_ns = now_ns;
	call_trace_answer(t, GRPC_CANCELLED);
	if (t->span.status == GRPC_OK)
		t->span.stages_ns[TRACE_REPLIED] = now_ns;
	describe(&t->span, subject);
	if (log_level() >= LOG_LEVEL_DEBUG)
		write_line(&t->span);
	if (t->tracer) {
		set_times(&t->span, now_ns);
		tracer_submit(t->tracer, &t->span);
	}
	free(t);
	return NULL;
}

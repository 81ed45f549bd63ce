/* infer_trace.c: what is told of an inference when it has ended. Daemon process, loop thread. */
#include "services/infer_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/peer.h"
#include "services/infer.h"
#include "trace/tracer.h"

struct infer_trace {
	bool traced; /* else for the log alone */
	bool answered;
	char traceparent[TRACEPARENT_BYTES +
			 1];	/* what origin.traceparent is, where it is traced */
	struct trace_span span; /* its times are of CLOCK_MONOTONIC until it is sent */
};

void infer_trace_begin(struct infer *i)
{
	struct tracer *tracer = i->services->tracer;
	struct trace_span span = {.has_parent = false};
	bool traced = tracer && tracer_sample(tracer, i->origin.traceparent, &span);

	if (!traced && log_level() < LOG_LEVEL_DEBUG)
		return;
	i->trace = calloc(1, sizeof(*i->trace));
	if (!i->trace)
		return;
	i->trace->traced = traced;
	i->trace->span = span;
	i->trace->span.received_ns = i->origin.received_ns;
	if (traced) {
		traceparent_write(&span.self, i->trace->traceparent);
		i->origin.traceparent = i->trace->traceparent;
	}
}

static void take(char out[TRACE_TEXT_MAX], const char *text)
{
	snprintf(out, TRACE_TEXT_MAX, "%s", text);
}

static bool is_ours(enum grpc_status status)
{
	return status == GRPC_UNKNOWN || status == GRPC_INTERNAL || status == GRPC_UNAVAILABLE ||
	       status == GRPC_DATA_LOSS || status == GRPC_DEADLINE_EXCEEDED ||
	       status == GRPC_UNIMPLEMENTED;
}

static void set_status(struct trace_span *s, enum grpc_status status)
{
	s->status = status;
	s->failed = is_ours(status);
}

static void take_result(struct trace_span *s, const struct request_result *r)
{
	s->stages_ns[TRACE_QUEUED] = r->times.submitted_ns;
	s->stages_ns[TRACE_SENT] = r->times.dispatched_ns;
	s->stages_ns[TRACE_COMPUTED] = r->worker && r->worker[0] ? r->times.done_ns : 0;
	s->compute_ns = r->times.compute_ns;
	s->batch_requests = r->batch_requests;
	take(s->worker, r->worker ? r->worker : "");
}

void infer_trace_answer(struct infer *i, const struct request_result *result)
{
	struct infer_trace *t = i->trace;

	if (!t || t->answered)
		return;
	t->answered = true;
	if (result)
		take_result(&t->span, result);
	set_status(&t->span, i->failure.status != GRPC_OK ? i->failure.status
			     : result			  ? result->status
							  : GRPC_OK);
}

static void describe(struct infer *i, struct trace_span *s)
{
	char client[PEER_TEXT_MAX];
	size_t n = i->n_id < TRACE_TEXT_MAX ? i->n_id : TRACE_TEXT_MAX - 1;

	if (i->origin.peer)
		take(s->client, peer_format(i->origin.peer, client));
	if (i->id)
		memcpy(s->request_id, i->id, n);
	if (i->model) {
		take(s->model, version_settings(i->model)->name);
		take(s->version, version_settings(i->model)->version);
	}
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

void infer_trace_end(struct infer *i)
{
	struct infer_trace *t = steal_ptr(i->trace);
	uint64_t now_ns;

	if (!t)
		return;
	now_ns = clock_ns();
	t->span.ended_ns = now_ns;
	if (!t->answered)
		set_status(&t->span, GRPC_CANCELLED);
	else if (t->span.status == GRPC_OK)
		t->span.stages_ns[TRACE_REPLIED] = now_ns;
	describe(i, &t->span);
	if (log_level() >= LOG_LEVEL_DEBUG)
		write_line(&t->span);
	if (t->traced) {
		set_times(&t->span, now_ns);
		tracer_submit(i->services->tracer, &t->span);
	}
	free(t);
}

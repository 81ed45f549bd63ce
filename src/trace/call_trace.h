/*
 * call_trace.h: what is told of a call when it has ended, by whichever front it came: a span to the collector of traces, where it is
 * traced, and a line to the log at level debug. Where neither is, a call has none of this: NULL, which every function here accepts.
 * Loop thread; nothing here waits.
 */
#ifndef TRACE_CALL_TRACE_H
#define TRACE_CALL_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct call_trace;
struct peer;
struct request_times;
struct tracer;

/* As its caller has it. */
struct trace_context {
	const char *traceparent; /* well-formed; "": none */
	const char *tracestate;	 /* well-formed; "": none */
};

/* A call begins, received_ns of CLOCK_MONOTONIC. tracer: borrowed until it ends; NULL: nothing is traced. NULL also without memory. */
_must_use_ struct call_trace *call_trace_begin(
	struct tracer *tracer, const struct trace_context *given, uint64_t received_ns);
/* The traceparent for what is done for the call, which names our own span; valid until the end. NULL: it is not traced. */
const char *call_trace_parent(const struct call_trace *t);

/* How it ran, with how many others (itself included), and on which worker; NULL, "": none has answered. */
void call_trace_ran(struct call_trace *t, const struct request_times *times,
	uint32_t batch_requests, const char *worker);

/* It has its answer, the last: a status of gRPC. Only the first one counts. */
void call_trace_answer(struct call_trace *t, uint32_t status);

/* What it was about; NULL: that is not known. */
struct call_trace_subject {
	const char *system; /* static: which protocol it came by */
	const struct peer *peer;
	const char *model, *version;
	const char *id; /* what its client calls it: n_id bytes */
	size_t n_id;
};
/* All is done; where it had no answer it was cancelled. Returns NULL. */
struct call_trace *call_trace_end(struct call_trace *t, const struct call_trace_subject *subject);

#endif

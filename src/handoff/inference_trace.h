/* inference_trace.h: what is told of an inference over the handoff socket when it has ended: see trace/call_trace.h. */
#ifndef HANDOFF_INFERENCE_TRACE_H
#define HANDOFF_INFERENCE_TRACE_H

#include "base/traceparent.h"
#include "base/tracestate.h"
#include "trace/call_trace.h"

struct guest;
struct handoff_infer;
struct inference;
struct version;

/* The trace context of an Infer, in form. */
struct inference_context {
	char traceparent[TRACEPARENT_BYTES + 1];
	struct tracestate tracestate;
};

/* What the message says of it; what is malformed is none. Borrowed from *own. */
struct trace_context inference_context_read(
	struct inference_context *own, const struct handoff_infer *m);
/* It is over. Accepts a trace that is NULL. model: NULL: there is none of this name. Returns NULL. */
struct call_trace *inference_trace_end(
	struct call_trace *t, const struct guest *p, const struct version *model);

#endif

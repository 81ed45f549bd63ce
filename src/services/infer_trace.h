/*
 * infer_trace.h: what is told of an inference when it has ended: a span to the collector of traces, where its call is traced, and a
 * line to the log at level debug. Where neither is, an inference has none of this.
 */
#ifndef SERVICES_INFER_TRACE_H
#define SERVICES_INFER_TRACE_H

struct infer;
struct request_result;

/* It begins: i->origin is set, and names our own span in its traceparent from here on, if there is one. */
void infer_trace_begin(struct infer *i);
/* It has its answer, the last, or i->failure: result may be NULL then. */
void infer_trace_answer(struct infer *i, const struct request_result *result);
/* All is done; where it had no answer it was cancelled. Accepts an infer that has no trace. */
void infer_trace_end(struct infer *i);

#endif

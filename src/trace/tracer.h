/*
 * tracer.h: the door of src/trace: which calls are traced, and their spans on the way to a collector (OTLP/HTTP). Sending is the
 * business of a thread of its own: what it does not keep up with is dropped and counted, nobody waits for it.
 */
#ifndef TRACE_TRACER_H
#define TRACE_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "trace/trace_span.h"

struct trace_settings {
	const char *endpoint;	   /* URL; NULL: nothing is traced */
	double sample_ratio;	   /* of calls that come without a trace: 0 to 1 */
	uint32_t max_queued_spans; /* that wait to be sent; more are dropped */
	uint64_t export_interval_ms;
	uint64_t export_timeout_ms; /* of one request to the collector */
};

struct tracer_counters {
	uint64_t sent;
	uint64_t dropped; /* the queue was full */
	uint64_t failed;  /* the collector did not take them */
};

struct tracer;

/* settings are borrowed. -ENOENT: there is no libcurl; -EINVAL: it does not take the endpoint; -ENOMEM and other -errno */
_must_use_ int tracer_new(struct tracer **ret_tracer, const struct trace_settings *settings);
/*
 * Is a call with this traceparent ("": it has none) to be traced? Where it has one its sender has decided, else sample_ratio does.
 * s (zeroed): its ids. Loop thread.
 */
_must_use_ bool tracer_sample(struct tracer *t, const char *traceparent, struct trace_span *s);
/* It has ended: copied. Never waits. Loop thread. */
void tracer_submit(struct tracer *t, const struct trace_span *s);
/* NULL: nothing is traced. */
struct tracer_counters tracer_counters(const struct tracer *t);
/* What waits is sent, for a second or two at most. Accepts NULL; returns NULL. */
struct tracer *tracer_free(struct tracer *t);
DEFINE_CLEANUP(struct tracer *, tracer_free)

#endif

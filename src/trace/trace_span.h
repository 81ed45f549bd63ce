/*
 * trace_span.h: what is told of one call to a collector of traces: which trace it belongs to, what it was about, when each stage of it
 * was over. Plain memory that is copied; texts that are longer are cut.
 */
#ifndef TRACE_TRACE_SPAN_H
#define TRACE_TRACE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/traceparent.h"
#include "base/tracestate.h"

#define TRACE_TEXT_MAX 128u /* with the NUL */

/* In the order in which they are reached; received is where the span begins. */
enum trace_stage {
	TRACE_QUEUED,	/* read, checked, handed to dispatch */
	TRACE_SENT,	/* to the worker that answered */
	TRACE_COMPUTED, /* its answer was there */
	TRACE_REPLIED,	/* the answer was handed to the connection */
	TRACE_STAGES_,
};

struct trace_span {
	struct traceparent self; /* the trace, and this span's own id */
	uint8_t parent_id[SPAN_ID_BYTES];
	bool has_parent;
	char tracestate[TRACESTATE_BYTES + 1]; /* "": none */
	/* Of the wall clock; 0: it was not reached. */
	uint64_t received_ns, ended_ns;
	uint64_t stages_ns[TRACE_STAGES_];
	uint64_t compute_ns;	 /* that the run of its batch took, as the worker measured */
	uint32_t batch_requests; /* that ran together; 0: it did not run */
	uint32_t status;	 /* of gRPC */
	bool failed;		 /* by us, not by who called */
	const char *system;	 /* static: the protocol that it came by */
	char model[TRACE_TEXT_MAX], version[TRACE_TEXT_MAX];
	char worker[TRACE_TEXT_MAX];
	char request_id[TRACE_TEXT_MAX];
	char client[TRACE_TEXT_MAX]; /* its address */
};

#endif

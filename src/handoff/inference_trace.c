/* inference_trace.c: the trace of a request over the handoff socket. Daemon process, loop thread. */
#include "handoff/inference_trace.h"

#include <string.h>

#include "dispatch/dispatch.h"
#include "handoff/guest.h"
#include "proto/handoff_message.h"

struct trace_context inference_context_read(
	struct inference_context *own, const struct handoff_infer *m)
{
	if (!traceparent_valid(m->traceparent, strlen(m->traceparent)))
		return (struct trace_context){"", ""};
	memcpy(own->traceparent, m->traceparent, TRACEPARENT_BYTES);
	own->traceparent[TRACEPARENT_BYTES] = '\0';
	own->tracestate = (struct tracestate){.n = 0};
	tracestate_add(&own->tracestate, m->tracestate, strlen(m->tracestate));
	return (struct trace_context){own->traceparent, own->tracestate.text};
}

struct call_trace *inference_trace_end(
	struct call_trace *t, const struct guest *p, const struct version *model)
{
	const struct version_settings *settings = t && model ? version_settings(model) : NULL;

	return call_trace_end(t, &(struct call_trace_subject){.system = "modeld.handoff",
					 .peer = &p->peer,
					 .model = settings ? settings->name : NULL,
					 .version = settings ? settings->version : NULL});
}

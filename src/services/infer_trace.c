/* infer_trace.c: what is told of an inference by gRPC when it has ended. Daemon process, loop thread. */
#include "services/infer_trace.h"

#include "services/infer.h"
#include "trace/call_trace.h"

void infer_trace_begin(struct infer *i)
{
	const struct trace_context given = {i->origin.traceparent, i->origin.tracestate};
	const char *ours;

	i->trace = call_trace_begin(i->services->tracer, &given, i->origin.received_ns);
	ours = call_trace_parent(i->trace);
	if (ours)
		i->origin.traceparent = ours;
}

void infer_trace_answer(struct infer *i, const struct request_result *result)
{
	if (!i->trace)
		return;
	if (result)
		call_trace_ran(i->trace, &result->times, result->batch_requests, result->worker);
	call_trace_answer(i->trace, i->failure.status != GRPC_OK ? i->failure.status
				    : result			 ? result->status
								 : GRPC_OK);
}

void infer_trace_end(struct infer *i)
{
	const struct version_settings *model = i->model ? version_settings(i->model) : NULL;

	i->trace = call_trace_end(i->trace, &(struct call_trace_subject){.system = "grpc",
						    .peer = i->origin.peer,
						    .model = model ? model->name : NULL,
						    .version = model ? model->version : NULL,
						    .id = i->id,
						    .n_id = i->n_id});
}

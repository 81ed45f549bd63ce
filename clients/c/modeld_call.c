/*
 * modeld_call.c: inferences: sent, waited for, cancelled, by the handoff socket or by gRPC.
 *
 * Client process, the caller's thread.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "clients/c/modeld_private.h"

/* --- Sending ---------------------------------------------------------------------------------- */

static int take_targets(struct modeld_call *call, const struct modeld_request *request)
{
	struct use *targets = call->targets;

	if (request->n_targets > call->cap_targets) {
		targets = realloc(targets, request->n_targets * sizeof(*targets));
		if (!targets)
			return -ENOMEM;
		call->targets = targets;
		call->cap_targets = request->n_targets;
	}
	call->n_targets = request->n_targets;
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct modeld_target *t = &request->targets[i];

		targets[i] =
			(struct use){.region = t->region, .offset = t->offset, .bytes = t->bytes};
	}
	return 0;
}

static int handoff_submit(
	struct modeld_call *call, const struct modeld_request *request, struct modeld_error *error)
{
	struct handoff_tensor *inputs = handoff_scratch_tensors(call->m->scratch);
	struct handoff_target *targets = handoff_scratch_targets(call->m->scratch);
	const struct handoff_message q = {
		.seq = call->seq,
		.type = HANDOFF_INFER,
		.infer = {.model = request->model,
			.inputs = inputs,
			.n_inputs = request->n_inputs,
			.targets = targets,
			.n_targets = request->n_targets,
			.timeout_us = request->timeout_us,
			.make_room = request->make_room != 0},
	};

	for (size_t i = 0; i < request->n_inputs; i++) {
		const struct modeld_tensor *t = &request->inputs[i];

		inputs[i] = (struct handoff_tensor){.name = t->name,
			.dtype = (enum dtype)t->type,
			.rank = t->rank,
			.dims = t->dims,
			.region = t->region->number,
			.offset = t->offset,
			.length = t->bytes};
	}
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct modeld_target *t = &request->targets[i];

		targets[i] = (struct handoff_target){.name = t->name,
			.region = t->region->number,
			.offset = t->offset,
			.length = t->bytes};
	}
	return link_send(call->m, &q, -1, clock_add(clock_ns(), call->m->timeout_ns), error);
}

int modeld_submit(struct modeld *m, const struct modeld_request *request,
	struct modeld_call **ret_call, struct modeld_error *error)
{
	struct modeld_call *call;
	int e = check_request(m, request, error);

	if (e)
		return e;
	call = call_take(m);
	if (!call)
		return error_system(error, -ENOMEM, "a call");
	call->seq = m->next_seq++;
	call->make_room = request->make_room != 0;
	if (take_targets(call, request)) {
		call_recycle(call);
		return error_system(error, -ENOMEM, "a call");
	}
	e = m->grpc ? grpc_submit(call, request, error) : handoff_submit(call, request, error);
	if (e) {
		call_recycle(call);
		return e;
	}
	call_open(call);
	*ret_call = call;
	return 0;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

int modeld_wait(struct modeld_call *call, uint64_t timeout_us, struct modeld_result **ret_result,
	struct modeld_error *error)
{
	struct modeld *m = call->m;
	uint64_t timeout_ns, deadline_ns = CLOCK_NO_DEADLINE;
	int r;

	if (!__builtin_mul_overflow(timeout_us, NS_PER_US, &timeout_ns))
		deadline_ns = timeout_ns ? clock_add(clock_ns(), timeout_ns) : 0;
	r = m->grpc ? grpc_wait(call, deadline_ns) : link_wait(m, &call->done, deadline_ns);
	if (r)
		return error_system(error, r, "no answer yet");
	if (call->released && !call->error.code)
		(void)error_set(&call->error, MODELD_E_USAGE,
			"the region of an output was released before the call was waited for");
	r = call->error.code;
	if (r)
		*error = call->error;
	else
		*ret_result = steal_ptr(call->result);
	call_recycle(call);
	return r;
}

int modeld_infer(struct modeld *m, const struct modeld_request *request,
	struct modeld_result **ret_result, struct modeld_error *error)
{
	struct modeld_call *call = NULL;
	int e = modeld_submit(m, request, &call, error);

	if (e)
		return e;
	assert(call);
	return modeld_wait(call, UINT64_MAX, ret_result, error);
}

/* Whichever comes first says that the daemon has done with it: the answer to Cancel, or the call's. */
static void handoff_cancel(struct modeld_call *call)
{
	struct modeld *m = call->m;
	struct control control = {.seq = m->next_seq++, .done = &call->done, .fd = -1};
	const struct handoff_message q = {
		.seq = control.seq, .type = HANDOFF_CANCEL, .cancel.of = call->seq};
	struct modeld_error error;

	if (!link_send(m, &q, -1, clock_add(clock_ns(), m->timeout_ns), &error))
		m->control = &control;
	(void)(link_wait(m, &call->done, CLOCK_NO_DEADLINE) == 0);
	m->control = NULL;
	close_fd(&control.fd);
}

void modeld_cancel(struct modeld_call *call)
{
	if (!call)
		return;
	if (call->m->grpc)
		(void)(grpc_wait(call, CLOCK_NO_DEADLINE) == 0);
	else if (!call->done)
		handoff_cancel(call);
	call_recycle(call);
}

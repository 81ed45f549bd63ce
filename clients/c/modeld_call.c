/*
 * modeld_call.c: inferences: sent, waited for, cancelled, by the handoff socket or by gRPC.
 *
 * Client process, the caller's thread.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "clients/c/modeld_private.h"

#define GRACE_US 100000u

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

static int handoff_submit(struct modeld_call *call, const struct modeld_request *request,
	uint64_t deadline_ns, struct modeld_error *error)
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
			.make_room = request->make_room != 0,
			.traceparent = request->traceparent,
			.tracestate = request->tracestate},
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
	return link_send(call->m, &q, -1, deadline_ns, error);
}

static int submit(struct modeld *m, const struct modeld_request *request, uint64_t deadline_ns,
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
	e = m->grpc ? grpc_submit(call, request, error)
		    : handoff_submit(call, request, deadline_ns, error);
	if (e) {
		call_recycle(call);
		return e;
	}
	call_open(call);
	*ret_call = call;
	return 0;
}

/* Of what is asked with a time limit; 0: none. */
static uint64_t nanoseconds(uint64_t timeout_us)
{
	uint64_t ns;

	return timeout_us == 0 || __builtin_mul_overflow(timeout_us, NS_PER_US, &ns)
		       ? CLOCK_NO_DEADLINE
		       : ns;
}

int modeld_submit(struct modeld *m, const struct modeld_request *request,
	struct modeld_call **ret_call, struct modeld_error *error)
{
	uint64_t limit_ns = nanoseconds(request->timeout_us);
	uint64_t deadline_ns =
		clock_add(clock_ns(), limit_ns < m->timeout_ns ? limit_ns : m->timeout_ns);
	int e;

	call_sweep(m);
	for (bool again = false;; again = true) {
		e = connection_ready(m, deadline_ns, error);
		if (e)
			return e;
		e = submit(m, request, deadline_ns, ret_call, error);
		/* What was not sent may be sent over another connection. */
		if (e != MODELD_E_SYSTEM || again || !connection_is_lost(m))
			return e;
		error->code = 0;
	}
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
	r = call->grpc ? grpc_wait(call, deadline_ns) : link_wait(m, &call->done, deadline_ns);
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

/* The daemon's own word, that the time is up, is worth waiting for. */
static uint64_t with_grace(uint64_t timeout_us)
{
	uint64_t sum;

	return timeout_us == 0 || __builtin_add_overflow(timeout_us, GRACE_US, &sum) ? UINT64_MAX
										     : sum;
}

int modeld_infer(struct modeld *m, const struct modeld_request *request,
	struct modeld_result **ret_result, struct modeld_error *error)
{
	struct modeld_call *call = NULL;
	int e = modeld_submit(m, request, &call, error);

	if (e)
		return e;
	assert(call);
	e = modeld_wait(call, with_grace(request->timeout_us), ret_result, error);
	if (e != MODELD_E_TIMEOUT)
		return e;
	if (call->grpc)
		call_recycle(call);
	else
		call_abandon(call);
	return error_set(error, e, "the daemon did not answer within the request's %llu us",
		(unsigned long long)request->timeout_us);
}

/* Until the daemon has done with the call, however long its model takes; but only as long as the daemon itself is
 * there: it has m->timeout_ns for a question. One that takes no questions any more ends by itself, within its drain_timeout_s. */
static void wait_alive(struct modeld_call *call)
{
	struct modeld *m = call->m;
	uint64_t before = UINT64_MAX;

	while (link_wait(m, &call->done, clock_add(clock_ns(), m->timeout_ns))) {
		const struct handoff_message q = {.seq = m->next_seq++, .type = HANDOFF_GET_LIMITS};
		struct modeld_error error;

		if (m->going)
			continue;
		if (before == m->n_received ||
			(link_send(m, &q, -1, clock_add(clock_ns(), m->timeout_ns), &error) &&
				!m->going))
			link_lost(m, -ETIMEDOUT);
		before = m->n_received;
	}
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
	wait_alive(call);
	m->control = NULL;
	close_fd(&control.fd);
}

static void grpc_cancel(struct modeld_call *call)
{
	struct modeld *m = call->m;
	struct handoff_limits limits;
	struct modeld_error error;
	uint64_t deadline_ns;

	grpc_unwanted(call);
	do {
		deadline_ns = clock_add(clock_ns(), m->timeout_ns);
	} while (grpc_wait(call, deadline_ns) &&
		 !connection_limits(m, clock_add(clock_ns(), m->timeout_ns), &limits, &error));
}

void modeld_cancel(struct modeld_call *call)
{
	if (!call)
		return;
	if (call->grpc)
		grpc_cancel(call);
	else if (!call->done)
		handoff_cancel(call);
	call_recycle(call);
}

/*
 * modeld_check.c: does a request of the caller make sense? What only the daemon can know (names,
 * shapes, quotas) is left to it. Client process, the caller's thread.
 */
#include <string.h>

#include "base/traceparent.h"
#include "base/tracestate.h"
#include "clients/c/modeld_private.h"

_Static_assert(MODELD_RANK_MAX == TENSOR_RANK_MAX, "the header's limits are those of the tree");
_Static_assert(MODELD_TENSORS_MAX == HANDOFF_TENSORS_MAX, "so are these");
_Static_assert((int)MODELD_BYTES == (int)DTYPE_BYTES, "and types are numbered alike");

/* `what`: "input" or "target", number i. */
static int check_piece(struct modeld *m, const char *what, size_t i,
	const struct modeld_region *region, uint64_t offset, uint64_t bytes,
	struct modeld_error *error)
{
	if (!region || region->m != m)
		return error_set(
			error, MODELD_E_USAGE, "%s %zu has no region of this connection", what, i);
	if (region->epoch != m->epoch)
		return error_set(error, MODELD_E_STALE,
			"%s %zu: its region went with a connection that was lost: make another one",
			what, i);
	if (!region_at(region, offset, bytes))
		return error_set(error, MODELD_E_USAGE,
			"%s %zu: %llu bytes at %llu are not inside the region of %llu bytes", what,
			i, (unsigned long long)bytes, (unsigned long long)offset,
			(unsigned long long)region->bytes);
	if (call_may_write(m, region, offset, bytes))
		return error_set(error, MODELD_E_USAGE,
			"%s %zu: a request that ran out of time may still write there: see "
			"modeld_region_busy()",
			what, i);
	return 0;
}

static int check_input(
	struct modeld *m, const struct modeld_tensor *t, size_t i, struct modeld_error *error)
{
	enum dtype d = (enum dtype)t->type;
	uint64_t n;

	if (d <= DTYPE_INVALID || d >= DTYPE_MAX_)
		return error_set(
			error, MODELD_E_USAGE, "input %zu: %d is no element type", i, (int)d);
	if (t->rank > MODELD_RANK_MAX)
		return error_set(error, MODELD_E_USAGE, "input %zu: rank %u, the limit is %d", i,
			t->rank, MODELD_RANK_MAX);
	if (shape_elements(t->dims, t->rank, &n) ||
		(d != DTYPE_BYTES && shape_bytes(d, t->dims, t->rank, &n)))
		return error_set(error, MODELD_E_USAGE,
			"input %zu: a dimension is negative, or they are too large", i);
	if (d != DTYPE_BYTES && n != t->bytes)
		return error_set(error, MODELD_E_USAGE,
			"input %zu: its shape asks for %llu bytes, it has %llu", i,
			(unsigned long long)n, (unsigned long long)t->bytes);
	return check_piece(m, "input", i, t->region, t->offset, t->bytes, error);
}

static int check_trace(const struct modeld_request *r, struct modeld_error *error)
{
	struct tracestate state = {.n = 0};

	if (r->traceparent && !traceparent_valid(r->traceparent, strlen(r->traceparent)))
		return error_set(error, MODELD_E_USAGE, "traceparent is malformed");
	if (r->tracestate)
		tracestate_add(&state, r->tracestate, strlen(r->tracestate));
	return state.malformed ? error_set(error, MODELD_E_USAGE, "tracestate is malformed") : 0;
}

int check_request(struct modeld *m, const struct modeld_request *r, struct modeld_error *error)
{
	int e = 0;

	if (m->n_abandoned > 0)
		link_take_in(m);
	if (r->n_inputs > HANDOFF_TENSORS_MAX || r->n_targets > HANDOFF_TENSORS_MAX)
		return error_set(error, MODELD_E_USAGE,
			"%zu inputs and %zu targets, the limit is %u of each", r->n_inputs,
			r->n_targets, HANDOFF_TENSORS_MAX);
	for (size_t i = 0; i < r->n_inputs && !e; i++)
		e = check_input(m, &r->inputs[i], i, error);
	for (size_t i = 0; i < r->n_targets && !e; i++) {
		const struct modeld_target *t = &r->targets[i];

		e = check_piece(m, "target", i, t->region, t->offset, t->bytes, error);
		if (!e && !t->region->writable)
			e = error_set(error, MODELD_E_USAGE,
				"target %zu: its region is sealed against writing", i);
	}
	return e ? e : check_trace(r, error);
}

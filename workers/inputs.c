/*
 * inputs.c: resolves, checks and joins inputs.
 *
 * A region can be rewritten by its client at any moment. So nothing in it is read twice: BYTES
 * tensors, whose lengths decide about memory, are copied before they are checked. Worker process,
 * one thread at a time.
 */
#include "workers/inputs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/saturate.h"
#include "workers/error.h"

#define SHAPE_TEXT_MAX 200u

static void drop_joined(struct inputs *in)
{
	free(in->joined);
	free(in->joined_dims);
	free(in->apart);
	in->joined = NULL;
	in->joined_dims = NULL;
	in->apart = NULL;
	in->cap = 0;
}

void inputs_deinit(struct inputs *in)
{
	scratch_deinit(&in->scratch);
	drop_joined(in);
}

int inputs_reserve(struct inputs *in, size_t n)
{
	if (n <= in->cap)
		return 0;
	drop_joined(in);
	in->joined = malloc(n * sizeof(*in->joined));
	in->joined_dims = malloc(n * sizeof(*in->joined_dims));
	in->apart = malloc(n * sizeof(*in->apart));
	if (!in->joined || !in->joined_dims || !in->apart)
		return -ENOMEM;
	in->cap = n;
	return 0;
}

/* --- Resolving ---------------------------------------------------------------------------- */

static bool shape_fits(const struct modeld_declaration *want, const struct wire_tensor *got)
{
	return dtype_admits((enum dtype)want->dtype, got->dtype) &&
	       (want->any_shape || shape_admits(want->dims, want->rank, got->dims, got->rank));
}

/* Bytes that the shape asks for; for BYTES any number is good here. */
static bool size_fits(const struct wire_tensor *t)
{
	return tensor_check(t->dtype, t->dims, t->rank, t->span.length, NULL) == 0;
}

/* By its client, meanwhile. BYTES of a region are always looked at here, as if they could. */
static bool can_change(const struct view *v, const struct wire_tensor *t)
{
	return (t->span.arena & WIRE_REGION_BIT) &&
	       (t->dtype == DTYPE_BYTES || !view_is_constant(v));
}

static enum modeld_code say_lost(const struct inputs *in, const struct modeld_declaration *want,
	uint64_t region, struct modeld_error *error)
{
	char why[DEVICE_TEXT_MAX];

	regions_why_locked(in->regions, in->memory, region, why, sizeof(why));
	return error_say(error, MODELD_INVALID,
		"input '%s': its region's memory on the GPU cannot be had: %s", want->name, why);
}

/* Where it lies, and in which memory. */
static enum modeld_code locate(const struct inputs *in, const struct modeld_declaration *want,
	const struct wire_tensor *t, struct modeld_tensor *tensor, struct modeld_error *error)
{
	const struct view *v = regions_find_locked(in->regions, in->memory, t->span.arena);
	bool on_device, lost = false;
	void *data = NULL;

	if (v) {
		tensor->data = view_data(v, &t->span);
		tensor->shared = can_change(v, t);
	} else {
		pthread_mutex_lock(in->memory);
		on_device = regions_on_device(in->regions, &t->span, &data, &lost);
		pthread_mutex_unlock(in->memory);
		if (!on_device && regions_lacks_locked(in->regions, in->memory, t->span.arena))
			return error_say(error, MODELD_EXHAUSTED,
				"input '%s': this worker has no room to map its memory",
				want->name);
		if (!on_device)
			return error_say(error, MODELD_INTERNAL,
				"input '%s': its memory is not mapped in this worker", want->name);
		tensor->data = data;
		tensor->memory = MODELD_MEMORY_DEVICE;
		tensor->shared = 1;
	}
	if (lost)
		return say_lost(in, want, t->span.arena, error);
	if (!tensor->data)
		return error_say(error, MODELD_INTERNAL,
			"input '%s': its span is outside of its memory", want->name);
	return MODELD_OK;
}

static enum modeld_code resolve(const struct inputs *in, const struct modeld_declaration *want,
	const struct wire_tensor *t, struct modeld_tensor *ret_tensor, struct modeld_error *error)
{
	char shape[SHAPE_TEXT_MAX];

	if (!shape_fits(want, t) || !size_fits(t))
		return error_say(error, MODELD_INTERNAL,
			"input '%s': %s %s of %" PRIu64 " bytes is not what the model declares",
			want->name, dtype_name(t->dtype),
			shape_format(t->dims, t->rank, shape, sizeof(shape)), t->span.length);
	*ret_tensor = (struct modeld_tensor){
		.size = sizeof(*ret_tensor),
		.dtype = (enum modeld_dtype)t->dtype,
		.rank = t->rank,
		.dims = t->dims,
		.bytes = t->span.length,
	};
	return locate(in, want, t, ret_tensor, error);
}

enum modeld_code inputs_resolve(const struct inputs *in, const struct model *m,
	const struct wire_item *item, struct modeld_tensor *ret_tensors, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	if (item->n_inputs != m->info.n_inputs)
		return error_say(error, MODELD_INTERNAL, "%zu inputs came, the model declares %zu",
			item->n_inputs, m->info.n_inputs);
	for (size_t i = 0; code == MODELD_OK && i < item->n_inputs; i++) {
		if (item->inputs[i].index != i)
			return error_say(error, MODELD_INTERNAL, "inputs came in the wrong order");
		code = resolve(in, &m->info.inputs[i], &item->inputs[i], &ret_tensors[i], error);
	}
	return code;
}

/* --- One alone ---------------------------------------------------------------------------- */

static bool aligned(const void *data)
{
	return (uintptr_t)data % SCRATCH_ALIGN == 0;
}

static bool is_on_device(const struct modeld_tensor *t)
{
	return t->memory == MODELD_MEMORY_DEVICE;
}

/* A model takes BYTES where their lengths can be looked at. */
static bool must_copy(const struct modeld_tensor *t, const struct modeld_declaration *want)
{
	if (is_on_device(t))
		return t->dtype == MODELD_DTYPE_BYTES || !offload_wants(want);
	return t->bytes > 0 && (!aligned(t->data) || (t->shared && t->dtype == MODELD_DTYPE_BYTES));
}

/* Nobody else can change it from then on. */
static enum modeld_code copy(struct inputs *in, struct modeld_tensor *t, struct modeld_error *error)
{
	void *to = scratch_take(&in->scratch, t->bytes);
	enum modeld_code code = MODELD_OK;

	if (!is_on_device(t))
		memcpy(to, t->data, t->bytes);
	else if (t->bytes > 0)
		code = offload_fetch(in->offload, to, t->data, t->bytes, error);
	t->data = to;
	t->memory = MODELD_MEMORY_HOST;
	t->shared = 0;
	return code;
}

/* Of BYTES the daemon leaves to us what is of a region, and what has too many elements. A copy is private now, so what is
 * checked is what is used. */
static bool adds_up(const struct modeld_tensor *t, bool was_shared)
{
	uint64_t elements;

	if (shape_elements(t->dims, t->rank, &elements))
		return false;
	return (!was_shared && elements <= WIRE_BYTES_CHECKED_MAX) ||
	       !bytes_tensor_check(t->data, t->bytes, elements);
}

static enum modeld_code fail_bytes(
	const struct modeld_tensor *t, size_t index, struct modeld_error *error)
{
	char shape[SHAPE_TEXT_MAX];

	return error_say(error, MODELD_INVALID,
		"malformed bytes tensor: input %zu is not %s elements of a length and so many "
		"bytes each in %" PRIu64 " bytes",
		index, shape_format(t->dims, t->rank, shape, sizeof(shape)), t->bytes);
}

enum modeld_code inputs_settle(struct inputs *in, const struct model *m,
	struct modeld_tensor *tensors, struct modeld_error *error)
{
	const struct modeld_declaration *want = m->info.inputs;
	size_t n = m->info.n_inputs;
	enum modeld_code code = MODELD_OK;
	uint64_t need = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		if (must_copy(&tensors[i], &want[i]))
			need = saturating_add(need, scratch_bytes(tensors[i].bytes));
	}
	r = scratch_begin(&in->scratch, need);
	if (r)
		return error_say(error, MODELD_EXHAUSTED,
			"%" PRIu64 " bytes of inputs in a region must be copied, above the limit "
			"of %" PRIu64 " bytes or what the host has ([memory] input_arena_bytes)",
			need, in->scratch.max);
	for (size_t i = 0; code == MODELD_OK && i < n; i++) {
		struct modeld_tensor *t = &tensors[i];
		bool was_shared = t->shared;

		if (must_copy(t, &want[i]))
			code = copy(in, t, error);
		if (code != MODELD_OK || t->dtype != MODELD_DTYPE_BYTES)
			continue;
		t->shared = 0;
		if (!adds_up(t, was_shared))
			code = fail_bytes(t, i, error);
	}
	return code;
}

/* --- Several together --------------------------------------------------------------------- */

static bool tensor_joins(const struct modeld_tensor *first, const struct modeld_tensor *t)
{
	if (t->dtype != first->dtype || t->rank != first->rank || is_on_device(t))
		return false;
	/* One that does not add up fails alone. */
	if (t->dtype == MODELD_DTYPE_BYTES && (t->shared || !adds_up(t, false)))
		return false;
	return !memcmp(t->dims + 1, first->dims + 1, (t->rank - 1) * sizeof(*t->dims));
}

static bool item_joins(const struct model *m, const struct wire_item *first_item,
	const struct modeld_tensor *first, const struct wire_item *item,
	const struct modeld_tensor *tensors)
{
	if (item->n_parameters > 0 || item->n_outputs != first_item->n_outputs)
		return false;
	for (size_t i = 0; i < item->n_outputs; i++) {
		if (item->outputs[i] != first_item->outputs[i])
			return false;
	}
	for (size_t i = 0; i < m->info.n_inputs; i++) {
		if (!tensor_joins(&first[i], &tensors[i]) ||
			tensors[i].dims[0] != tensors[0].dims[0])
			return false;
	}
	return true;
}

bool inputs_joinable(const struct model *m, const struct wire_item *items,
	const struct modeld_tensor *tensors, size_t n_items, uint64_t *ret_rows)
{
	size_t n = m->info.n_inputs;
	uint64_t rows = 0;

	if (m->max_batch_size == 0)
		return false;
	for (size_t i = 0; i < n_items; i++) {
		if (!item_joins(m, &items[0], tensors, &items[i], &tensors[i * n]))
			return false;
		rows = saturating_add(rows, (uint64_t)tensors[i * n].dims[0]);
	}
	if (rows > m->max_batch_size)
		return false;
	*ret_rows = rows;
	return true;
}

/* Input k of all items; ret_bytes: their sum. Do they lie one behind the other? */
static bool contiguous(const struct modeld_tensor *tensors, size_t n_inputs, size_t n_items,
	size_t k, uint64_t *ret_bytes)
{
	const char *start = tensors[k].data;
	uint64_t bytes = 0;
	bool yes = aligned(start);

	for (size_t i = 0; i < n_items; i++) {
		const struct modeld_tensor *t = &tensors[i * n_inputs + k];

		yes = yes && (const char *)t->data == start + bytes;
		bytes = saturating_add(bytes, t->bytes);
	}
	*ret_bytes = bytes;
	return yes || bytes == 0;
}

static void gather(struct inputs *in, const struct modeld_tensor *tensors, size_t n_inputs,
	size_t n_items, size_t k)
{
	char *to = scratch_take(&in->scratch, in->joined[k].bytes);

	in->joined[k].data = to;
	for (size_t i = 0; i < n_items; i++) {
		const struct modeld_tensor *t = &tensors[i * n_inputs + k];

		if (t->bytes > 0)
			memcpy(to, t->data, t->bytes);
		to += t->bytes;
	}
}

static void shape_joined(
	struct inputs *in, const struct modeld_tensor *first, size_t k, uint64_t rows)
{
	struct modeld_tensor *j = &in->joined[k];

	memcpy(in->joined_dims[k], first->dims, first->rank * sizeof(*first->dims));
	in->joined_dims[k][0] = (int64_t)rows;
	*j = *first;
	j->dims = in->joined_dims[k];
	j->shared = 0;
}

int inputs_join(struct inputs *in, const struct model *m, const struct modeld_tensor *tensors,
	size_t n_items, uint64_t rows)
{
	size_t n = m->info.n_inputs;
	uint64_t need = 0;
	int r;

	for (size_t k = 0; k < n; k++) {
		shape_joined(in, &tensors[k], k, rows);
		in->apart[k] = !contiguous(tensors, n, n_items, k, &in->joined[k].bytes);
		/* On a device the copies to it join them. */
		if (m->device && offload_wants(&m->info.inputs[k]))
			in->apart[k] = false;
		if (in->apart[k])
			need = saturating_add(need, scratch_bytes(in->joined[k].bytes));
		for (size_t i = 0; !in->apart[k] && i < n_items; i++)
			in->joined[k].shared |= tensors[i * n + k].shared;
	}
	r = scratch_begin(&in->scratch, need);
	if (r)
		return r;
	for (size_t k = 0; k < n; k++) {
		if (in->apart[k])
			gather(in, tensors, n, n_items, k);
	}
	return 0;
}

void inputs_end(struct inputs *in)
{
	scratch_end(&in->scratch);
}

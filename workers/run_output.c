/*
 * run_output.c: gives a backend memory for its outputs, and believes nothing that it says about them.
 *
 * An output with a target is written where the client wants it when that place is aligned, else in
 * the output arena first. One that is larger than its target stays in the arena, as one without: so what
 * the client did not know costs it no second run.
 * Worker process, the thread of the run; a backend's own threads may write to outputs and ask for them, one
 * at a time.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "workers/error.h"
#include "workers/run_private.h"

#define SHAPE_TEXT_MAX 200u

/* --- What the backend asks for ------------------------------------------------------------ */

static bool dims_fit(
	const struct modeld_declaration *want, const int64_t *dims, uint32_t rank, uint64_t rows)
{
	if (rank > TENSOR_RANK_MAX || (rank > 0 && !dims))
		return false;
	if (rows == RUN_ROWS_ANY)
		return true;
	if (rank == 0 || (uint64_t)dims[0] != rows)
		return false;
	return want->any_shape || shape_admits(want->dims, want->rank, dims, rank);
}

/* The bytes of an element's type, or at least the elements of a BYTES tensor, add up. */
static bool bytes_fit(enum dtype dtype, const int64_t *dims, uint32_t rank, uint64_t bytes)
{
	return tensor_check(dtype, dims, rank, bytes, NULL) == 0;
}

static const char *dtype_text(enum modeld_dtype dtype)
{
	bool known = (int)dtype > DTYPE_INVALID && (int)dtype < DTYPE_MAX_;

	return known ? dtype_name((enum dtype)dtype) : "an unknown dtype";
}

static enum modeld_code output_refused(const struct run *r, const struct modeld_output *got,
	const char *name, struct modeld_error *error)
{
	char shape[SHAPE_TEXT_MAX] = "?", rows[64] = "";

	if (got->rank <= TENSOR_RANK_MAX && (got->rank == 0 || got->dims))
		shape_format(got->dims, got->rank, shape, sizeof(shape));
	if (r->rows != RUN_ROWS_ANY)
		snprintf(rows, sizeof(rows), " for %" PRIu64 " rows", r->rows);
	return error_say(error, MODELD_INTERNAL,
		"the backend gave output '%s' as %s %s of %" PRIu64
		" bytes%s, which is not what it declared",
		name, dtype_text(got->dtype), shape, got->bytes, rows);
}

static enum modeld_code check_output(
	const struct run *r, const struct modeld_output *got, struct modeld_error *error)
{
	const struct modeld_declaration *want;

	if (got->size < sizeof(*got))
		return error_say(error, MODELD_INTERNAL,
			"the backend asked for an output with a size of %zu, not %zu", got->size,
			sizeof(*got));
	if (got->index >= r->model->info.n_outputs)
		return error_say(error, MODELD_INTERNAL,
			"the backend gave output %zu, but declared only %zu", got->index,
			r->model->info.n_outputs);
	want = &r->model->info.outputs[got->index];
	if (got->memory == MODELD_MEMORY_DEVICE && !r->offload.transfer)
		return error_say(error, MODELD_INTERNAL,
			"the backend wants output '%s' in device memory, and this device has none",
			want->name);
	if (got->memory == MODELD_MEMORY_DEVICE && r->model->info.decoupled)
		return error_say(error, MODELD_INTERNAL,
			"the backend wants output '%s' in device memory, and the model is "
			"decoupled",
			want->name);
	if ((int)got->dtype > DTYPE_INVALID && (int)got->dtype < DTYPE_MAX_ &&
		(want->dtype == MODELD_DTYPE_ANY || want->dtype == got->dtype) &&
		dims_fit(want, got->dims, got->rank, r->rows) &&
		bytes_fit((enum dtype)got->dtype, got->dims, got->rank, got->bytes))
		return MODELD_OK;
	return output_refused(r, got, want->name, error);
}

void run_forget_output(struct run_output *o)
{
	o->memory = NULL;
	o->data = NULL;
	o->device = NULL;
}

static void drop_output(struct run *r, struct run_output *o)
{
	if (o->memory) {
		pthread_mutex_lock(r->memory);
		outputs_give_back(r->outputs, o->memory);
		pthread_mutex_unlock(r->memory);
	}
	run_forget_output(o);
}

static int allocate_now(struct run *r, struct run_output *o)
{
	int e = r->hold ? 0 : outputs_hold_new(r->outputs, &r->hold);

	return e ? e : outputs_alloc(r->outputs, r->hold, o->bytes, &o->memory);
}

/* Answers that were given before are in the way, until the daemon has sent them. */
static bool is_passing(int e)
{
	return e == OUTPUTS_E_FULL || e == OUTPUTS_E_HOLDS;
}

/* r->memory is held; not while on_full() is called. */
static int allocate_later(struct run *r, struct run_output *o)
{
	uint64_t start_ns = clock_ns();
	int e;

	pthread_mutex_unlock(r->memory);
	r->on_full(r->data);
	pthread_mutex_lock(r->memory);
	e = allocate_now(r, o);
	while (is_passing(e) &&
		!outputs_wait(r->outputs, r->hold, r->memory, start_ns + r->wait_ns))
		e = allocate_now(r, o);
	r->waited_ns += clock_ns() - start_ns;
	return e;
}

/* Of joined items, those that fit are run one by one sooner than there is room for all. */
static enum modeld_code allocate(
	struct run *r, struct run_output *o, const char *name, struct modeld_error *error)
{
	const struct arena *a = outputs_arena(r->outputs);
	int e = allocate_now(r, o);

	if (is_passing(e) && r->item && r->wait_ns > 0)
		e = allocate_later(r, o);
	if (!e) {
		o->data = output_data(o->memory);
		return MODELD_OK;
	}
	if (e == OUTPUTS_E_FULL)
		return error_say(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64 " bytes, and %" PRIu64
			" of the worker's %" PRIu64
			" bytes of output memory are in use ([worker] output_arena_bytes)",
			name, o->bytes, arena_used(a), arena_limit(a));
	if (e == OUTPUTS_E_LARGE)
		return error_say(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64
			" bytes, more than the worker's output memory of "
			"%" PRIu64 " bytes ([worker] output_arena_bytes)",
			name, o->bytes, arena_limit(a));
	if (e == OUTPUTS_E_MEMORY)
		return error_say(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64 " bytes, and the host has no memory for it",
			name, o->bytes);
	if (e == OUTPUTS_E_HOLDS)
		return error_say(error, MODELD_EXHAUSTED,
			"there is no room for output '%s': so many answers of the worker were not "
			"taken by their clients yet as [worker] max_holds allows",
			name);
	return error_say(
		error, MODELD_EXHAUSTED, "the worker is out of memory for output '%s'", name);
}

static enum modeld_code arena_output(
	struct run *r, struct run_output *o, const char *name, struct modeld_error *error)
{
	enum modeld_code code;

	pthread_mutex_lock(r->memory);
	code = allocate(r, o, name, error);
	pthread_mutex_unlock(r->memory);
	return code;
}

/* What is made on the host and belongs on the device is brought there when it was looked at. */
static enum modeld_code place_output(struct run *r, struct run_output *o, const char *name,
	enum modeld_memory memory, struct modeld_error *error)
{
	bool to_device;

	o->at_target = o->target && o->bytes <= o->target->span.length;
	to_device = o->at_target && o->target_on_device;
	if (!o->at_target || (to_device && memory != MODELD_MEMORY_DEVICE) ||
		(!to_device && (uintptr_t)o->target_data % SEGMENT_ALIGN))
		return arena_output(r, o, name, error);
	o->data = o->target_data;
	return MODELD_OK;
}

/* Another batch's output may have lain there: what the backend does not promise to fill is cleared,
 * and what it does ends with a mark, by which a broken promise is seen. Regions are the client's own. */
static void forget(const struct run *r, struct run_output *o, int writes_all)
{
	o->marked = writes_all && o->bytes >= RUN_MARK_BYTES;
	if (o->marked)
		memcpy((char *)o->data + o->bytes - RUN_MARK_BYTES, r->mark, RUN_MARK_BYTES);
	else if (o->bytes > 0)
		memset(o->data, 0, o->bytes);
}

static bool was_written(const struct run *r, const struct run_output *o)
{
	const char *end = (const char *)o->data + o->bytes;

	return !o->marked || memcmp(end - RUN_MARK_BYTES, r->mark, RUN_MARK_BYTES) != 0;
}

static enum modeld_code take_output(
	struct run *r, const struct modeld_output *want, struct run_output *o)
{
	enum modeld_code code;

	drop_output(r, o);
	o->dtype = (enum dtype)want->dtype;
	o->rank = want->rank;
	if (want->rank > 0)
		memcpy(o->dims, want->dims, want->rank * sizeof(*want->dims));
	o->bytes = want->bytes;
	code = place_output(
		r, o, r->model->info.outputs[want->index].name, want->memory, &r->failed);
	o->marked = false;
	if (code != MODELD_OK)
		return code;
	if (want->memory != MODELD_MEMORY_DEVICE) {
		if (o->memory)
			forget(r, o, want->writes_all);
		return MODELD_OK;
	}
	return offload_alloc(&r->offload, want->bytes, &o->device, &r->failed);
}

void *run_give_output(const struct modeld_batch *batch, const struct modeld_output *want,
	struct modeld_error *error)
{
	struct run *r = container_of(batch, struct run, batch);
	enum modeld_code code = check_output(r, want, &r->failed);
	size_t index = want->index;

	if (code == MODELD_OK)
		code = take_output(r, want, &r->given[index]);
	if (code == MODELD_OK) {
		if (r->failed_output == index)
			r->failed_code = MODELD_OK;
		return r->given[index].device ? r->given[index].device : r->given[index].data;
	}
	r->failed_code = code;
	r->failed_output = index;
	memcpy(error->text, r->failed.text, sizeof(error->text));
	return NULL;
}

/* --- Afterwards --------------------------------------------------------------------------- */

/* A BYTES output that does not add up would mislead whoever walks it. What lies in a region is the
 * client's own business, who can change it anyway. */
static bool content_fits(const struct run_output *o)
{
	uint64_t elements;

	if (o->dtype != DTYPE_BYTES || !o->memory)
		return true;
	return !shape_elements(o->dims, o->rank, &elements) &&
	       !bytes_tensor_check(o->data, o->bytes, elements);
}

static enum modeld_code bring_to_target(
	struct run *r, struct run_output *o, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	if (o->bytes > 0 && o->target_on_device)
		code = offload_put(&r->offload, o->target_data, o->data, o->bytes, error);
	else if (o->bytes > 0)
		memcpy(o->target_data, o->data, o->bytes);
	drop_output(r, o);
	o->data = o->target_data;
	return code;
}

enum modeld_code run_finish_output(struct run *r, size_t i, struct modeld_error *error)
{
	struct run_output *o = &r->given[i];
	const char *name = r->model->info.outputs[i].name;

	if (!r->wanted[i]) {
		drop_output(r, o);
		return MODELD_OK;
	}
	if (!o->data)
		return error_say(error, MODELD_INTERNAL, "the backend gave no output '%s'", name);
	if (!was_written(r, o))
		return error_say(error, MODELD_INTERNAL,
			"the backend said that it writes all of output '%s', and did not", name);
	if (!content_fits(o))
		return error_say(error, MODELD_INTERNAL,
			"the backend gave output '%s' as a malformed bytes tensor", name);
	return o->at_target && o->memory ? bring_to_target(r, o, error) : MODELD_OK;
}

struct span run_output_span(const struct run_output *o)
{
	return o->memory ? output_span(o->memory) : span_slice(o->target->span, 0, o->bytes);
}

/* Bytes of the next `elements` elements of a BYTES tensor that was checked as a whole. */
static uint64_t walk_bytes(const char *data, uint64_t elements)
{
	uint64_t n = 0;
	uint32_t length;

	for (uint64_t i = 0; i < elements; i++) {
		memcpy(&length, data + n, sizeof(length));
		n += sizeof(length) + length;
	}
	return n;
}

uint64_t run_part_bytes(const struct run_output *o, uint64_t from, uint64_t rows, uint64_t total)
{
	uint64_t elements;
	int r;

	if (rows == total)
		return o->bytes - from;
	if (o->dtype != DTYPE_BYTES)
		return o->bytes / total * rows;
	r = shape_elements(o->dims, o->rank, &elements);
	assert(r == 0);
	(void)r;
	return walk_bytes((const char *)o->data + from, elements / total * rows);
}

void run_drop_output(struct run *r, size_t output)
{
	drop_output(r, &r->given[output]);
}

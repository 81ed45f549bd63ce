/*
 * run.c: gives a backend memory for its outputs, and believes nothing that it says about them.
 *
 * An output with a target is written where the client wants it when that place is aligned, else in
 * the output arena first. Worker process, its one thread; a backend's own threads may write to
 * outputs, but only the thread that called run() may ask for them.
 */
#include "workers/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "workers/host.h"

#define SHAPE_TEXT_MAX 200u

static _printf_(3, 4) enum modeld_code
	fail(struct modeld_error *error, enum modeld_code code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	return code;
}

/* --- What the backend asks for ------------------------------------------------------------ */

static bool dims_fit(
	const struct modeld_declaration *want, const int64_t *dims, uint32_t rank, uint64_t rows)
{
	if (rank > TENSOR_RANK_MAX || (rank > 0 && !dims))
		return false;
	if (rows != RUN_ROWS_ANY && (rank == 0 || (uint64_t)dims[0] != rows))
		return false;
	if (want->any_shape)
		return true;
	if (rank != want->rank)
		return false;
	for (uint32_t i = 0; i < rank; i++) {
		if (want->dims[i] != -1 && want->dims[i] != dims[i])
			return false;
	}
	return true;
}

/* The bytes of an element's type, or at least the elements of a BYTES tensor, add up. */
static bool bytes_fit(enum dtype dtype, const int64_t *dims, uint32_t rank, uint64_t bytes)
{
	uint64_t n;

	if (dtype == DTYPE_BYTES)
		return shape_elements(dims, rank, &n) == 0;
	return shape_bytes(dtype, dims, rank, &n) == 0 && n == bytes;
}

static const char *dtype_text(enum modeld_dtype dtype)
{
	bool known = (int)dtype > DTYPE_INVALID && (int)dtype < DTYPE_MAX_;

	return known ? dtype_name((enum dtype)dtype) : "an unknown dtype";
}

static enum modeld_code check_output(const struct run *r, size_t index, enum modeld_dtype dtype,
	const int64_t *dims, uint32_t rank, uint64_t bytes, struct modeld_error *error)
{
	const struct modeld_declaration *want;
	char got[SHAPE_TEXT_MAX] = "?", rows[64] = "";

	if (index >= r->model->info.n_outputs)
		return fail(error, MODELD_INTERNAL,
			"the backend gave output %zu, but declared only %zu", index,
			r->model->info.n_outputs);
	want = &r->model->info.outputs[index];
	if ((int)dtype > DTYPE_INVALID && (int)dtype < DTYPE_MAX_ &&
		(want->dtype == MODELD_DTYPE_ANY || want->dtype == dtype) &&
		dims_fit(want, dims, rank, r->rows) &&
		bytes_fit((enum dtype)dtype, dims, rank, bytes))
		return MODELD_OK;
	if (rank <= TENSOR_RANK_MAX && (rank == 0 || dims))
		shape_format(dims, rank, got, sizeof(got));
	if (r->rows != RUN_ROWS_ANY)
		snprintf(rows, sizeof(rows), " for %" PRIu64 " rows", r->rows);
	return fail(error, MODELD_INTERNAL,
		"the backend gave output '%s' as %s %s of %" PRIu64
		" bytes%s, which is not what it declared",
		want->name, dtype_text(dtype), got, bytes, rows);
}

static void drop_output(struct run *r, struct run_output *o)
{
	if (o->memory)
		outputs_give_back(r->outputs, o->memory);
	o->memory = NULL;
	o->data = NULL;
}

static enum modeld_code arena_output(
	struct run *r, struct run_output *o, const char *name, struct modeld_error *error)
{
	const struct arena *a = outputs_arena(r->outputs);
	int e = outputs_alloc(r->outputs, r->number, o->bytes, &o->memory);

	if (!e) {
		o->data = output_data(o->memory);
		return MODELD_OK;
	}
	if (e == OUTPUTS_E_FULL)
		return fail(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64 " bytes, and %" PRIu64
			" of the worker's %" PRIu64
			" bytes of output memory are in use ([worker] output_arena_bytes)",
			name, o->bytes, arena_used(a), arena_size(a));
	if (e == OUTPUTS_E_LARGE)
		return fail(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64
			" bytes, more than the worker's output memory of "
			"%" PRIu64 " bytes ([worker] output_arena_bytes)",
			name, o->bytes, arena_size(a));
	return fail(error, MODELD_EXHAUSTED, "the worker is out of memory for output '%s'", name);
}

static enum modeld_code place_output(
	struct run *r, struct run_output *o, const char *name, struct modeld_error *error)
{
	if (!o->target)
		return arena_output(r, o, name, error);
	if (o->bytes > o->target->span.length)
		return fail(error, MODELD_INVALID,
			"output '%s' takes %" PRIu64
			" bytes, but its place in the region has room for "
			"%" PRIu64,
			name, o->bytes, o->target->span.length);
	if ((uintptr_t)o->target_data % ARENA_ALIGN)
		return arena_output(r, o, name, error);
	o->data = o->target_data;
	return MODELD_OK;
}

static void *give_output(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
	const int64_t *dims, uint32_t rank, uint64_t bytes, struct modeld_error *error)
{
	struct run *r = container_of(batch, struct run, batch);
	enum modeld_code code = check_output(r, index, dtype, dims, rank, bytes, &r->failed);
	struct run_output *o;

	if (code == MODELD_OK) {
		o = &r->given[index];
		drop_output(r, o);
		o->dtype = (enum dtype)dtype;
		o->rank = rank;
		if (rank > 0)
			memcpy(o->dims, dims, rank * sizeof(*dims));
		o->bytes = bytes;
		code = place_output(r, o, r->model->info.outputs[index].name, &r->failed);
		if (code == MODELD_OK) {
			if (r->failed_output == index)
				r->failed_code = MODELD_OK;
			return o->data;
		}
	}
	r->failed_code = code;
	r->failed_output = index;
	*error = r->failed;
	return NULL;
}

static const char *give_parameter(const struct modeld_batch *batch, const char *key)
{
	const struct run *r = container_of(batch, struct run, batch);

	return r->item ? pairs_find(r->item->parameters, r->item->n_parameters, key) : NULL;
}

/* --- Before ------------------------------------------------------------------------------- */

void run_init(struct run *r, struct outputs *outputs, const struct regions *regions)
{
	r->outputs = outputs;
	r->regions = regions;
	r->batch.output = give_output;
	r->batch.parameter = give_parameter;
	r->batch.wanted = r->wanted;
}

static enum modeld_code set_wanted(
	struct run *r, const struct wire_item *want, struct modeld_error *error)
{
	size_t n = r->model->info.n_outputs;

	memset(r->wanted, want->n_outputs == 0, n);
	for (size_t i = 0; i < want->n_outputs; i++) {
		if (want->outputs[i] >= n)
			return fail(error, MODELD_INTERNAL,
				"output %" PRIu32 " is wanted, the model declares %zu",
				want->outputs[i], n);
		r->wanted[want->outputs[i]] = 1;
	}
	return MODELD_OK;
}

static enum modeld_code set_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error)
{
	for (size_t i = 0; item && i < item->n_targets; i++) {
		const struct wire_target *t = &item->targets[i];
		const struct view *v = regions_find(r->regions, t->span.arena);
		void *data = v ? view_data_writable(v, &t->span) : NULL;

		if (t->output >= r->model->info.n_outputs || !r->wanted[t->output])
			return fail(error, MODELD_INTERNAL,
				"a place is given for output %" PRIu32 ", which is not wanted",
				t->output);
		if (!data)
			return fail(error, MODELD_INTERNAL,
				"the place for output '%s' is not in a region that can be written",
				r->model->info.outputs[t->output].name);
		r->given[t->output].target = t;
		r->given[t->output].target_data = data;
	}
	return MODELD_OK;
}

enum modeld_code run_begin(struct run *r, const struct model *m, uint64_t number,
	const struct modeld_tensor *inputs, const struct wire_item *want,
	const struct wire_item *item, uint64_t rows, struct modeld_error *error)
{
	enum modeld_code code;

	r->model = m;
	r->item = item;
	r->number = number;
	r->rows = rows;
	r->compute_ns = 0;
	r->failed_code = MODELD_OK;
	r->batch.inputs = inputs;
	r->batch.n_inputs = m->info.n_inputs;
	r->batch.n_outputs = m->info.n_outputs;
	for (size_t i = 0; i < m->info.n_outputs; i++) {
		r->given[i].memory = NULL;
		r->given[i].data = NULL;
		r->given[i].target = NULL;
		r->given[i].target_data = NULL;
	}
	code = set_wanted(r, want, error);
	return code == MODELD_OK ? set_targets(r, item, error) : code;
}

/* --- After -------------------------------------------------------------------------------- */

static bool known_code(enum modeld_code code)
{
	return code == MODELD_INVALID || code == MODELD_EXHAUSTED || code == MODELD_UNSUPPORTED ||
	       code == MODELD_INTERNAL;
}

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

static enum modeld_code finish_output(struct run *r, size_t i, struct modeld_error *error)
{
	struct run_output *o = &r->given[i];
	const char *name = r->model->info.outputs[i].name;

	if (!r->wanted[i]) {
		drop_output(r, o);
		return MODELD_OK;
	}
	if (!o->data)
		return fail(error, MODELD_INTERNAL, "the backend gave no output '%s'", name);
	if (!content_fits(o))
		return fail(error, MODELD_INTERNAL,
			"the backend gave output '%s' as a malformed bytes tensor", name);
	if (o->target && o->memory) {
		if (o->bytes > 0)
			memcpy(o->target_data, o->data, o->bytes);
		drop_output(r, o);
		o->data = o->target_data;
	}
	return MODELD_OK;
}

enum modeld_code run_execute(struct run *r, struct modeld_error *error)
{
	enum modeld_code code;
	uint64_t start_ns;

	error->text[0] = 0;
	start_ns = clock_ns();
	code = r->model->backend->run(r->model->handle, &r->batch, error);
	r->compute_ns = clock_ns() - start_ns;
	if (r->failed_code != MODELD_OK) {
		code = r->failed_code;
		*error = r->failed;
	}
	if (code != MODELD_OK) {
		code = known_code(code) ? code : MODELD_INTERNAL;
		host_clean_error(error);
	}
	for (size_t i = 0; code == MODELD_OK && i < r->model->info.n_outputs; i++)
		code = finish_output(r, i, error);
	if (code != MODELD_OK)
		run_drop(r);
	return code;
}

struct span run_output_span(const struct run_output *o)
{
	return o->memory ? output_span(o->memory) : span_slice(o->target->span, 0, o->bytes);
}

void run_drop(struct run *r)
{
	for (size_t i = 0; i < r->model->info.n_outputs; i++)
		drop_output(r, &r->given[i]);
}

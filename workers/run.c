/*
 * run.c: gives a backend memory for its outputs, and believes nothing that it says about them.
 *
 * An output with a target is written where the client wants it when that place is aligned, else in
 * the output arena first. One that is larger than its target stays in the arena, as one without: so what
 * the client did not know costs it no second run.
 * Worker process, the thread of the run; a backend's own threads may write to outputs, ask for them one at a time, and complete the run.
 */
#include "workers/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

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
	return fail(error, MODELD_INTERNAL,
		"the backend gave output '%s' as %s %s of %" PRIu64
		" bytes%s, which is not what it declared",
		name, dtype_text(got->dtype), shape, got->bytes, rows);
}

static enum modeld_code check_output(
	const struct run *r, const struct modeld_output *got, struct modeld_error *error)
{
	const struct modeld_declaration *want;

	if (got->size < sizeof(*got))
		return fail(error, MODELD_INTERNAL,
			"the backend asked for an output with a size of %zu, not %zu", got->size,
			sizeof(*got));
	if (got->index >= r->model->info.n_outputs)
		return fail(error, MODELD_INTERNAL,
			"the backend gave output %zu, but declared only %zu", got->index,
			r->model->info.n_outputs);
	want = &r->model->info.outputs[got->index];
	if (got->memory == MODELD_MEMORY_DEVICE && !r->offload.transfer)
		return fail(error, MODELD_INTERNAL,
			"the backend wants output '%s' in device memory, and this device has none",
			want->name);
	if ((int)got->dtype > DTYPE_INVALID && (int)got->dtype < DTYPE_MAX_ &&
		(want->dtype == MODELD_DTYPE_ANY || want->dtype == got->dtype) &&
		dims_fit(want, got->dims, got->rank, r->rows) &&
		bytes_fit((enum dtype)got->dtype, got->dims, got->rank, got->bytes))
		return MODELD_OK;
	return output_refused(r, got, want->name, error);
}

static void drop_output(struct run *r, struct run_output *o)
{
	if (o->memory) {
		pthread_mutex_lock(r->memory);
		outputs_give_back(r->outputs, o->memory);
		pthread_mutex_unlock(r->memory);
	}
	o->memory = NULL;
	o->data = NULL;
	o->device = NULL;
}

static enum modeld_code allocate(
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
			name, o->bytes, arena_used(a), arena_limit(a));
	if (e == OUTPUTS_E_LARGE)
		return fail(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64
			" bytes, more than the worker's output memory of "
			"%" PRIu64 " bytes ([worker] output_arena_bytes)",
			name, o->bytes, arena_limit(a));
	if (e == OUTPUTS_E_MEMORY)
		return fail(error, MODELD_EXHAUSTED,
			"output '%s' takes %" PRIu64 " bytes, and the host has no memory for it",
			name, o->bytes);
	return fail(error, MODELD_EXHAUSTED, "the worker is out of memory for output '%s'", name);
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

static enum modeld_code place_output(
	struct run *r, struct run_output *o, const char *name, struct modeld_error *error)
{
	o->at_target = o->target && o->bytes <= o->target->span.length;
	if (!o->at_target || (uintptr_t)o->target_data % SEGMENT_ALIGN)
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
	code = place_output(r, o, r->model->info.outputs[want->index].name, &r->failed);
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

static void *give_output(const struct modeld_batch *batch, const struct modeld_output *want,
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

static const char *give_parameter(const struct modeld_batch *batch, const char *key)
{
	const struct run *r = container_of(batch, struct run, batch);

	return r->item ? pairs_find(r->item->parameters, r->item->n_parameters, key) : NULL;
}

static int give_parameter_at(
	const struct modeld_batch *batch, size_t i, const char **ret_key, const char **ret_value)
{
	const struct run *r = container_of(batch, struct run, batch);

	if (!r->item || i >= r->item->n_parameters)
		return 0;
	*ret_key = r->item->parameters[i].key;
	*ret_value = r->item->parameters[i].value;
	return 1;
}

/* --- Before ------------------------------------------------------------------------------- */

/* Nobody is told yet that an answer is not wanted any more. */
static int is_cancelled(const struct modeld_batch *batch)
{
	return 0;
}

void run_init(struct run *r, const struct run_parts *parts)
{
	r->memory = parts->memory;
	r->offload.pinned = parts->pinned;
	r->outputs = parts->outputs;
	r->regions = parts->regions;
	r->batch.size = sizeof(r->batch);
	r->batch.output = give_output;
	r->batch.parameter = give_parameter;
	r->batch.parameter_at = give_parameter_at;
	r->batch.cancelled = is_cancelled;
	/* Without random bytes the mark is zeroes: an output that ends with them fails then. */
	(void)!getrandom(r->mark, sizeof(r->mark), GRND_NONBLOCK);
	pthread_mutex_init(&r->completion.lock, NULL);
	pthread_cond_init(&r->completion.arrived, NULL);
}

static void drop_arrays(struct run *r)
{
	free(r->inputs);
	free(r->given);
	free(r->wanted);
	r->inputs = NULL;
	r->given = NULL;
	r->wanted = NULL;
	r->inputs_cap = r->given_cap = 0;
}

void run_deinit(struct run *r)
{
	offload_deinit(&r->offload);
	drop_arrays(r);
	pthread_cond_destroy(&r->completion.arrived);
	pthread_mutex_destroy(&r->completion.lock);
}

int run_reserve(struct run *r, const struct model *m)
{
	size_t n_inputs = m->info.n_inputs > r->inputs_cap ? m->info.n_inputs : r->inputs_cap;
	size_t n_given = m->info.n_outputs > r->given_cap ? m->info.n_outputs : r->given_cap;

	if (n_inputs == r->inputs_cap && n_given == r->given_cap)
		return 0;
	drop_arrays(r);
	r->inputs = calloc(n_inputs + 1, sizeof(*r->inputs));
	r->given = calloc(n_given + 1, sizeof(*r->given));
	r->wanted = calloc(n_given + 1, sizeof(*r->wanted));
	if (!r->inputs || !r->given || !r->wanted)
		return -ENOMEM;
	r->inputs_cap = n_inputs;
	r->given_cap = n_given;
	return 0;
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

/* It stays as long as the batch that names it runs. */
static const struct view *find_region(const struct run *r, uint64_t id)
{
	const struct view *v;

	pthread_mutex_lock(r->memory);
	v = regions_find(r->regions, id);
	pthread_mutex_unlock(r->memory);
	return v;
}

void *run_target_data(const struct run *r, const struct wire_target *target)
{
	const struct view *v = find_region(r, target->span.arena);

	return v ? view_data_writable(v, &target->span) : NULL;
}

static enum modeld_code check_target(
	struct run *r, const struct wire_target *t, void **ret_data, struct modeld_error *error)
{
	if (t->output >= r->model->info.n_outputs || !r->wanted[t->output])
		return fail(error, MODELD_INTERNAL,
			"a place is given for output %" PRIu32 ", which is not wanted", t->output);
	*ret_data = run_target_data(r, t);
	if (!*ret_data)
		return fail(error, MODELD_INTERNAL,
			"the place for output '%s' is not in a region that can be written",
			r->model->info.outputs[t->output].name);
	return MODELD_OK;
}

enum modeld_code run_check_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;
	void *data;

	for (size_t i = 0; code == MODELD_OK && i < item->n_targets; i++)
		code = check_target(r, &item->targets[i], &data, error);
	return code;
}

static enum modeld_code set_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error)
{
	for (size_t i = 0; item && i < item->n_targets; i++) {
		const struct wire_target *t = &item->targets[i];
		void *data = NULL;
		enum modeld_code code = check_target(r, t, &data, error);

		if (code != MODELD_OK)
			return code;
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
	for (size_t i = 0; i < m->info.n_inputs; i++)
		r->inputs[i] = &inputs[i];
	r->batch.inputs = r->inputs;
	r->batch.wanted = r->wanted;
	r->batch.n_inputs = m->info.n_inputs;
	r->batch.n_outputs = m->info.n_outputs;
	for (size_t i = 0; i < m->info.n_outputs; i++) {
		r->given[i].memory = NULL;
		r->given[i].data = NULL;
		r->given[i].target = NULL;
		r->given[i].target_data = NULL;
		r->given[i].at_target = false;
		r->given[i].device = NULL;
	}
	code = set_wanted(r, want, error);
	return code == MODELD_OK ? set_targets(r, item, error) : code;
}

/* --- After -------------------------------------------------------------------------------- */

static bool known_code(enum modeld_code code)
{
	return code == MODELD_INVALID || code == MODELD_EXHAUSTED || code == MODELD_UNSUPPORTED ||
	       code == MODELD_INTERNAL || code == MODELD_CANCELLED || code == MODELD_FATAL;
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
	if (!was_written(r, o))
		return fail(error, MODELD_INTERNAL,
			"the backend said that it writes all of output '%s', and did not", name);
	if (!content_fits(o))
		return fail(error, MODELD_INTERNAL,
			"the backend gave output '%s' as a malformed bytes tensor", name);
	if (o->at_target && o->memory) {
		if (o->bytes > 0)
			memcpy(o->target_data, o->data, o->bytes);
		drop_output(r, o);
		o->data = o->target_data;
	}
	return MODELD_OK;
}

enum modeld_code run_execute(struct run *r, const struct lane *lane, struct modeld_error *error)
{
	enum modeld_code code = run_call(r, lane, error);

	if (code != MODELD_FATAL && r->failed_code != MODELD_OK) {
		code = r->failed_code;
		*error = r->failed;
	}
	if (code != MODELD_OK) {
		code = known_code(code) ? code : MODELD_INTERNAL;
		host_clean_error(error);
		host_hide_paths(error->text);
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

void run_drop_output(struct run *r, size_t output)
{
	drop_output(r, &r->given[output]);
}

void run_drop(struct run *r)
{
	for (size_t i = 0; i < r->model->info.n_outputs; i++)
		drop_output(r, &r->given[i]);
}

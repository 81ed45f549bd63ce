/*
 * warmup.c: makes the inputs of a warm-up in memory of this process and runs them as the executor runs those of a request: the
 * same call, copies to the device, output memory. What comes out is dropped. Worker process, the thread that loads.
 */
#include "workers/warmup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/warmup_data.h"
#include "workers/host.h"
#include "workers/scratch.h"

/* No batch of the daemon has it, so none of these is ever cancelled. */
#define NUMBER UINT64_MAX

/* One input, and what is put into it. */
struct warm_input {
	struct warmup_data data;
	int64_t dims[TENSOR_RANK_MAX];
};

/* The warm-up that is run. */
struct warmup {
	const struct model *model;	  /* borrow */
	const struct wire_load *load;	  /* borrow */
	const struct wire_warmup *sample; /* borrow */
	struct scratch scratch;
	struct run run;
	struct warm_input *inputs;     /* own; as declared, and so is: */
	struct modeld_tensor *tensors; /* own */
	size_t n_open;		       /* of inputs, that have data */
};

static int fail(const struct warmup *w, struct modeld_error *error, const char *format, ...)
	_printf_(3, 4);
static int fail(const struct warmup *w, struct modeld_error *error, const char *format, ...)
{
	size_t n;
	va_list ap;

	snprintf(error->text, sizeof(error->text), "warm-up '%s': ", w->sample->name);
	n = strlen(error->text);
	va_start(ap, format);
	vsnprintf(error->text + n, sizeof(error->text) - n, format, ap);
	va_end(ap);
	return MODEL_E_FAILED;
}

/* --- Inputs ------------------------------------------------------------------------------------- */

static const struct wire_warmup_input *find_input(
	const struct wire_warmup *sample, const char *name)
{
	for (size_t i = 0; i < sample->n_inputs; i++) {
		if (!strcmp(sample->inputs[i].name, name))
			return &sample->inputs[i];
	}
	return NULL;
}

static bool is_declared(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->info.n_inputs; i++) {
		if (!strcmp(m->info.inputs[i].name, name))
			return true;
	}
	return false;
}

static int check_names(const struct warmup *w, struct modeld_error *error)
{
	const struct wire_warmup *s = w->sample;

	for (size_t i = 0; i < s->n_inputs; i++) {
		if (!is_declared(w->model, s->inputs[i].name))
			return fail(w, error, "the model has no input '%s'", s->inputs[i].name);
	}
	return 0;
}

/* The shape of all rows, which the model must have declared. */
static int set_shape(const struct warmup *w, size_t i, const struct wire_warmup_input *in,
	struct modeld_error *error)
{
	const struct modeld_declaration *want = &w->model->info.inputs[i];
	struct modeld_tensor *t = &w->tensors[i];
	int64_t *dims = w->inputs[i].dims;
	uint32_t front = w->model->max_batch_size > 0;
	char shape[128], wanted[128];

	if (in->rank + front > TENSOR_RANK_MAX)
		return fail(w, error, "input '%s' has more than 16 dimensions", in->name);
	if (front)
		dims[0] = w->sample->batch_size;
	if (in->rank > 0)
		memcpy(dims + front, in->dims, in->rank * sizeof(*dims));
	*t = (struct modeld_tensor){
		.size = sizeof(*t),
		.dtype = (enum modeld_dtype)in->dtype,
		.rank = in->rank + front,
		.dims = dims,
	};
	if (dtype_admits((enum dtype)want->dtype, in->dtype) &&
		(want->any_shape || shape_admits(want->dims, want->rank, dims, t->rank)))
		return 0;
	return fail(w, error, "input '%s': expected %s %s, got %s %s", in->name,
		want->dtype ? dtype_name((enum dtype)want->dtype) : "any",
		want->any_shape ? "of any shape"
				: shape_format(want->dims, want->rank, wanted, sizeof(wanted)),
		dtype_name(in->dtype), shape_format(dims, t->rank, shape, sizeof(shape)));
}

static int open_input(struct warmup *w, size_t i, uint64_t *need, struct modeld_error *error)
{
	const char *name = w->model->info.inputs[i].name;
	const struct wire_warmup_input *in = find_input(w->sample, name);
	struct modeld_tensor *t = &w->tensors[i];
	char text[256];
	int r;

	if (!in)
		return fail(w, error, "it has no input '%s'", name);
	r = set_shape(w, i, in, error);
	if (r)
		return r;
	r = warmup_data_open(&w->inputs[i].data, in, w->load->warmup_path, text, sizeof(text));
	if (r == WARMUP_DATA_E_INVALID)
		return fail(w, error, "input '%s': %s", name, text);
	if (r)
		return r;
	w->n_open = i + 1;
	if (__builtin_mul_overflow(
		    w->inputs[i].data.bytes, (uint64_t)w->sample->batch_size, &t->bytes) ||
		__builtin_add_overflow(*need, scratch_bytes(t->bytes), need))
		*need = UINT64_MAX;
	return 0;
}

static int fill_input(struct warmup *w, size_t i, struct modeld_error *error)
{
	struct warmup_data *d = &w->inputs[i].data;
	struct modeld_tensor *t = &w->tensors[i];
	char *to = scratch_take(&w->scratch, t->bytes);
	char text[256];

	t->data = to;
	if (warmup_data_fill(d, to, text, sizeof(text)))
		return fail(w, error, "input '%s': %s", d->input->name, text);
	for (uint64_t at = d->bytes; at < t->bytes; at += d->bytes)
		memcpy(to + at, to, d->bytes);
	return 0;
}

static void close_inputs(struct warmup *w)
{
	while (w->n_open > 0)
		warmup_data_close(&w->inputs[--w->n_open].data);
	scratch_end(&w->scratch);
}

static int make_inputs(struct warmup *w, struct modeld_error *error)
{
	size_t n = w->model->info.n_inputs;
	uint64_t need = 0;
	int r = check_names(w, error);

	for (size_t i = 0; !r && i < n; i++)
		r = open_input(w, i, &need, error);
	if (r)
		return r;
	r = scratch_begin(&w->scratch, need);
	if (r == SCRATCH_E_LIMIT)
		return fail(w, error,
			"its inputs take %" PRIu64 " bytes, and %" PRIu64
			" is the limit ([memory] input_arena_bytes)",
			need, w->scratch.max);
	for (size_t i = 0; !r && i < n; i++)
		r = fill_input(w, i, error);
	return r;
}

/* --- Running ------------------------------------------------------------------------------------ */

static void drop_answer(struct warmup *w)
{
	struct hold *hold = run_take_hold(&w->run);

	if (!hold)
		return;
	pthread_mutex_lock(w->run.memory);
	outputs_drop(w->run.outputs, hold);
	pthread_mutex_unlock(w->run.memory);
}

/* Of a decoupled model: nobody asked. */
static enum modeld_code on_answer(void *data, struct modeld_error *error)
{
	(void)error;
	drop_answer(data);
	return MODELD_OK;
}

/* It is others who have what there is; they send it themselves. */
static void on_full(void *data)
{
	(void)data;
}

static int run_once(struct warmup *w, const struct lane *lane, struct modeld_error *error)
{
	static const struct wire_item all = {0};
	struct modeld_error why = {.size = sizeof(why)};
	enum modeld_code code;

	w->run.lane = lane;
	w->run.number = NUMBER;
	w->run.items = w->tensors;
	w->run.n_items = 1;
	w->run.empty = false;
	code = run_begin(&w->run, w->model, w->tensors, &all, &all, RUN_ROWS_ANY, &why);
	if (code == MODELD_OK)
		code = run_execute(&w->run, &why);
	if (code == MODELD_OK) {
		drop_answer(w);
		run_drop(&w->run);
		return 0;
	}
	fail(w, error, "%s", why.text);
	return code == MODELD_FATAL ? MODEL_E_FATAL : MODEL_E_FAILED;
}

static int run_sample(struct warmup *w, struct modeld_error *error)
{
	const struct model *m = w->model;
	uint32_t rows = w->sample->batch_size, most = m->max_batch_size > 0 ? m->max_batch_size : 1;
	int r = rows > most ? fail(w, error,
				      "its batch_size is %" PRIu32 ", and the model takes %" PRIu32
				      " at most",
				      rows, most)
			    : make_inputs(w, error);

	for (uint32_t k = 0; !r && k < m->n_lanes; k++) {
		for (uint32_t i = 0; !r && i < w->sample->count; i++)
			r = run_once(w, &m->lanes[k], error);
	}
	close_inputs(w);
	return r;
}

static int make(struct warmup *w)
{
	size_t n = w->model->info.n_inputs;

	w->inputs = calloc(n + 1, sizeof(*w->inputs));
	w->tensors = calloc(n + 1, sizeof(*w->tensors));
	return w->inputs && w->tensors ? run_reserve(&w->run, w->model) : -ENOMEM;
}

int warmup_all(const struct run_parts *parts, uint64_t scratch_max, const struct model *m,
	const struct wire_load *load, struct modeld_error *error)
{
	struct warmup w = {.model = m, .load = load, .scratch.max = scratch_max};
	struct run_parts own = *parts;
	int r;

	own.on_answer = on_answer;
	own.on_full = on_full;
	own.data = &w;
	run_init(&w.run, &own);
	r = make(&w);
	for (size_t i = 0; !r && i < load->n_warmups; i++) {
		w.sample = &load->warmups[i];
		r = run_sample(&w, error);
	}
	if (r > 0)
		host_clean_error(error);
	scratch_deinit(&w.scratch);
	run_deinit(&w.run);
	free(w.inputs);
	free(w.tensors);
	return r;
}

/*
 * declare.c: reads a session's inputs and outputs and finds which output shapes follow from the
 * inputs. A free dimension without a name follows from nothing, but the batch dimension does.
 * Worker process.
 */
#include "workers/backends/onnxruntime/declare.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/onnxruntime/batch_names.h"
#include "workers/backends/onnxruntime/rows.h"
#include "workers/backends/onnxruntime/tensor.h"

/* Longer names count as none. */
#define SYMBOL_MAX 64

/* The names of one tensor's free dimensions; "": none. */
struct symbols {
	char names[MODELD_BACKEND_RANK_MAX][SYMBOL_MAX];
};

/* One reading. */
struct reader {
	const struct runtime *r;	  /* borrow */
	const struct OrtSession *session; /* borrow */
	struct declarations *d;		  /* borrow */
	struct symbols *inputs;		  /* own */
	struct symbols *outputs;	  /* own */
	struct modeld_error *error;	  /* borrow */
};

static enum modeld_code read_dimensions(struct reader *q,
	const struct OrtTensorTypeAndShapeInfo *info, struct modeld_declaration *d,
	struct symbols *symbols)
{
	const char *names[MODELD_BACKEND_RANK_MAX] = {NULL};
	const struct OrtApi *api = q->r->api;
	enum modeld_code code;

	code = runtime_check(q->r, api->GetDimensions(info, d->dims, d->rank), d->name, q->error);
	if (!code)
		code = runtime_check(
			q->r, api->GetSymbolicDimensions(info, names, d->rank), d->name, q->error);
	for (uint32_t i = 0; i < d->rank && !code; i++)
		if (names[i] && strlen(names[i]) < SYMBOL_MAX)
			memcpy(symbols->names[i], names[i], strlen(names[i]) + 1);
	return code;
}

static enum modeld_code read_tensor(struct reader *q, const struct OrtTensorTypeAndShapeInfo *info,
	struct modeld_declaration *d, struct symbols *symbols)
{
	const struct OrtApi *api = q->r->api;
	enum ort_element element = 0;
	enum modeld_code code;
	size_t rank = 0;

	code = runtime_check(q->r, api->GetTensorElementType(info, &element), d->name, q->error);
	if (!code)
		code = runtime_check(q->r, api->GetDimensionsCount(info, &rank), d->name, q->error);
	if (code)
		return code;
	d->dtype = dtype_of(element);
	if (d->dtype == MODELD_DTYPE_ANY)
		return error_set(q->error, MODELD_UNSUPPORTED,
			"'%.100s' is a tensor of %s, which is not served: convert it inside of the "
			"model with Cast, to float16 or int8 for instance",
			d->name, element_name(element));
	if (rank > MODELD_BACKEND_RANK_MAX)
		return error_set(q->error, MODELD_UNSUPPORTED,
			"'%.100s' has %zu dimensions; at most %u are served", d->name, rank,
			MODELD_BACKEND_RANK_MAX);
	d->rank = (uint32_t)rank;
	/* An old library says rank 0 of a tensor that may have any shape, too. */
	d->any_shape = q->r->has_shape ? !api->TensorTypeAndShape_HasShape(info) : rank == 0;
	return read_dimensions(q, info, d, symbols);
}

static bool has_maps(struct reader *q, const struct OrtTypeInfo *type)
{
	const struct OrtSequenceTypeInfo *sequence = NULL;
	const struct OrtApi *api = q->r->api;
	struct OrtTypeInfo *element = NULL;
	struct modeld_error ignored = {0};
	enum ort_type kind = 0;
	bool ok;

	ok = !runtime_check(
		q->r, api->CastTypeInfoToSequenceTypeInfo(type, &sequence), "", &ignored);
	if (!ok || !sequence ||
		runtime_check(q->r, api->GetSequenceElementType(sequence, &element), "", &ignored))
		return false;
	ok = !runtime_check(q->r, api->GetOnnxTypeFromTypeInfo(element, &kind), "", &ignored);
	api->ReleaseTypeInfo(element);
	return ok && kind == ORT_TYPE_MAP;
}

/* What is no tensor, and what its author could do. */
static enum modeld_code refuse_kind(struct reader *q, const struct OrtTypeInfo *type,
	enum ort_type kind, const struct modeld_declaration *d)
{
	const char *what = "of a kind that is not served";

	if (kind == ORT_TYPE_SEQUENCE && has_maps(q, type))
		what = "a sequence of maps, which is not served: leave the operator ZipMap out "
		       "(scikit-learn: zipmap=False)";
	else if (kind == ORT_TYPE_SEQUENCE)
		what = "a sequence, which is not served: give its tensors names of their own, or "
		       "join them inside of the model (ConcatFromSequence)";
	else if (kind == ORT_TYPE_OPTIONAL)
		what = "optional, which is not served: make it a tensor (OptionalGetElement)";
	else if (kind == ORT_TYPE_MAP)
		what = "a map, which is not served: leave the operator ZipMap out";
	else if (kind == ORT_TYPE_SPARSE)
		what = "a sparse tensor, which is not served: make it a dense one";
	return error_set(q->error, MODELD_UNSUPPORTED, "'%.100s' is %s", d->name, what);
}

static enum modeld_code read_type(struct reader *q, const struct OrtTypeInfo *type,
	struct modeld_declaration *d, struct symbols *symbols)
{
	const struct OrtTensorTypeAndShapeInfo *info = NULL;
	const struct OrtApi *api = q->r->api;
	enum ort_type kind = 0;
	enum modeld_code code;

	code = runtime_check(q->r, api->GetOnnxTypeFromTypeInfo(type, &kind), d->name, q->error);
	if (code)
		return code;
	if (kind != ORT_TYPE_TENSOR)
		return refuse_kind(q, type, kind, d);
	code = runtime_check(q->r, api->CastTypeInfoToTensorInfo(type, &info), d->name, q->error);
	return code ? code : read_tensor(q, info, d, symbols);
}

/* A session's inputs, or its outputs: how it is asked for them, and where they go. */
struct side {
	const char *what;
	struct modeld_declaration *list; /* borrow */
	struct symbols *symbols;	 /* borrow */
	struct OrtStatus *(*get_name)(
		const struct OrtSession *, size_t index, struct OrtAllocator *, char **ret_name);
	struct OrtStatus *(*get_type)(
		const struct OrtSession *, size_t index, struct OrtTypeInfo **ret_info);
};

static enum modeld_code read_declaration(struct reader *q, const struct side *s, size_t index)
{
	struct modeld_declaration *d = &s->list[index];
	struct OrtTypeInfo *type = NULL;
	enum modeld_code code;

	assert(s->list && s->symbols);
	d->size = sizeof(*d);
	code = runtime_check(q->r,
		s->get_name(q->session, index, q->r->allocator, (char **)&d->name), s->what,
		q->error);
	if (!code)
		code = runtime_check(
			q->r, s->get_type(q->session, index, &type), d->name, q->error);
	if (!code)
		code = read_type(q, type, d, &s->symbols[index]);
	if (type)
		q->r->api->ReleaseTypeInfo(type);
	return code;
}

static enum modeld_code read_side(struct reader *q, const struct side *s, size_t n)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; i < n && !code; i++)
		code = read_declaration(q, s, i);
	return code;
}

static enum modeld_code read_sides(struct reader *q)
{
	const struct OrtApi *api = q->r->api;
	const struct side inputs = {"inputs", q->d->inputs, q->inputs, api->SessionGetInputName,
		api->SessionGetInputTypeInfo};
	const struct side outputs = {"outputs", q->d->outputs, q->outputs,
		api->SessionGetOutputName, api->SessionGetOutputTypeInfo};
	enum modeld_code code = read_side(q, &inputs, q->d->n_inputs);

	return code ? code : read_side(q, &outputs, q->d->n_outputs);
}

static bool free_first(const struct modeld_declaration *d)
{
	return !d->any_shape && d->rank > 0 && d->dims[0] == -1;
}

/* A reason not to join; false. */
static bool alone(struct reader *q, const char *format, ...) _printf_(2, 3);
static bool alone(struct reader *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->d->why_alone, sizeof(q->d->why_alone), format, args);
	va_end(args);
	return false;
}

static bool named_batch(struct reader *q, const struct modeld_declaration *list,
	const struct symbols *symbols, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = symbols[i].names[0];

		if (name_means_batch(name))
			continue;
		if (!*name)
			return alone(q, "the first dimension of %s '%.60s' has no name", what,
				list[i].name);
		return alone(q,
			"the first dimension of %s '%.60s' is '%.60s', which need not be a batch",
			what, list[i].name, name);
	}
	return true;
}

/* Joining is harmless by all that is known. */
static enum modeld_code judge(struct reader *q, const char *path, bool *ret_harmless)
{
	struct declarations *d = q->d;
	struct rows_verdict verdict = {0};

	*ret_harmless = false;
	if (!named_batch(q, d->inputs, q->inputs, d->n_inputs, "input") ||
		!named_batch(q, d->outputs, q->outputs, d->n_outputs, "output"))
		return MODELD_OK;
	if (rows_judge(path, d->inputs, d->n_inputs, d->outputs, d->n_outputs, &verdict))
		return error_set(q->error, MODELD_EXHAUSTED, "no memory for the model's graph");
	*ret_harmless = verdict.apart || alone(q, "%s", verdict.why);
	return MODELD_OK;
}

/* Why requests cannot be joined at all; NULL: they can. */
static const char *fixed_tensor(const struct modeld_declaration *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!free_first(&list[i]))
			return list[i].name;
	return NULL;
}

static bool all_free_first(const struct declarations *d)
{
	return d->n_inputs > 0 && !fixed_tensor(d->inputs, d->n_inputs) &&
	       !fixed_tensor(d->outputs, d->n_outputs);
}

/* Somebody asked for what is impossible: `what` says how. */
static enum modeld_code refuse_joining(const struct reader *q, const char *what)
{
	const char *input = fixed_tensor(q->d->inputs, q->d->n_inputs);
	const char *output = fixed_tensor(q->d->outputs, q->d->n_outputs);

	if (q->d->n_inputs == 0)
		return error_set(
			q->error, MODELD_INTERNAL, "%s, but the model has no inputs", what);
	return error_set(q->error, MODELD_INTERNAL,
		"%s, but requests cannot be joined: the first dimension of %s '%.100s' is not free",
		what, input ? "input" : "output", input ? input : output);
}

/* What the configuration asks for, whatever the names and operators are. */
static enum modeld_code check_demand(
	const struct reader *q, const struct joining *joining, bool can)
{
	char what[64];

	if (joining->max_batch_size == MODELD_BATCH_UNSET || joining->max_batch_size <= 1)
		return joining->batch == BATCH_YES && !can ? refuse_joining(q, "batch = yes")
							   : MODELD_OK;
	snprintf(what, sizeof(what), "max_batch_size = %u", joining->max_batch_size);
	if (joining->batch == BATCH_NO)
		return error_set(
			q->error, MODELD_INTERNAL, "%s and batch = no contradict each other", what);
	return can ? MODELD_OK : refuse_joining(q, what);
}

static enum modeld_code decide_batch(
	struct reader *q, const char *path, const struct joining *joining)
{
	bool can = all_free_first(q->d), harmless = false;
	bool configured = joining->max_batch_size != MODELD_BATCH_UNSET;
	enum modeld_code code = check_demand(q, joining, can);

	if (code || joining->max_batch_size == 0 || joining->batch == BATCH_NO)
		return code;
	if (can && !configured && joining->batch == BATCH_AUTO)
		code = judge(q, path, &harmless);
	q->d->can_batch = can && (configured || joining->batch == BATCH_YES || harmless);
	return code;
}

static bool find_symbol(
	const struct reader *q, const char *name, uint32_t *ret_input, uint32_t *ret_axis)
{
	for (size_t i = 0; i < q->d->n_inputs && *name; i++) {
		for (uint32_t axis = 0; axis < q->d->inputs[i].rank; axis++) {
			if (strcmp(q->inputs[i].names[axis], name))
				continue;
			*ret_input = (uint32_t)i;
			*ret_axis = axis;
			return true;
		}
	}
	return false;
}

static bool is_input(const struct reader *q, const char *name)
{
	for (size_t i = 0; i < q->d->n_inputs; i++)
		if (!strcmp(q->d->inputs[i].name, name))
			return true;
	return false;
}

/* ONNX Runtime hands an input that is an output, too, through as it is, and never writes the memory
 * that it was given for it. */
static void make_rule(const struct reader *q, size_t output)
{
	const struct modeld_declaration *d = &q->d->outputs[output];
	struct shape_rule *rule = &q->d->rules[output];

	rule->known = !d->any_shape && !is_input(q, d->name);
	for (uint32_t i = 0; i < d->rank && rule->known; i++) {
		if (d->dims[i] >= 0 || (i == 0 && q->d->can_batch))
			continue; /* the batch dimension is the first of input 0 */
		rule->known = find_symbol(
			q, q->outputs[output].names[i], &rule->from[i].input, &rule->from[i].axis);
	}
}

static enum modeld_code allocate(struct reader *q)
{
	struct declarations *d = q->d;

	d->inputs = calloc(d->n_inputs + 1, sizeof(*d->inputs));
	d->outputs = calloc(d->n_outputs + 1, sizeof(*d->outputs));
	d->rules = calloc(d->n_outputs + 1, sizeof(*d->rules));
	q->inputs = calloc(d->n_inputs + 1, sizeof(*q->inputs));
	q->outputs = calloc(d->n_outputs + 1, sizeof(*q->outputs));
	if (!d->inputs || !d->outputs || !d->rules || !q->inputs || !q->outputs)
		return error_set(q->error, MODELD_EXHAUSTED, "no memory for the declarations");
	return MODELD_OK;
}

static enum modeld_code read_all(struct reader *q, const char *path, const struct joining *joining)
{
	const struct OrtApi *api = q->r->api;
	struct declarations *d = q->d;
	enum modeld_code code;

	code = runtime_check(
		q->r, api->SessionGetInputCount(q->session, &d->n_inputs), "inputs", q->error);
	if (!code)
		code = runtime_check(q->r, api->SessionGetOutputCount(q->session, &d->n_outputs),
			"outputs", q->error);
	if (!code)
		code = allocate(q);
	if (!code)
		code = read_sides(q);
	if (!code)
		code = decide_batch(q, path, joining);
	for (size_t i = 0; i < d->n_outputs && !code; i++)
		make_rule(q, i);
	return code;
}

enum modeld_code declarations_read(struct declarations *ret_declarations, const struct runtime *r,
	const struct OrtSession *session, const char *path, const struct joining *joining,
	struct modeld_error *error)
{
	struct declarations d = {0};
	struct reader q = {.r = r, .session = session, .d = &d, .error = error};
	enum modeld_code code = read_all(&q, path, joining);

	free(q.inputs);
	free(q.outputs);
	if (code) {
		declarations_release(&d, r);
		return code;
	}
	*ret_declarations = d;
	return MODELD_OK;
}

static void release_names(struct modeld_declaration *d, size_t n, const struct runtime *r)
{
	struct OrtStatus *status;

	for (size_t i = 0; d && i < n; i++) {
		if (!d[i].name)
			continue;
		status = r->api->AllocatorFree(r->allocator, (void *)d[i].name);
		if (status)
			r->api->ReleaseStatus(status);
	}
}

void declarations_release(struct declarations *d, const struct runtime *r)
{
	release_names(d->inputs, d->n_inputs, r);
	release_names(d->outputs, d->n_outputs, r);
	free(d->inputs);
	free(d->outputs);
	free(d->rules);
	memset(d, 0, sizeof(*d));
}

bool declarations_shape(const struct declarations *d, size_t index,
	const struct modeld_tensor *const *inputs, int64_t *dims)
{
	const struct modeld_declaration *output = &d->outputs[index];
	const struct shape_rule *rule = &d->rules[index];

	if (!rule->known)
		return false;
	for (uint32_t i = 0; i < output->rank; i++) {
		const struct modeld_tensor *input = inputs[rule->from[i].input];

		if (output->dims[i] >= 0)
			dims[i] = output->dims[i];
		else if (rule->from[i].axis < input->rank)
			dims[i] = input->dims[rule->from[i].axis];
		else
			return false;
	}
	return true;
}

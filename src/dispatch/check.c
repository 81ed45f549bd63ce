/*
 * check.c: a request against its model's declaration. What passes here is believed from then on:
 * the batcher and the worker's executor count on dtypes, ranks, sizes and rows.
 *
 * Texts name the model, the input, what was expected and what came. Daemon process, loop thread.
 */
#include "dispatch/check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"

#define SHAPE_TEXT_MAX 512u

static int bad_input(struct request *r, uint32_t i, const char *text)
{
	return request_refuse(r, GRPC_INVALID_ARGUMENT, "model '%s' input '%s': %s",
		r->version->settings.name, version_declared(r->version)->inputs[i].name, text);
}

/* A state of a sequence: the step before has it. */
static bool comes_later(const struct request *r, uint32_t i)
{
	return version_hides_input(r->version, i) && !r->inputs[i].lease;
}

static bool is_missing(const struct request *r, uint32_t i)
{
	return !r->inputs[i].lease && !r->inputs[i].region && !comes_later(r, i);
}

static int refuse_missing(struct request *r, const struct wire_loaded *declared)
{
	char names[768] = "";
	size_t n = 0;
	uint32_t missing = 0;

	for (uint32_t i = 0; i < r->n_inputs; i++) {
		if (!is_missing(r, i))
			continue;
		if (n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s'%s'",
				missing ? ", " : "", declared->inputs[i].name);
		missing++;
	}
	return request_refuse(r, GRPC_INVALID_ARGUMENT, "model '%s': missing input%s %s",
		r->version->settings.name, missing > 1 ? "s" : "", names);
}

static int check_missing(struct request *r, const struct wire_loaded *declared)
{
	for (uint32_t i = 0; i < r->n_inputs; i++) {
		if (is_missing(r, i))
			return refuse_missing(r, declared);
	}
	return 0;
}

static bool shape_fits(const struct wire_declaration *want, const struct request_input *got)
{
	return dtype_admits(want->dtype, got->dtype) &&
	       (want->any_shape || shape_admits(want->dims, want->rank, got->dims, got->rank));
}

static int refuse_shape(struct request *r, uint32_t i, const struct wire_declaration *want)
{
	const struct request_input *in = &r->inputs[i];
	char expected[SHAPE_TEXT_MAX] = "any shape";
	char got[SHAPE_TEXT_MAX];
	char text[2 * SHAPE_TEXT_MAX + 64];

	if (!want->any_shape)
		shape_format(want->dims, want->rank, expected, sizeof(expected));
	shape_format(in->dims, in->rank, got, sizeof(got));
	snprintf(text, sizeof(text), "expected %s %s, got %s %s", dtype_name(want->dtype), expected,
		dtype_name(in->dtype), got);
	return bad_input(r, i, text);
}

static int refuse_bytes(struct request *r, uint32_t i, uint64_t elements)
{
	char text[128];

	snprintf(text, sizeof(text),
		"malformed bytes tensor: %" PRIu64 " bytes are not %" PRIu64
		" elements of a length and so many bytes each",
		r->inputs[i].length, elements);
	return bad_input(r, i, text);
}

static int check_size(struct request *r, uint32_t i)
{
	const struct request_input *in = &r->inputs[i];
	char shape[SHAPE_TEXT_MAX];
	char text[SHAPE_TEXT_MAX + 128];
	uint64_t n;

	if (shape_elements(in->dims, in->rank, &n))
		goto bad_shape;
	if (in->dtype == DTYPE_BYTES) {
		/* What a client can still change, the worker checks, on a copy; and what takes long. */
		if (in->lease && n <= WIRE_BYTES_CHECKED_MAX &&
			bytes_tensor_check(lease_at(in->lease, in->offset), in->length, n))
			return refuse_bytes(r, i, n);
		return 0;
	}
	if (shape_bytes(in->dtype, in->dims, in->rank, &n))
		goto bad_shape;
	if (n == in->length)
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64 " bytes expected for %s %s, got %" PRIu64, n,
		dtype_name(in->dtype), shape_format(in->dims, in->rank, shape, sizeof(shape)),
		in->length);
	return bad_input(r, i, text);
bad_shape:
	snprintf(text, sizeof(text), "invalid shape %s",
		shape_format(in->dims, in->rank, shape, sizeof(shape)));
	return bad_input(r, i, text);
}

static int check_input(struct request *r, uint32_t i, const struct wire_declaration *want)
{
	const struct request_input *in = &r->inputs[i];
	struct span span;
	char text[160];

	if (in->rank > TENSOR_RANK_MAX) {
		snprintf(text, sizeof(text), "rank %" PRIu32 " exceeds %d", in->rank,
			TENSOR_RANK_MAX);
		return bad_input(r, i, text);
	}
	if (in->dtype <= DTYPE_INVALID || in->dtype >= DTYPE_MAX_)
		return bad_input(r, i, "no dtype given");
	if (!shape_fits(want, in))
		return refuse_shape(r, i, want);
	if (in->region && region_span(in->region, in->offset, in->length, &span)) {
		snprintf(text, sizeof(text),
			"%" PRIu64 " bytes at offset %" PRIu64 " are not inside its region of "
			"%" PRIu64 " bytes",
			in->length, in->offset, region_size(in->region));
		return bad_input(r, i, text);
	}
	assert(in->region || lease_holds(in->lease, in->offset, in->length));
	return check_size(r, i);
}

static int bad_target(struct request *r, const struct request_target *t, const char *text)
{
	return request_refuse(r, GRPC_INVALID_ARGUMENT, "model '%s' output '%s': %s",
		r->version->settings.name, version_declared(r->version)->outputs[t->output].name,
		text);
}

static bool wanted(const struct request *r, uint32_t output)
{
	for (size_t i = 0; i < r->item.n_outputs; i++) {
		if (r->outputs[i] == output)
			return true;
	}
	return r->item.n_outputs == 0;
}

static int check_target(struct request *r, uint32_t i)
{
	const struct request_target *t = &r->targets[i];
	char text[160];

	if (!wanted(r, t->output))
		return bad_target(r, t, "has a target, but is not wanted");
	if (!region_writable(t->region))
		return bad_target(r, t, "the region of its target was registered read_only");
	r->wire_targets[i].output = t->output;
	if (!region_span(t->region, t->offset, t->length, &r->wire_targets[i].span))
		return 0;
	snprintf(text, sizeof(text),
		"a target of %" PRIu64 " bytes at offset %" PRIu64 " is not inside its region of "
		"%" PRIu64 " bytes",
		t->length, t->offset, region_size(t->region));
	return bad_target(r, t, text);
}

/* The configuration says how many rows there may be; else that is a limit on joining alone. */
static bool rows_configured(const struct version *v)
{
	return v->settings.max_batch_size != UINT32_MAX;
}

/* Rows: the first dimension of every input. What has none of its own is a step of a sequence, which is one row. */
static int find_rows(struct request *r)
{
	uint32_t first = 0;
	char text[128];

	while (first < r->n_inputs && comes_later(r, first))
		first++;

	for (uint32_t i = 0; i < r->n_inputs; i++) {
		if (comes_later(r, i))
			continue;
		if (r->inputs[i].rank == 0)
			return bad_input(r, i, "the first dimension must be the batch's, got []");
		if (r->inputs[i].dims[0] == r->inputs[first].dims[0])
			continue;
		snprintf(text, sizeof(text),
			"batch of %" PRId64 " rows, but the first input has %" PRId64,
			r->inputs[i].dims[0], r->inputs[first].dims[0]);
		return bad_input(r, i, text);
	}
	r->rows = first < r->n_inputs ? (uint64_t)r->inputs[first].dims[0] : 1;
	return 0;
}

static int check_rows(struct request *r, uint32_t max_rows)
{
	const char *name = r->version->settings.name;
	int e = find_rows(r);

	if (e)
		return e;
	if (r->rows == 0)
		return request_refuse(
			r, GRPC_INVALID_ARGUMENT, "batch of 0 rows for model '%s'", name);
	if (r->rows > max_rows)
		return request_refuse(r, GRPC_INVALID_ARGUMENT,
			"batch of %" PRIu64 " rows exceeds max_batch_size %" PRIu32
			" of model '%s' ([model] of its model.conf)",
			r->rows, max_rows, name);
	return 0;
}

/* May it share a batch by its rows? What may not is a request like any other, of one row. */
static bool rows_join(const struct request *r, uint32_t max_rows)
{
	for (uint32_t i = 0; i < r->n_inputs; i++)
		if (r->inputs[i].rank == 0 || r->inputs[i].dims[0] != r->inputs[0].dims[0])
			return false;
	return r->inputs[0].dims[0] > 0 && (uint64_t)r->inputs[0].dims[0] <= max_rows;
}

/* Sets rows, and joinable as far as rows decide. */
static int count_rows(struct request *r)
{
	uint32_t max_rows = version_max_batch_size(r->version);

	r->rows = 1;
	r->joinable = false;
	if (max_rows == 0 || r->n_inputs == 0)
		return 0;
	if (!rows_configured(r->version) && !rows_join(r, max_rows))
		return 0;
	r->joinable = max_rows > 1;
	return check_rows(r, max_rows);
}

static uint64_t mix(uint64_t key, uint64_t value)
{
	key = (key ^ value) * UINT64_C(0x9E3779B97F4A7C15);
	return key ^ (key >> 32);
}

/* What must be equal for two requests to share a batch, as a hash. */
static void set_key(struct request *r)
{
	uint64_t key = r->n_inputs;
	bool joinable = r->joinable && r->item.n_parameters == 0;

	for (uint32_t i = 0; joinable && i < r->n_inputs; i++) {
		const struct request_input *in = &r->inputs[i];

		if (in->dtype == DTYPE_BYTES)
			joinable = false;
		key = mix(key, (uint64_t)in->dtype << 32 | in->rank);
		for (uint32_t k = 1; k < in->rank; k++)
			key = mix(key, (uint64_t)in->dims[k]);
	}
	for (size_t i = 0; joinable && i < r->item.n_outputs; i++)
		key = mix(key, r->outputs[i]);
	r->key = key;
	r->joinable = joinable;
}

static struct span span_of(const struct request_input *in)
{
	struct span span;
	int e;

	if (!in->region && !in->lease)
		return (struct span){0}; /* it comes later */
	if (!in->region)
		return span_slice(lease_span(in->lease), in->offset, in->length);
	e = region_span(in->region, in->offset, in->length, &span);
	assert(e == 0);
	(void)e;
	return span;
}

static void fill_item(struct request *r)
{
	for (uint32_t i = 0; i < r->n_inputs; i++) {
		const struct request_input *in = &r->inputs[i];

		r->tensors[i] = (struct wire_tensor){
			.index = i,
			.dtype = in->dtype,
			.rank = in->rank,
			.dims = in->dims,
			.span = span_of(in),
		};
	}
	r->item.inputs = r->tensors;
	r->item.n_inputs = r->n_inputs;
	r->item.outputs = r->outputs;
	r->item.targets = r->wire_targets;
	r->item.n_targets = r->n_targets;
	r->item.parameters = r->parameters;
	r->bound = wire_item_bound(&r->item);
}

static bool is_placed_on(const struct version *v, const char *device)
{
	struct pool_placement p;
	size_t i = 0;

	while (pool_model_placement(v->pool_model, &i, &p)) {
		if (!strcmp(worker_device(p.worker), device))
			return true;
	}
	return false;
}

static int bind_to(struct request *r, const char *device)
{
	const char *name = r->version->settings.name;

	if (r->version->settings.sequence)
		return request_refuse(r, GRPC_UNIMPLEMENTED,
			"model '%s' has sequences: its tensors cannot be in a client's memory on a "
			"GPU",
			name);
	if (r->device && strcmp(r->device, device) != 0)
		return request_refuse(r, GRPC_INVALID_ARGUMENT,
			"tensors for model '%s' are in memory of several GPUs, %s and %s", name,
			r->device, device);
	if (!is_placed_on(r->version, device))
		return request_refuse(r, GRPC_INVALID_ARGUMENT,
			"model '%s' is not on %s, where its tensors are", name, device);
	r->device = device;
	r->joinable = false;
	return 0;
}

/* What lies on a GPU is used there alone, and each request by itself. */
static int bind_to_device(struct request *r)
{
	int e = 0;

	r->device = NULL;
	for (uint32_t i = 0; !e && i < r->n_inputs; i++) {
		if (r->inputs[i].region && region_device(r->inputs[i].region))
			e = bind_to(r, region_device(r->inputs[i].region));
	}
	for (uint32_t i = 0; !e && i < r->n_targets; i++) {
		if (region_device(r->targets[i].region))
			e = bind_to(r, region_device(r->targets[i].region));
	}
	return e;
}

int check_request(struct request *r)
{
	const struct wire_loaded *declared = version_declared(r->version);
	int e;

	assert(declared && r->n_inputs == declared->n_inputs);
	e = check_missing(r, declared);
	for (uint32_t i = 0; !e && i < r->n_inputs; i++) {
		if (!comes_later(r, i))
			e = check_input(r, i, &declared->inputs[i]);
	}
	if (!e)
		e = count_rows(r);
	for (uint32_t i = 0; !e && i < r->n_targets; i++)
		e = check_target(r, i);
	if (!e)
		e = bind_to_device(r);
	if (e)
		return e;
	fill_item(r);
	set_key(r);
	return 0;
}

int check_states(struct request *r)
{
	const struct wire_loaded *declared = version_declared(r->version);
	int e = 0;

	for (uint32_t i = 0; !e && i < r->n_inputs; i++) {
		if (version_hides_input(r->version, i))
			e = check_input(r, i, &declared->inputs[i]);
	}
	if (!e)
		fill_item(r);
	return e;
}

static bool same_input(const struct request_input *a, const struct request_input *b)
{
	return a->dtype == b->dtype && a->rank == b->rank && a->rank > 0 &&
	       !memcmp(a->dims + 1, b->dims + 1, (a->rank - 1) * sizeof(a->dims[0]));
}

bool request_joins(const struct request *a, const struct request *b)
{
	if (!a->joinable || !b->joinable || a->key != b->key || a->n_inputs != b->n_inputs)
		return false;
	for (uint32_t i = 0; i < a->n_inputs; i++) {
		if (!same_input(&a->inputs[i], &b->inputs[i]))
			return false;
	}
	return a->item.n_outputs == b->item.n_outputs &&
	       !memcmp(a->outputs, b->outputs, a->item.n_outputs * sizeof(a->outputs[0]));
}

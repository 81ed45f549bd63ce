/*
 * wire_fast.c: Run, Done and Release in the form that nearly all of them have, without protobuf-c:
 * these three are said for every batch.
 *
 * Packing declines a message with strings or targets; unpacking declines whatever wire_fast_pack()
 * would not have written: an unknown field, a string, a number in an unusual form. What is declined
 * goes the general way, so this is never stricter nor laxer. Daemon and worker; one thread a
 * scratch.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/wire_private.h"

#define TAG_NUMBER(field) ((field) << 3)
#define TAG_BYTES(field)  ((field) << 3 | 2)

/* Field numbers of wire.proto. */
enum {
	TENSOR_INDEX = 1,
	TENSOR_DTYPE = 2,
	TENSOR_DIMS = 3,
	TENSOR_ARENA = 4,
	TENSOR_GENERATION = 5,
	TENSOR_OFFSET = 6,
	TENSOR_LENGTH = 7,
	ITEM_INPUTS = 1,
	ITEM_OUTPUTS = 2,
	RUN_BATCH = 1,
	RUN_MODEL = 2,
	RUN_ITEMS = 3,
	RESULT_CODE = 1,
	RESULT_OUTPUTS = 3,
	DONE_BATCH = 1,
	DONE_COMPUTE_NS = 2,
	DONE_RESULTS = 3,
	RELEASE_BATCHES = 1,
};

/* --- Packing ---------------------------------------------------------------------------------- */

/* proto3 leaves zeros out. */
static uint8_t *put_number(uint8_t *at, unsigned field, uint64_t v)
{
	if (v == 0)
		return at;
	*at++ = (uint8_t)TAG_NUMBER(field);
	return at + wire_varint_write(at, v);
}

static uint8_t *put_head(uint8_t *at, unsigned field, size_t n)
{
	*at++ = (uint8_t)TAG_BYTES(field);
	return at + wire_varint_write(at, n);
}

static uint8_t *put_tensor(uint8_t *at, const struct wire_tensor *t)
{
	size_t n_dims = 0;

	at = put_number(at, TENSOR_INDEX, t->index);
	at = put_number(at, TENSOR_DTYPE, (uint64_t)t->dtype);
	for (uint32_t i = 0; i < t->rank; i++)
		n_dims += wire_varint_size((uint64_t)t->dims[i]);
	if (n_dims > 0)
		at = put_head(at, TENSOR_DIMS, n_dims);
	for (uint32_t i = 0; i < t->rank; i++)
		at += wire_varint_write(at, (uint64_t)t->dims[i]);
	at = put_number(at, TENSOR_ARENA, t->span.arena);
	at = put_number(at, TENSOR_GENERATION, t->span.generation);
	at = put_number(at, TENSOR_OFFSET, t->span.offset);
	return put_number(at, TENSOR_LENGTH, t->span.length);
}

static uint8_t *put_tensors(uint8_t *at, unsigned field, const struct wire_tensor *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		at = put_head(at, field, wire_tensor_size(&t[i]));
		at = put_tensor(at, &t[i]);
	}
	return at;
}

static size_t tensors_size(const struct wire_tensor *t, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += wire_delimited_size(wire_tensor_size(&t[i]));
	return size;
}

static size_t indexes_size(const uint32_t *indexes, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += wire_varint_size(indexes[i]);
	return size;
}

static size_t item_size(const struct wire_item *item)
{
	size_t outputs = indexes_size(item->outputs, item->n_outputs);

	return tensors_size(item->inputs, item->n_inputs) +
	       (outputs > 0 ? wire_delimited_size(outputs) : 0);
}

static uint8_t *put_item(uint8_t *at, const struct wire_item *item)
{
	at = put_tensors(at, ITEM_INPUTS, item->inputs, item->n_inputs);
	if (item->n_outputs > 0)
		at = put_head(at, ITEM_OUTPUTS, indexes_size(item->outputs, item->n_outputs));
	for (size_t i = 0; i < item->n_outputs; i++)
		at += wire_varint_write(at, item->outputs[i]);
	return at;
}

static size_t run_size(const struct wire_run *run)
{
	size_t n = wire_field_size(run->batch) + wire_field_size(run->model);

	for (size_t i = 0; i < run->n_items; i++) {
		if (run->items[i].n_parameters > 0 || run->items[i].n_targets > 0)
			return 0;
		n += wire_delimited_size(item_size(&run->items[i]));
	}
	return n;
}

static uint8_t *put_run(uint8_t *at, const struct wire_run *run)
{
	at = put_number(at, RUN_BATCH, run->batch);
	at = put_number(at, RUN_MODEL, run->model);
	for (size_t i = 0; i < run->n_items; i++) {
		at = put_head(at, RUN_ITEMS, item_size(&run->items[i]));
		at = put_item(at, &run->items[i]);
	}
	return at;
}

static size_t result_size(const struct wire_result *result)
{
	return wire_field_size(result->code) + tensors_size(result->outputs, result->n_outputs);
}

static size_t done_size(const struct wire_done *done)
{
	size_t n = wire_field_size(done->batch) + wire_field_size(done->compute_ns);

	for (size_t i = 0; i < done->n_results; i++) {
		if (done->results[i].message && *done->results[i].message)
			return 0;
		n += wire_delimited_size(result_size(&done->results[i]));
	}
	return n;
}

static uint8_t *put_done(uint8_t *at, const struct wire_done *done)
{
	at = put_number(at, DONE_BATCH, done->batch);
	at = put_number(at, DONE_COMPUTE_NS, done->compute_ns);
	for (size_t i = 0; i < done->n_results; i++) {
		const struct wire_result *result = &done->results[i];

		at = put_head(at, DONE_RESULTS, result_size(result));
		at = put_number(at, RESULT_CODE, result->code);
		at = put_tensors(at, RESULT_OUTPUTS, result->outputs, result->n_outputs);
	}
	return at;
}

static size_t release_size(const struct wire_release *release)
{
	size_t n = 0;

	for (size_t i = 0; i < release->n_batches; i++)
		n += wire_varint_size(release->batches[i]);
	return n > 0 ? wire_delimited_size(n) : 0;
}

static uint8_t *put_release(uint8_t *at, const struct wire_release *release)
{
	size_t n = 0;

	for (size_t i = 0; i < release->n_batches; i++)
		n += wire_varint_size(release->batches[i]);
	at = put_head(at, RELEASE_BATCHES, n);
	for (size_t i = 0; i < release->n_batches; i++)
		at += wire_varint_write(at, release->batches[i]);
	return at;
}

size_t wire_fast_size(const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_RUN:
		return run_size(&m->run);
	case WIRE_DONE:
		return done_size(&m->done);
	case WIRE_RELEASE:
		return release_size(&m->release);
	default:
		return 0;
	}
}

size_t wire_fast_pack(const struct wire_message *m, uint8_t *out)
{
	uint8_t *end = m->type == WIRE_RUN    ? put_run(out, &m->run)
		       : m->type == WIRE_DONE ? put_done(out, &m->done)
					      : put_release(out, &m->release);

	return (size_t)(end - out);
}

/* --- Unpacking -------------------------------------------------------------------------------- */

/* What is left of a message. */
struct bytes {
	const uint8_t *at;
	const uint8_t *end;
};

/* A varint; false where it is cut, or longer than it has to be. */
static bool get_varint(struct bytes *b, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && b->at < b->end; shift += 7) {
		uint8_t byte = *b->at++;

		if (shift == 63 && byte > 1)
			return false;
		v |= (uint64_t)(byte & 0x7F) << shift;
		if (byte & 0x80)
			continue;
		*ret_v = v;
		return byte != 0 || shift == 0;
	}
	return false;
}

static bool get_part(struct bytes *b, struct bytes *ret_part)
{
	uint64_t n;

	if (!get_varint(b, &n) || n > (uint64_t)(b->end - b->at))
		return false;
	*ret_part = (struct bytes){b->at, b->at + n};
	b->at += n;
	return true;
}

/* The number of field `field` if it comes next, else 0. */
static bool get_number(struct bytes *b, unsigned field, uint64_t max, uint64_t *ret_v)
{
	*ret_v = 0;
	if (b->at == b->end || *b->at != TAG_NUMBER(field))
		return true;
	b->at++;
	return get_varint(b, ret_v) && *ret_v <= max && *ret_v > 0;
}

/* How often in a row `field` comes next. Moves nothing. */
static bool count_parts(struct bytes b, unsigned field, size_t *ret_n)
{
	struct bytes part;
	size_t n = 0;

	for (; b.at < b.end && *b.at == TAG_BYTES(field); n++) {
		b.at++;
		if (!get_part(&b, &part))
			return false;
	}
	*ret_n = n;
	return true;
}

/* How many varints there are. A cut one is found when it is read. */
static size_t count_varints(const struct bytes *b)
{
	size_t n = 0;

	for (const uint8_t *p = b->at; p < b->end; p++)
		n += !(*p & 0x80);
	return n;
}

static bool get_dims(struct wire_scratch *s, struct bytes *b, struct wire_tensor *t)
{
	struct bytes part;
	int64_t *dims;
	size_t n;
	uint64_t v;

	if (b->at == b->end || *b->at != TAG_BYTES(TENSOR_DIMS))
		return true;
	b->at++;
	if (!get_part(b, &part))
		return false;
	n = count_varints(&part);
	if (n == 0 || n > TENSOR_RANK_MAX || !(dims = wire_scratch_alloc(s, n * sizeof(*dims))))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!get_varint(&part, &v))
			return false;
		dims[i] = (int64_t)v;
	}
	t->dims = dims;
	t->rank = (uint32_t)n;
	return part.at == part.end;
}

static bool get_tensor(struct wire_scratch *s, struct bytes b, struct wire_tensor *t)
{
	uint64_t index, dtype;

	*t = (struct wire_tensor){.rank = 0};
	if (!get_number(&b, TENSOR_INDEX, UINT32_MAX, &index) ||
		!get_number(&b, TENSOR_DTYPE, INT32_MAX, &dtype) || !get_dims(s, &b, t) ||
		!get_number(&b, TENSOR_ARENA, UINT64_MAX, &t->span.arena) ||
		!get_number(&b, TENSOR_GENERATION, UINT64_MAX, &t->span.generation) ||
		!get_number(&b, TENSOR_OFFSET, UINT64_MAX, &t->span.offset) ||
		!get_number(&b, TENSOR_LENGTH, UINT64_MAX, &t->span.length))
		return false;
	t->index = (uint32_t)index;
	t->dtype = (enum dtype)dtype;
	return b.at == b.end;
}

static bool get_tensors(struct wire_scratch *s, struct bytes *b, unsigned field,
	const struct wire_tensor **ret_tensors, size_t *ret_n)
{
	struct wire_tensor *tensors;
	struct bytes part;
	size_t n;

	if (!count_parts(*b, field, &n) || n > WIRE_TENSORS_MAX)
		return false;
	tensors = n > 0 ? wire_scratch_alloc(s, n * sizeof(*tensors)) : NULL;
	if (n > 0 && !tensors)
		return false;
	for (size_t i = 0; i < n; i++) {
		b->at++;
		if (!get_part(b, &part) || !get_tensor(s, part, &tensors[i]))
			return false;
	}
	*ret_tensors = tensors;
	*ret_n = n;
	return true;
}

static bool get_indexes(struct wire_scratch *s, struct bytes *b, struct wire_item *item)
{
	struct bytes part;
	uint32_t *outputs;
	size_t n;
	uint64_t v;

	if (b->at == b->end || *b->at != TAG_BYTES(ITEM_OUTPUTS))
		return true;
	b->at++;
	if (!get_part(b, &part))
		return false;
	n = count_varints(&part);
	if (n == 0 || n > WIRE_TENSORS_MAX ||
		!(outputs = wire_scratch_alloc(s, n * sizeof(*outputs))))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!get_varint(&part, &v) || v > UINT32_MAX)
			return false;
		outputs[i] = (uint32_t)v;
	}
	item->outputs = outputs;
	item->n_outputs = n;
	return part.at == part.end;
}

static bool get_item(struct wire_scratch *s, struct bytes b, struct wire_item *item)
{
	*item = (struct wire_item){.n_inputs = 0};
	return get_tensors(s, &b, ITEM_INPUTS, &item->inputs, &item->n_inputs) &&
	       get_indexes(s, &b, item) && b.at == b.end;
}

static bool get_run(struct wire_scratch *s, struct bytes b, struct wire_run *run)
{
	struct wire_item *items;
	struct bytes part;
	uint64_t model;
	size_t n;

	if (!get_number(&b, RUN_BATCH, UINT64_MAX, &run->batch) ||
		!get_number(&b, RUN_MODEL, UINT32_MAX, &model) || !count_parts(b, RUN_ITEMS, &n) ||
		n == 0 || n > WIRE_ITEMS_MAX)
		return false;
	items = wire_scratch_alloc(s, n * sizeof(*items));
	for (size_t i = 0; items && i < n; i++) {
		b.at++;
		if (!get_part(&b, &part) || !get_item(s, part, &items[i]))
			return false;
	}
	run->model = (uint32_t)model;
	run->items = items;
	run->n_items = n;
	return items && b.at == b.end;
}

static bool get_result(struct wire_scratch *s, struct bytes b, struct wire_result *result)
{
	uint64_t code;

	*result = (struct wire_result){.message = ""};
	if (!get_number(&b, RESULT_CODE, UINT32_MAX, &code))
		return false;
	result->code = (uint32_t)code;
	return get_tensors(s, &b, RESULT_OUTPUTS, &result->outputs, &result->n_outputs) &&
	       b.at == b.end;
}

static bool get_done(struct wire_scratch *s, struct bytes b, struct wire_done *done)
{
	struct wire_result *results;
	struct bytes part;
	size_t n;

	if (!get_number(&b, DONE_BATCH, UINT64_MAX, &done->batch) ||
		!get_number(&b, DONE_COMPUTE_NS, UINT64_MAX, &done->compute_ns) ||
		!count_parts(b, DONE_RESULTS, &n) || n == 0 || n > WIRE_ITEMS_MAX)
		return false;
	results = wire_scratch_alloc(s, n * sizeof(*results));
	for (size_t i = 0; results && i < n; i++) {
		b.at++;
		if (!get_part(&b, &part) || !get_result(s, part, &results[i]))
			return false;
	}
	done->results = results;
	done->n_results = n;
	return results && b.at == b.end;
}

static bool get_release(struct wire_scratch *s, struct bytes b, struct wire_release *release)
{
	struct bytes part;
	uint64_t *batches;
	size_t n;

	if (b.at == b.end || *b.at++ != TAG_BYTES(RELEASE_BATCHES) || !get_part(&b, &part))
		return false;
	n = count_varints(&part);
	if (n == 0 || n > WIRE_RELEASE_MAX ||
		!(batches = wire_scratch_alloc(s, n * sizeof(*batches))))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!get_varint(&part, &batches[i]))
			return false;
	}
	release->batches = batches;
	release->n_batches = n;
	return part.at == part.end && b.at == b.end;
}

bool wire_fast_unpack(struct wire_scratch *s, const uint8_t *data, size_t n, struct wire_message *m)
{
	const struct bytes b = {data, data + n};

	switch (m->type) {
	case WIRE_RUN:
		return get_run(s, b, &m->run);
	case WIRE_DONE:
		return get_done(s, b, &m->done);
	case WIRE_RELEASE:
		return get_release(s, b, &m->release);
	default:
		return false;
	}
}

/*
 * graph_tensor.c: constants of an ONNX file, as far as they may be shapes. Worker process.
 */
#include <string.h>

#include "workers/backends/onnxruntime/graph_private.h"

enum sparse_field { SPARSE_VALUES = 1, SPARSE_DIMS = 3 };
enum tensor_field {
	TENSOR_DIMS = 1,
	TENSOR_TYPE = 2,
	TENSOR_FLOATS = 4,
	TENSOR_INT32S = 5,
	TENSOR_INT64S = 7,
	TENSOR_NAME = 8,
	TENSOR_RAW = 9,
};
enum tensor_type { TYPE_FLOAT = 1, TYPE_INT32 = 6, TYPE_INT64 = 7, TYPE_BOOL = 9 };

/* Whole numbers up to here are their own neighbours in f32. */
#define FLOAT_WHOLE_MAX 16777216.0f

static int64_t whole(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	if (!(f >= -FLOAT_WHOLE_MAX && f <= FLOAT_WHOLE_MAX) || (float)(int64_t)f != f)
		return GRAPH_NOT_WHOLE;
	return (int64_t)f;
}

static void add_number(int64_t *numbers, int *n, int64_t value)
{
	if (*n < 0)
		return;
	if (*n == (int)GRAPH_NUMBERS_MAX)
		*n = -1;
	else
		numbers[(*n)++] = value;
}

/* A field of integers, packed or not. No more are read than are kept. */
int graph_add_varints(struct pb_file *f, const struct pb_field *field, int64_t *numbers, int *n)
{
	struct pb_range bytes = field->bytes;
	uint64_t value = 0;
	int e = 0;

	if (field->wire == PB_VARINT)
		add_number(numbers, n, (int64_t)field->value);
	else if (field->wire != PB_BYTES)
		return PB_E_BROKEN;
	while (field->wire == PB_BYTES && *n >= 0) {
		e = pb_packed_varint(f, &bytes, &value);
		if (e)
			break;
		add_number(numbers, n, (int64_t)value);
	}
	return e == PB_E_END ? 0 : e;
}

int graph_add_floats(struct pb_file *f, const struct pb_field *field, int64_t *numbers, int *n)
{
	struct pb_range bytes = field->bytes;
	uint32_t bits = 0;
	int e = 0;

	if (field->wire == PB_FIXED32)
		add_number(numbers, n, whole((uint32_t)field->value));
	else if (field->wire != PB_BYTES)
		return PB_E_BROKEN;
	while (field->wire == PB_BYTES && *n >= 0 && bytes.at < bytes.end && !e) {
		e = pb_take(f, &bytes, &bits, sizeof(bits));
		if (!e)
			add_number(numbers, n, whole(bits));
	}
	return e;
}

/* Where a tensor's elements may be. */
struct elements {
	uint64_t type;
	struct pb_range raw;
	bool has_raw;
};

static int tensor_field(struct pb_file *f, const struct pb_field *field, struct graph_tensor *t,
	int64_t *dims, int *n_dims, struct elements *where)
{
	switch (field->number) {
	case TENSOR_DIMS:
		return graph_add_varints(f, field, dims, n_dims);
	case TENSOR_TYPE:
		where->type = field->value;
		return 0;
	case TENSOR_FLOATS:
		return graph_add_floats(f, field, t->numbers, &t->n_numbers);
	case TENSOR_INT32S:
	case TENSOR_INT64S:
		return graph_add_varints(f, field, t->numbers, &t->n_numbers);
	case TENSOR_NAME:
		return pb_string(f, field, t->name, sizeof(t->name));
	case TENSOR_RAW:
		where->raw = field->bytes;
		where->has_raw = field->wire == PB_BYTES;
		return 0;
	default:
		return 0;
	}
}

/* Bytes of an element; 0: of a type that no shape has. */
static size_t element_size(uint64_t type)
{
	switch (type) {
	case TYPE_BOOL:
		return 1;
	case TYPE_FLOAT:
	case TYPE_INT32:
		return 4;
	case TYPE_INT64:
		return 8;
	default:
		return 0;
	}
}

static int64_t raw_number(const uint8_t *bytes, uint64_t type)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < element_size(type); i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	if (type == TYPE_FLOAT)
		return whole((uint32_t)value);
	return type == TYPE_INT32 ? (int32_t)value : (int64_t)value;
}

static int read_raw(struct pb_file *f, struct graph_tensor *t, const struct elements *where)
{
	size_t size = element_size(where->type);
	struct pb_range raw = where->raw;
	uint8_t bytes[8] = {0};
	int e = 0;

	if (!size || (raw.end - raw.at) / size > GRAPH_NUMBERS_MAX) {
		t->n_numbers = -1;
		return 0;
	}
	t->n_numbers = 0;
	while (raw.end - raw.at >= size && !e) {
		e = pb_take(f, &raw, bytes, size);
		if (!e)
			add_number(t->numbers, &t->n_numbers, raw_number(bytes, where->type));
	}
	return e;
}

/* What was read is what the shape and the type say, or it is not used. */
static int settle(struct pb_file *f, struct graph_tensor *t, const int64_t *dims, int n_dims,
	const struct elements *where)
{
	bool numbers = element_size(where->type) > 0;
	int64_t n = 1;
	int e = 0;

	t->known_shape = n_dims >= 0 && n_dims <= (int)GRAPH_RANK_MAX;
	for (int i = 0; i < n_dims && t->known_shape; i++) {
		t->known_shape = dims[i] >= 0;
		t->dims[i] = dims[i];
		if (__builtin_mul_overflow(n, dims[i], &n))
			n = -1;
	}
	t->rank = t->known_shape ? (uint32_t)n_dims : 0;
	if (numbers && where->has_raw)
		e = read_raw(f, t, where);
	if (!numbers || !t->known_shape || t->n_numbers != n)
		t->n_numbers = -1;
	return e;
}

int graph_read_tensor(struct pb_file *f, struct pb_range r, struct graph_tensor *t)
{
	struct elements where = {0};
	int64_t dims[GRAPH_NUMBERS_MAX];
	struct pb_field field;
	int n_dims = 0;
	int e;

	memset(t, 0, sizeof(*t));
	while (!(e = pb_next(f, &r, &field))) {
		e = tensor_field(f, &field, t, dims, &n_dims, &where);
		if (e)
			return e;
	}
	return e == PB_E_END ? settle(f, t, dims, n_dims, &where) : e;
}

int graph_read_sparse(struct pb_file *f, struct pb_range r, struct graph_tensor *t)
{
	struct pb_field field;
	int e;

	memset(t, 0, sizeof(*t));
	while (!(e = pb_next(f, &r, &field))) {
		if (field.number == SPARSE_VALUES && field.wire == PB_BYTES)
			e = graph_read_tensor(f, field.bytes, t);
		if (e)
			return e;
	}
	t->known_shape = false;
	t->n_numbers = -1;
	return e == PB_E_END ? 0 : e;
}

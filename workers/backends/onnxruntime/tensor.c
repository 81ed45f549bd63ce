/*
 * tensor.c: element types, and tensors between the host's form and ONNX Runtime's. Worker process.
 */
#include "workers/backends/onnxruntime/tensor.h"

#include <string.h>

static const struct {
	enum ort_element element;
	uint8_t size; /* 0: not fixed */
} types[] = {
	[MODELD_DTYPE_BOOL] = {ORT_ELEMENT_BOOL, 1},
	[MODELD_DTYPE_U8] = {ORT_ELEMENT_UINT8, 1},
	[MODELD_DTYPE_U16] = {ORT_ELEMENT_UINT16, 2},
	[MODELD_DTYPE_U32] = {ORT_ELEMENT_UINT32, 4},
	[MODELD_DTYPE_U64] = {ORT_ELEMENT_UINT64, 8},
	[MODELD_DTYPE_I8] = {ORT_ELEMENT_INT8, 1},
	[MODELD_DTYPE_I16] = {ORT_ELEMENT_INT16, 2},
	[MODELD_DTYPE_I32] = {ORT_ELEMENT_INT32, 4},
	[MODELD_DTYPE_I64] = {ORT_ELEMENT_INT64, 8},
	[MODELD_DTYPE_F16] = {ORT_ELEMENT_FLOAT16, 2},
	[MODELD_DTYPE_BF16] = {ORT_ELEMENT_BFLOAT16, 2},
	[MODELD_DTYPE_F32] = {ORT_ELEMENT_FLOAT, 4},
	[MODELD_DTYPE_F64] = {ORT_ELEMENT_DOUBLE, 8},
	[MODELD_DTYPE_BYTES] = {ORT_ELEMENT_STRING, 0},
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

/* Where a tensor without elements lies: ONNX Runtime takes no NULL. */
static const uint64_t nothing;

enum ort_element element_of(enum modeld_dtype dtype)
{
	return (size_t)dtype < N_TYPES ? types[dtype].element : (enum ort_element)0;
}

enum modeld_dtype dtype_of(enum ort_element element)
{
	for (size_t i = 1; i < N_TYPES; i++)
		if (types[i].element == element)
			return (enum modeld_dtype)i;
	return MODELD_DTYPE_ANY;
}

const char *element_name(enum ort_element element)
{
	static const char *const names[] = {"undefined", "float", "uint8", "int8", "uint16",
		"int16", "int32", "int64", "string", "bool", "float16", "double", "uint32",
		"uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz",
		"float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "uint2", "int2"};

	_Static_assert(sizeof(names) / sizeof(names[0]) == ORT_ELEMENT_INT2 + 1, "one of each");
	return (size_t)element < sizeof(names) / sizeof(names[0]) ? names[element]
								  : "an unknown type";
}

bool dtype_is_plain(enum modeld_dtype dtype)
{
	switch (dtype) {
	case MODELD_DTYPE_U8:
	case MODELD_DTYPE_I8:
	case MODELD_DTYPE_F16:
	case MODELD_DTYPE_BF16:
	case MODELD_DTYPE_F32:
	case MODELD_DTYPE_F64:
		return true;
	default:
		return false;
	}
}

static enum modeld_code count(
	const int64_t *dims, uint32_t rank, uint64_t *ret_n, struct modeld_error *error)
{
	uint64_t n = 1;

	for (uint32_t i = 0; i < rank; i++) {
		if (dims[i] < 0)
			return error_set(error, MODELD_INTERNAL, "a negative dimension");
		if (__builtin_mul_overflow(n, (uint64_t)dims[i], &n))
			return error_set(error, MODELD_EXHAUSTED, "a tensor above 2^64 elements");
	}
	*ret_n = n;
	return MODELD_OK;
}

enum modeld_code tensor_bytes(enum modeld_dtype dtype, const int64_t *dims, uint32_t rank,
	uint64_t *ret_bytes, struct modeld_error *error)
{
	uint64_t n = 0;
	enum modeld_code code = count(dims, rank, &n, error);

	if (code)
		return code;
	if (__builtin_mul_overflow(n, (uint64_t)types[dtype].size, ret_bytes))
		return error_set(error, MODELD_EXHAUSTED, "a tensor above 2^64 bytes");
	return MODELD_OK;
}

enum modeld_code tensor_wrap(struct OrtValue **ret_value, const struct runtime *r,
	const struct OrtMemoryInfo *where, enum modeld_dtype dtype, const int64_t *dims,
	uint32_t rank, void *data, uint64_t bytes, struct modeld_error *error)
{
	if (!bytes)
		data = (void *)&nothing;
	return runtime_check(r,
		r->api->CreateTensorWithDataAsOrtValue(
			where, data, bytes, dims, rank, element_of(dtype), ret_value),
		"tensor", error);
}

/* Anything but 0 and 1 is undefined behaviour in a C++ bool. */
static bool bools_valid(const uint8_t *data, uint64_t n)
{
	uint8_t all = 0;

	for (uint64_t i = 0; i < n; i++)
		all |= data[i];
	return all <= 1;
}

/* Copy one element; *at moves behind it. The host has checked that the lengths add up; a length
 * beyond the end would write where it may not, so that is checked here, too. */
static enum modeld_code fill_string(struct OrtValue *value, const struct runtime *r,
	const struct modeld_tensor *input, uint64_t element, uint64_t *at,
	struct modeld_error *error)
{
	const uint8_t *data = (const uint8_t *)input->data + *at;
	uint64_t left = input->bytes - *at;
	enum modeld_code code;
	uint32_t n = 0;
	char *to;

	if (left >= 4)
		n = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
		    (uint32_t)data[3] << 24;
	if (left < 4 || n > left - 4)
		return error_set(error, MODELD_INVALID,
			"element %llu of a string tensor ends beyond its %llu bytes",
			(unsigned long long)element, (unsigned long long)input->bytes);
	code = runtime_check(r, r->api->GetResizedStringTensorElementBuffer(value, element, n, &to),
		"string", error);
	if (code)
		return code;
	memcpy(to, data + 4, n);
	*at += 4 + (uint64_t)n;
	return MODELD_OK;
}

static enum modeld_code fill_strings(struct OrtValue *value, const struct runtime *r,
	const struct modeld_tensor *input, struct modeld_error *error)
{
	enum modeld_code code;
	uint64_t at = 0, n = 0;

	code = count(input->dims, input->rank, &n, error);
	for (uint64_t i = 0; i < n && !code; i++)
		code = fill_string(value, r, input, i, &at, error);
	return code;
}

static enum modeld_code fill_copy(struct OrtValue *value, const struct runtime *r,
	const struct modeld_tensor *input, struct modeld_error *error)
{
	void *to = NULL;
	enum modeld_code code =
		runtime_check(r, r->api->GetTensorMutableData(value, &to), "input", error);

	if (!code && input->bytes)
		memcpy(to, input->data, input->bytes);
	if (!code && input->dtype == MODELD_DTYPE_BOOL && !bools_valid(to, input->bytes))
		return error_set(
			error, MODELD_INVALID, "an element of a bool tensor is neither 0 nor 1");
	return code;
}

static enum modeld_code copy_input(struct OrtValue **ret_value, const struct runtime *r,
	const struct modeld_tensor *input, struct modeld_error *error)
{
	struct OrtValue *value = NULL;
	enum modeld_code code;

	code = runtime_check(r,
		r->api->CreateTensorAsOrtValue(
			r->allocator, input->dims, input->rank, element_of(input->dtype), &value),
		"input", error);
	if (!code && input->dtype == MODELD_DTYPE_BYTES)
		code = fill_strings(value, r, input, error);
	else if (!code)
		code = fill_copy(value, r, input, error);
	if (code) {
		if (value)
			r->api->ReleaseValue(value);
		return code;
	}
	*ret_value = value;
	return MODELD_OK;
}

enum modeld_code tensor_from_input(struct OrtValue **ret_value, const struct runtime *r,
	const struct modeld_tensor *input, bool share, struct modeld_error *error)
{
	if (input->memory == MODELD_MEMORY_DEVICE)
		return tensor_wrap(ret_value, r, r->device_memory, input->dtype, input->dims,
			input->rank, (void *)input->data, input->bytes, error);
	if (input->dtype == MODELD_DTYPE_BYTES ||
		(input->shared && !(share && dtype_is_plain(input->dtype))))
		return copy_input(ret_value, r, input, error);
	if (input->dtype == MODELD_DTYPE_BOOL && !bools_valid(input->data, input->bytes))
		return error_set(
			error, MODELD_INVALID, "an element of a bool tensor is neither 0 nor 1");
	/* ONNX Runtime takes no const, and never writes to an input. */
	return tensor_wrap(ret_value, r, r->memory, input->dtype, input->dims, input->rank,
		(void *)input->data, input->bytes, error);
}

struct shape {
	enum modeld_dtype dtype;
	size_t rank;
	int64_t dims[MODELD_BACKEND_RANK_MAX];
};

static enum modeld_code read_shape(struct OrtTensorTypeAndShapeInfo *info, const struct runtime *r,
	struct shape *ret_shape, struct modeld_error *error)
{
	enum ort_element element = 0;
	enum modeld_code code;
	struct shape s = {0};

	code = runtime_check(r, r->api->GetTensorElementType(info, &element), "output", error);
	if (!code)
		code = runtime_check(r, r->api->GetDimensionsCount(info, &s.rank), "output", error);
	if (code)
		return code;
	s.dtype = dtype_of(element);
	if (s.dtype == MODELD_DTYPE_ANY || s.rank > MODELD_BACKEND_RANK_MAX)
		return error_set(error, MODELD_UNSUPPORTED,
			"the model made a tensor of %s and rank %zu, which is not served",
			element_name(element), s.rank);
	code = runtime_check(r, r->api->GetDimensions(info, s.dims, s.rank), "output", error);
	if (!code)
		*ret_shape = s;
	return code;
}

static enum modeld_code value_shape(const struct OrtValue *value, const struct runtime *r,
	struct shape *ret_shape, struct modeld_error *error)
{
	struct OrtTensorTypeAndShapeInfo *info = NULL;
	enum modeld_code code;
	int is_tensor = 0;

	code = runtime_check(r, r->api->IsTensor(value, &is_tensor), "output", error);
	if (code)
		return code;
	if (!is_tensor)
		return error_set(error, MODELD_UNSUPPORTED, "the model made no tensor");
	code = runtime_check(r, r->api->GetTensorTypeAndShape(value, &info), "output", error);
	if (code)
		return code;
	code = read_shape(info, r, ret_shape, error);
	r->api->ReleaseTensorTypeAndShapeInfo(info);
	return code;
}

bool tensor_is_declared(
	const struct OrtValue *value, const struct runtime *r, const struct modeld_declaration *d)
{
	struct modeld_error ignored;
	struct shape s = {0};

	if (d->any_shape || value_shape(value, r, &s, &ignored))
		return true;
	if (s.rank != d->rank)
		return false;
	for (uint32_t i = 0; i < d->rank; i++)
		if (d->dims[i] != -1 && d->dims[i] != s.dims[i])
			return false;
	return true;
}

static enum modeld_code copy_strings(const struct OrtValue *value, const struct runtime *r,
	uint64_t n, uint8_t *to, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;
	size_t bytes = 0;

	for (uint64_t i = 0; i < n && !code; i++) {
		code = runtime_check(
			r, r->api->GetStringTensorElementLength(value, i, &bytes), "output", error);
		if (code)
			break;
		if (bytes > UINT32_MAX)
			return error_set(error, MODELD_EXHAUSTED, "a string of %zu bytes", bytes);
		for (unsigned k = 0; k < 4; k++)
			to[k] = (uint8_t)(bytes >> 8 * k);
		code = runtime_check(r, r->api->GetStringTensorElement(value, bytes, i, to + 4),
			"output", error);
		to += 4 + bytes;
	}
	return code;
}

/* Memory for an output that is copied whole from ONNX Runtime's. */
static void *ask_output(const struct modeld_batch *batch, size_t index, const struct shape *s,
	uint64_t bytes, struct modeld_error *error)
{
	return batch->output(batch,
		&(struct modeld_output){
			.size = sizeof(struct modeld_output),
			.index = index,
			.dtype = s->dtype,
			.rank = (uint32_t)s->rank,
			.dims = s->dims,
			.bytes = bytes,
			.writes_all = 1,
		},
		error);
}

static enum modeld_code strings_to_output(const struct OrtValue *value, const struct runtime *r,
	const struct shape *s, const struct modeld_batch *batch, size_t index,
	struct modeld_error *error)
{
	enum modeld_code code;
	size_t text_bytes = 0;
	uint64_t n = 0;
	void *to;

	code = count(s->dims, (uint32_t)s->rank, &n, error);
	if (!code)
		code = runtime_check(
			r, r->api->GetStringTensorDataLength(value, &text_bytes), "output", error);
	if (code)
		return code;
	/* Both are of memory that exists: their sum cannot overflow. */
	to = ask_output(batch, index, s, text_bytes + 4 * n, error);
	if (!to)
		return MODELD_EXHAUSTED;
	return copy_strings(value, r, n, to, error);
}

enum modeld_code tensor_to_output(struct OrtValue *value, const struct runtime *r,
	const struct modeld_batch *batch, size_t index, struct modeld_error *error)
{
	enum modeld_code code;
	uint64_t bytes = 0;
	struct shape s = {0};
	void *data = NULL;
	void *to;

	code = value_shape(value, r, &s, error);
	if (code)
		return code;
	if (s.dtype == MODELD_DTYPE_BYTES)
		return strings_to_output(value, r, &s, batch, index, error);
	code = tensor_bytes(s.dtype, s.dims, (uint32_t)s.rank, &bytes, error);
	if (!code)
		code = runtime_check(
			r, r->api->GetTensorMutableData(value, &data), "output", error);
	if (code)
		return code;
	to = ask_output(batch, index, &s, bytes, error);
	if (!to)
		return MODELD_EXHAUSTED;
	if (bytes)
		memcpy(to, data, bytes);
	return MODELD_OK;
}

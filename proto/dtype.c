/*
 * dtype.c: names and sizes of element types, and arithmetic on shapes that come from outside: every
 * product is checked for overflow. No state; any process, any thread.
 */
#include "proto/dtype.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAMES 3u

struct dtype_name {
	const char *text;
	size_t n;
};

struct dtype_info {
	struct dtype_name names[NAMES]; /* ours, the long form that is accepted too, KServe's */
	size_t bytes;
};

#define NAME(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
#define ROW(name, other, kserve, bytes)                                                            \
	{                                                                                          \
		{NAME(name), NAME(other), NAME(kserve)}, bytes                                     \
	}

static const struct dtype_info dtypes[DTYPE_MAX_] = {
	[DTYPE_INVALID] = ROW("any", "any", "INVALID", 0),
	[DTYPE_BOOL] = ROW("bool", "bool", "BOOL", 1),
	[DTYPE_U8] = ROW("u8", "uint8", "UINT8", 1),
	[DTYPE_U16] = ROW("u16", "uint16", "UINT16", 2),
	[DTYPE_U32] = ROW("u32", "uint32", "UINT32", 4),
	[DTYPE_U64] = ROW("u64", "uint64", "UINT64", 8),
	[DTYPE_I8] = ROW("i8", "int8", "INT8", 1),
	[DTYPE_I16] = ROW("i16", "int16", "INT16", 2),
	[DTYPE_I32] = ROW("i32", "int32", "INT32", 4),
	[DTYPE_I64] = ROW("i64", "int64", "INT64", 8),
	[DTYPE_F16] = ROW("f16", "float16", "FP16", 2),
	[DTYPE_BF16] = ROW("bf16", "bfloat16", "BF16", 2),
	[DTYPE_F32] = ROW("f32", "float32", "FP32", 4),
	[DTYPE_F64] = ROW("f64", "float64", "FP64", 8),
	[DTYPE_BYTES] = ROW("bytes", "string", "BYTES", 0),
};

static const struct dtype_info *dtype_info(enum dtype d)
{
	return &dtypes[(unsigned int)d < DTYPE_MAX_ ? d : DTYPE_INVALID];
}

/* Our own names first, since most clients use them, and floats, which stand last; a call of memcmp() for
 * each name of that length would be most of the cost. */
enum dtype dtype_parse(const char *name, size_t n)
{
	if (n == 0)
		return DTYPE_INVALID;
	for (unsigned int kind = 0; kind < NAMES; kind++) {
		for (unsigned int d = DTYPE_MAX_ - 1; d > DTYPE_INVALID; d--) {
			const struct dtype_name *known = &dtypes[d].names[kind];

			if (known->n == n && known->text[0] == name[0] &&
				memcmp(known->text, name, n) == 0)
				return (enum dtype)d;
		}
	}
	return DTYPE_INVALID;
}

const char *dtype_name(enum dtype d)
{
	return dtype_info(d)->names[0].text;
}

const char *dtype_kserve_name(enum dtype d)
{
	return dtype_info(d)->names[2].text;
}

size_t dtype_size(enum dtype d)
{
	return dtype_info(d)->bytes;
}

int shape_elements(const int64_t *dims, size_t rank, uint64_t *ret_n)
{
	uint64_t n = 1;
	bool empty = false;

	if (rank > TENSOR_RANK_MAX)
		return -EINVAL;
	for (size_t i = 0; i < rank; i++) {
		if (dims[i] < 0)
			return -EINVAL;
		empty |= dims[i] == 0;
	}
	/* A dimension of 0 makes the product 0 wherever it stands, before or behind huge ones. */
	for (size_t i = 0; i < rank && !empty; i++)
		if (__builtin_mul_overflow(n, (uint64_t)dims[i], &n) || n > INT64_MAX)
			return -EOVERFLOW;
	*ret_n = empty ? 0 : n;
	return 0;
}

int shape_bytes(enum dtype d, const int64_t *dims, size_t rank, uint64_t *ret_n)
{
	uint64_t n;
	int r;

	if (dtype_size(d) == 0)
		return -EINVAL;
	r = shape_elements(dims, rank, &n);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(n, (uint64_t)dtype_size(d), &n) || n > INT64_MAX)
		return -EOVERFLOW;
	*ret_n = n;
	return 0;
}

bool dtype_admits(enum dtype declared, enum dtype d)
{
	return d != DTYPE_INVALID && (declared == DTYPE_INVALID || declared == d);
}

bool shape_admits(const int64_t *declared, size_t declared_rank, const int64_t *dims, size_t rank)
{
	if (rank != declared_rank)
		return false;
	for (size_t i = 0; i < rank; i++)
		if (declared[i] != -1 && declared[i] != dims[i])
			return false;
	return true;
}

const char *shape_format(const int64_t *dims, size_t rank, char *out, size_t cap)
{
	size_t at = 0;

	if (cap == 0)
		return out;
	out[0] = '\0';
	for (size_t i = 0; i < rank && at < cap; i++) {
		int n = snprintf(
			out + at, cap - at, "%c%lld", i == 0 ? '[' : ',', (long long)dims[i]);

		at += (size_t)n;
	}
	if (at < cap)
		(void)snprintf(out + at, cap - at, rank == 0 ? "[]" : "]");
	return out;
}

int bytes_tensor_check(const void *data, uint64_t n, uint64_t elements)
{
	const uint8_t *p = data;

	for (uint64_t i = 0; i < elements; i++) {
		uint64_t length;

		if (n < 4)
			return -EINVAL;
		length = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
			 (uint64_t)p[3] << 24;
		if (length > n - 4)
			return -EINVAL;
		p += 4 + length;
		n -= 4 + length;
	}
	return n == 0 ? 0 : -EINVAL;
}

int tensor_check(enum dtype d, const int64_t *dims, size_t rank, uint64_t n, const void *data)
{
	uint64_t want;
	int r;

	if (d != DTYPE_BYTES) {
		r = shape_bytes(d, dims, rank, &want);
		return r == 0 && want != n ? -EINVAL : r;
	}
	r = shape_elements(dims, rank, &want);
	return r == 0 && data ? bytes_tensor_check(data, n, want) : r;
}

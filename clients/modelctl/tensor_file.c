/*
 * tensor_file.c: tensors from files, from declarations, and made up. modelctl, one thread.
 */
#include "clients/modelctl/tensor_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/tensor_parse.h"

#define FILE_BYTES_MAX (UINT64_C(4) << 30)

void tensor_release(struct tensor *t)
{
	free(t->data);
	*t = (struct tensor){0};
}

static int read_file(struct buf *b, const char *path)
{
	FILE *f = fopen(path, "rb");
	int r = f ? 0 : -errno;

	while (!r) {
		size_t n;

		r = buf_reserve(b, 64 * 1024);
		if (r)
			break;
		n = fread(b->data + b->len, 1, b->cap - b->len, f);
		b->len += n;
		if (n == 0) {
			r = ferror(f) ? -EIO : 0;
			break;
		}
	}
	if (f)
		(void)fclose(f);
	return r;
}

static bool ends_with(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n >= m && !strcmp(path + n - m, suffix);
}

/* What is neither .npy nor .pgm: the bytes as they are. */
static int take_raw(struct tensor *t, struct buf *b)
{
	int r = buf_reserve(b, 1); /* an empty file is data too */

	if (r)
		return r;
	t->n = b->len;
	t->data = steal_ptr(b->data);
	buf_init(b, b->max);
	return 0;
}

int tensor_read(struct tensor *t, const char *path, char *text, size_t cap)
{
	_cleanup_(buf_deinit) struct buf b = {.max = FILE_BYTES_MAX};
	int r = read_file(&b, path);

	if (r) {
		(void)snprintf(text, cap, "cannot read %s: %s", path,
			r == -ENOBUFS ? "it is beyond the limit of 4 GiB" : err_str(r));
		return r;
	}
	if (ends_with(path, ".pgm"))
		r = tensor_parse_pgm(t, b.data, b.len);
	else if (ends_with(path, ".npy"))
		r = tensor_parse_npy(t, b.data, b.len);
	else
		r = take_raw(t, &b);
	if (r == -EINVAL)
		(void)snprintf(text, cap, "%s is no %s that can be read here", path,
			ends_with(path, ".pgm") ? "PGM picture"
						: "complete, little-endian, C-ordered .npy file");
	else if (r)
		(void)snprintf(text, cap, "cannot read %s: %s", path, err_str(r));
	return r;
}

/* --- Shapes ------------------------------------------------------------------------------------- */

int tensor_parse_shape(struct tensor *t, const char *text)
{
	t->rank = 0;
	t->has_shape = true;
	while (*text) {
		const char *end;
		uint64_t dim;

		if (decimal_read(text, &dim, &end) || dim > INT64_MAX ||
			t->rank == TENSOR_RANK_MAX || (*end && (*end != ',' || !end[1])))
			return -EINVAL;
		t->dims[t->rank++] = (int64_t)dim;
		text = *end ? end + 1 : end;
	}
	return 0;
}

/* Dimensions from the declaration; the first free one from the bytes there are. */
static void take_shape(struct tensor *t, const int64_t *dims, size_t rank)
{
	uint64_t fixed = dtype_size(t->dtype);
	size_t free_at = rank;
	bool huge = false;

	t->has_shape = true;
	t->rank = (uint32_t)rank;
	for (size_t i = 0; i < rank; i++) {
		t->dims[i] = dims[i] < 0 ? 1 : dims[i];
		if (dims[i] < 0 && free_at == rank)
			free_at = i;
		else
			huge |= __builtin_mul_overflow(fixed, (uint64_t)t->dims[i], &fixed);
	}
	if (free_at < rank && t->data && fixed > 0 && !huge)
		t->dims[free_at] = (int64_t)(t->n / fixed);
}

int tensor_fit(struct tensor *t, enum dtype dtype, bool any_shape, const int64_t *dims, size_t rank,
	char *text, size_t cap)
{
	if (rank > TENSOR_RANK_MAX) {
		(void)snprintf(text, cap, "the model declares a rank of %zu, the limit is %d", rank,
			TENSOR_RANK_MAX);
		return -EINVAL;
	}
	if (t->dtype == DTYPE_INVALID)
		t->dtype = dtype == DTYPE_INVALID ? DTYPE_U8 : dtype;
	if (t->has_shape) {
		if (!any_shape && t->rank + 1 == rank && dims[0] < 0) {
			memmove(t->dims + 1, t->dims, t->rank * sizeof(t->dims[0]));
			t->dims[0] = 1;
			t->rank++;
		}
		return 0;
	}
	if (!any_shape) {
		take_shape(t, dims, rank);
		return 0;
	}
	if (!t->data) {
		(void)snprintf(text, cap, "the model takes any shape: say which with --shape");
		return -EINVAL;
	}
	t->has_shape = true;
	t->rank = 1;
	t->dims[0] = dtype_size(t->dtype) ? (int64_t)(t->n / dtype_size(t->dtype)) : 1;
	return 0;
}

/* --- Elements ----------------------------------------------------------------------------------- */

static void put_integer(uint8_t *to, size_t size, int64_t value)
{
	memcpy(to, &value, size); /* little-endian hosts only, as the wire is */
}

/* The nearest integer of 64 bits; NaN is 0. */
static int64_t integer_of(double value)
{
	if (value >= 0x1p63)
		return INT64_MAX;
	if (value <= -0x1p63)
		return INT64_MIN;
	return value == value ? (int64_t)value : 0;
}

/* The upper half of a float, or its IEEE 754 half; enough for test data. */
static uint16_t half_of(float value, bool bf16)
{
	uint32_t bits;
	int exponent;

	memcpy(&bits, &value, sizeof(bits));
	if (bf16)
		return (uint16_t)(bits >> 16);
	exponent = (int)(bits >> 23 & 0xFF) - 127 + 15;
	if (exponent <= 0)
		return (uint16_t)(bits >> 16 & 0x8000);
	if (exponent >= 31)
		return (uint16_t)((bits >> 16 & 0x8000) | 0x7C00);
	return (uint16_t)((bits >> 16 & 0x8000) | (unsigned)exponent << 10 | (bits >> 13 & 0x3FF));
}

static float float_of(uint16_t half, bool bf16)
{
	uint32_t bits = (uint32_t)half << 16;
	float value;

	if (!bf16) {
		uint32_t exponent = half >> 10 & 0x1F;
		uint32_t fraction = half & 0x3FF;

		if (exponent == 0) {
			value = (float)fraction / (1 << 24);
			return half & 0x8000 ? -value : value;
		}
		exponent = exponent == 31 ? 255 : exponent - 15 + 127;
		bits = (uint32_t)(half & 0x8000) << 16 | exponent << 23 | fraction << 13;
	}
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void put_element(enum dtype d, uint8_t *to, double value)
{
	float f = (float)value;
	uint16_t half;

	switch (d) {
	case DTYPE_F64:
		memcpy(to, &value, sizeof(value));
		return;
	case DTYPE_F32:
		memcpy(to, &f, sizeof(f));
		return;
	case DTYPE_F16:
	case DTYPE_BF16:
		half = half_of(f, d == DTYPE_BF16);
		memcpy(to, &half, sizeof(half));
		return;
	case DTYPE_BOOL:
		*to = value != 0;
		return;
	default:
		put_integer(to, dtype_size(d), integer_of(value));
	}
}

static int fill_bytes(struct tensor *t, uint64_t n, double value, bool ramp)
{
	_cleanup_(buf_deinit) struct buf b = {.max = FILE_BYTES_MAX};

	if (buf_reserve(&b, 1)) /* no elements are data too */
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		char text[32];
		uint32_t length =
			(uint32_t)snprintf(text, sizeof(text), "%.15g", ramp ? (double)i : value);

		if (buf_append(&b, &length, sizeof(length)) || buf_append(&b, text, length))
			return -ENOMEM;
	}
	t->n = b.len;
	t->data = steal_ptr(b.data);
	return 0;
}

int tensor_fill(struct tensor *t, double value, bool ramp, char *text, size_t cap)
{
	uint64_t n = 0;
	size_t size = dtype_size(t->dtype);
	int r = shape_elements(t->dims, t->rank, &n);

	if (!r && n > FILE_BYTES_MAX / (size ? size : 32))
		r = -EOVERFLOW;
	if (r) {
		(void)snprintf(text, cap, "a tensor of that shape is beyond the limit of 4 GiB");
		return -EINVAL;
	}
	(void)snprintf(text, cap, "out of memory");
	if (t->dtype == DTYPE_BYTES)
		return fill_bytes(t, n, value, ramp);
	t->n = (size_t)n * size;
	t->data = malloc(t->n + 1);
	if (!t->data)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		put_element(t->dtype, t->data + i * size, ramp ? (double)i : value);
	return 0;
}

void tensor_element(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap)
{
	size_t size = dtype_size(d);
	uint64_t raw = 0;
	double f64;
	float f32;

	memcpy(&raw, data + i * size, size);
	memcpy(&f64, &raw, sizeof(f64));
	memcpy(&f32, &raw, sizeof(f32));
	if (d == DTYPE_F64)
		(void)snprintf(out, cap, "%.9g", f64);
	else if (d == DTYPE_F32)
		(void)snprintf(out, cap, "%.6g", (double)f32);
	else if (d == DTYPE_F16 || d == DTYPE_BF16)
		(void)snprintf(out, cap, "%.4g", (double)float_of((uint16_t)raw, d == DTYPE_BF16));
	else if (d == DTYPE_I8 || d == DTYPE_I16 || d == DTYPE_I32 || d == DTYPE_I64)
		(void)snprintf(
			out, cap, "%" PRId64, (int64_t)(raw << (64 - 8 * size)) >> (64 - 8 * size));
	else
		(void)snprintf(out, cap, "%" PRIu64, raw);
}

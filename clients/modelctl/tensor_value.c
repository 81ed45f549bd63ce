/* tensor_value.c: elements, on little-endian hosts only, as the wire is. modelctl, one thread. */
#include "clients/modelctl/tensor_value.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HALF_MAX     65504.0
#define EXACT_DOUBLE 0x1p53

/* --- Floats of 16 bits -------------------------------------------------------------------------- */

static uint32_t bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The upper half of a float, rounded to the nearest, to even between two. */
static uint16_t bf16_of(float value)
{
	uint32_t bits = bits_of(value);

	if (isnan(value))
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* IEEE 754 half, rounded likewise. */
static uint16_t half_of(float value)
{
	uint32_t bits = bits_of(value);
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);

	bits &= 0x7FFFFFFF;
	if (bits > 0x7F800000)
		return sign | 0x7E00;
	if (bits >= 0x477FF000)
		return sign | 0x7C00;
	if (bits < 0x38800000) { /* too small for a leading one: a count of 2^-24 */
		memcpy(&value, &bits, sizeof(value));
		return (uint16_t)(sign | ((uint32_t)(value * 0x1p25f) + 1) >> 1);
	}
	bits -= 0x38000000;
	return (uint16_t)(sign | (bits + 0xFFF + (bits >> 13 & 1)) >> 13);
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

/* --- From numbers ------------------------------------------------------------------------------- */

/* The nearest integer of 64 bits; NaN is 0. */
static int64_t integer_of(double value)
{
	if (value >= 0x1p63)
		return INT64_MAX;
	if (value <= -0x1p63)
		return INT64_MIN;
	return value == value ? (int64_t)value : 0;
}

void tensor_put(enum dtype d, uint8_t *to, double value)
{
	float f = (float)value;
	uint16_t half;
	int64_t integer;

	switch (d) {
	case DTYPE_F64:
		memcpy(to, &value, sizeof(value));
		return;
	case DTYPE_F32:
		memcpy(to, &f, sizeof(f));
		return;
	case DTYPE_F16:
	case DTYPE_BF16:
		half = d == DTYPE_BF16 ? bf16_of(f) : half_of(f);
		memcpy(to, &half, sizeof(half));
		return;
	case DTYPE_BOOL:
		*to = value != 0;
		return;
	default:
		integer = integer_of(value);
		memcpy(to, &integer, dtype_size(d));
	}
}

/* --- From text ---------------------------------------------------------------------------------- */

static bool is_float(enum dtype d)
{
	return d == DTYPE_F64 || d == DTYPE_F32 || d == DTYPE_F16 || d == DTYPE_BF16;
}

static bool is_signed(enum dtype d)
{
	return d == DTYPE_I8 || d == DTYPE_I16 || d == DTYPE_I32 || d == DTYPE_I64;
}

static double largest(enum dtype d)
{
	if (d == DTYPE_F16)
		return HALF_MAX;
	return d == DTYPE_F64 ? DBL_MAX : (double)FLT_MAX;
}

static int put_float(enum dtype d, uint8_t *to, const char *text)
{
	char *end;
	bool said = !strcmp(text, "NaN") || !strcmp(text, "Infinity") || !strcmp(text, "-Infinity");
	double value = strtod(text, &end);

	if (end == text || *end)
		return -EINVAL;
	if (!said && !(fabs(value) <= largest(d)))
		return -ERANGE;
	tensor_put(d, to, value);
	return 0;
}

/* Of "3.0" and "1e3", which are whole though they do not look like it. */
static int whole_of(const char *text, bool *ret_negative, uint64_t *ret_size)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end)
		return -EINVAL;
	if (!(fabs(value) <= EXACT_DOUBLE))
		return -ERANGE;
	if (value != (double)(int64_t)value)
		return -EINVAL;
	*ret_negative = value < 0;
	*ret_size = (uint64_t)fabs(value);
	return 0;
}

static int read_whole(const char *text, bool *ret_negative, uint64_t *ret_size)
{
	const char *digits = text + (*text == '-');

	if (!*digits || strspn(digits, "0123456789") != strlen(digits))
		return whole_of(text, ret_negative, ret_size);
	*ret_negative = digits > text;
	errno = 0;
	*ret_size = strtoull(digits, NULL, 10);
	return -errno;
}

static int put_whole(enum dtype d, uint8_t *to, const char *text)
{
	unsigned bits = 8 * (unsigned)dtype_size(d) - is_signed(d);
	uint64_t max = d == DTYPE_BOOL ? 1 : UINT64_MAX >> (64 - bits);
	uint64_t size = 0;
	bool negative = false;
	int r = read_whole(text, &negative, &size);

	if (r)
		return r;
	if (negative && size > 0 && !is_signed(d))
		return -ERANGE;
	if (size > max + (negative && is_signed(d)))
		return -ERANGE;
	if (negative)
		size = 0 - size;
	memcpy(to, &size, dtype_size(d));
	return 0;
}

int tensor_put_text(enum dtype d, uint8_t *to, const char *text, size_t n)
{
	char number[NUMBER_MAX + 1];

	if (n > NUMBER_MAX)
		return -ERANGE;
	memcpy(number, text, n);
	number[n] = 0;
	if (d == DTYPE_BOOL && (!strcmp(number, "true") || !strcmp(number, "false"))) {
		*to = number[0] == 't';
		return 0;
	}
	return is_float(d) ? put_float(d, to, number) : put_whole(d, to, number);
}

bool tensor_takes(enum dtype d, const char *text)
{
	uint8_t element[8];

	return d == DTYPE_BYTES || !tensor_put_text(d, element, text, strlen(text));
}

const char *tensor_holds(enum dtype d)
{
	static const char *const words[DTYPE_MAX_] = {
		[DTYPE_BOOL] = "true, false, 0 or 1",
		[DTYPE_U8] = "a whole number from 0 to 255",
		[DTYPE_U16] = "a whole number from 0 to 65535",
		[DTYPE_U32] = "a whole number from 0 to 4294967295",
		[DTYPE_U64] = "a whole number from 0 to 18446744073709551615",
		[DTYPE_I8] = "a whole number from -128 to 127",
		[DTYPE_I16] = "a whole number from -32768 to 32767",
		[DTYPE_I32] = "a whole number from -2147483648 to 2147483647",
		[DTYPE_I64] = "a whole number of 64 bits",
		[DTYPE_F16] = "a number from -65504 to 65504",
		[DTYPE_BF16] = "a number up to 3.4e38 either side of 0",
		[DTYPE_F32] = "a number up to 3.4e38 either side of 0",
		[DTYPE_F64] = "a number up to 1.7e308 either side of 0",
		[DTYPE_BYTES] = "a text",
	};

	return words[d] ? words[d] : "anything";
}

/* --- To text ------------------------------------------------------------------------------------ */

/* digits: of floats with 64, 32 and 16 bits. */
static void print(
	enum dtype d, const uint8_t *data, uint64_t i, const int digits[3], char *out, size_t cap)
{
	size_t size = dtype_size(d);
	uint64_t raw = 0;
	double f64;
	float f32;

	memcpy(&raw, data + i * size, size);
	memcpy(&f64, &raw, sizeof(f64));
	memcpy(&f32, &raw, sizeof(f32));
	if (d == DTYPE_F64)
		(void)snprintf(out, cap, "%.*g", digits[0], f64);
	else if (d == DTYPE_F32)
		(void)snprintf(out, cap, "%.*g", digits[1], (double)f32);
	else if (d == DTYPE_F16 || d == DTYPE_BF16)
		(void)snprintf(out, cap, "%.*g", digits[2],
			(double)float_of((uint16_t)raw, d == DTYPE_BF16));
	else if (is_signed(d))
		(void)snprintf(
			out, cap, "%" PRId64, (int64_t)(raw << (64 - 8 * size)) >> (64 - 8 * size));
	else
		(void)snprintf(out, cap, "%" PRIu64, raw);
}

void tensor_element(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap)
{
	print(d, data, i, (const int[]){9, 6, 4}, out, cap);
}

void tensor_element_exact(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap)
{
	print(d, data, i, (const int[]){17, 9, 5}, out, cap);
}

/* digits.c: numbers and switches from text, numbers as text. Stateless; any process, any thread. */
#include "base/digits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int decimal_read(const char *text, uint64_t *ret_v, const char **ret_end)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	if (p == text)
		return -EINVAL;
	*ret_v = v;
	*ret_end = p;
	return 0;
}

int decimal_parse(const char *text, uint64_t *ret_v)
{
	const char *end;
	uint64_t v;
	int r = decimal_read(text, &v, &end);

	if (!r && *end)
		r = -EINVAL;
	if (!r)
		*ret_v = v;
	return r;
}

static uint64_t unit_of(char c)
{
	switch (c) {
	case 'K':
		return UINT64_C(1) << 10;
	case 'M':
		return UINT64_C(1) << 20;
	case 'G':
		return UINT64_C(1) << 30;
	default:
		return 0;
	}
}

int bytes_parse(const char *text, uint64_t *ret_v)
{
	const char *end;
	uint64_t unit;
	uint64_t v;
	int r = decimal_read(text, &v, &end);

	if (r)
		return r;
	unit = unit_of(*end);
	if (end[unit ? 1 : 0])
		return -EINVAL;
	if (unit && __builtin_mul_overflow(v, unit, &v))
		return -ERANGE;
	*ret_v = v;
	return 0;
}

int bool_parse(const char *text, bool *ret_v)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes", true},
		{"true", true},
		{"1", true},
		{"no", false},
		{"false", false},
		{"0", false},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, text) != 0)
			continue;
		*ret_v = words[i].value;
		return 0;
	}
	return -EINVAL;
}

int real_parse(const char *text, double *ret_v)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !isfinite(v))
		return -EINVAL;
	*ret_v = v;
	return 0;
}

static const char pairs[] = "0001020304050607080910111213141516171819"
			    "2021222324252627282930313233343536373839"
			    "4041424344454647484950515253545556575859"
			    "6061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

/* Two digits at a time: a division is what it costs. */
char *decimal_write_back(char *end, uint64_t v)
{
	for (; v >= 100; v /= 100) {
		end -= 2;
		memcpy(end, pairs + 2 * (v % 100), 2);
	}
	if (v >= 10) {
		end -= 2;
		memcpy(end, pairs + 2 * v, 2);
	} else {
		*--end = (char)('0' + v);
	}
	return end;
}

size_t decimal_write(char *out, uint64_t v)
{
	char digits[DECIMAL_MAX];
	char *end = digits + sizeof(digits);
	const char *at = decimal_write_back(end, v);

	memcpy(out, at, (size_t)(end - at));
	return (size_t)(end - at);
}

void hex64_write(char *out, uint64_t v)
{
	for (size_t i = HEX64_DIGITS; i-- > 0; v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
}

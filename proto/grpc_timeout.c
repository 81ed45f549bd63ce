/*
 * grpc_timeout.c: the grpc-timeout header, both ways. 99999999 hours exceed 63 bits of nanoseconds
 * by far, so parsing clamps. No state; any process, any thread.
 */
#include "proto/grpc_timeout.h"

#include <errno.h>
#include <stdio.h>

#define DIGITS_MAX 8u
#define VALUE_MAX  99999999u

struct unit {
	char letter;
	uint64_t ns;
};

/* From fine to coarse. */
static const struct unit units[] = {
	{'n', UINT64_C(1)},
	{'u', UINT64_C(1000)},
	{'m', UINT64_C(1000000)},
	{'S', UINT64_C(1000000000)},
	{'M', UINT64_C(60000000000)},
	{'H', UINT64_C(3600000000000)},
};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

static uint64_t unit_ns(char letter)
{
	for (size_t i = 0; i < N_UNITS; i++)
		if (units[i].letter == letter)
			return units[i].ns;
	return 0;
}

int grpc_timeout_parse(const char *text, size_t n, uint64_t *ret_ns)
{
	uint64_t value = 0, unit, ns;

	if (n < 2 || n > DIGITS_MAX + 1)
		return -EINVAL;
	for (size_t i = 0; i < n - 1; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	unit = unit_ns(text[n - 1]);
	if (unit == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(value, unit, &ns) || ns > INT64_MAX)
		ns = INT64_MAX;
	*ret_ns = ns;
	return 0;
}

size_t grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_TEXT_MAX])
{
	uint64_t value = ns;
	size_t i = 0;

	/* UINT64_MAX nanoseconds are 5124096 hours: the coarsest unit always fits. */
	while (value > VALUE_MAX) {
		i++;
		value = ns / units[i].ns + (ns % units[i].ns != 0);
	}
	return (size_t)snprintf(
		out, GRPC_TIMEOUT_TEXT_MAX, "%u%c", (unsigned int)value, units[i].letter);
}

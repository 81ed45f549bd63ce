/* units.c: numbers with units. modelctl, one thread. */
#include "clients/modelctl/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* Which unit of 1024^k it is in, and how many of them. */
static size_t scale(uint64_t n, double *ret_value)
{
	double value = (double)n;
	size_t unit = 0;

	for (; value >= 1024 && unit < 6; unit++)
		value /= 1024;
	*ret_value = value;
	return unit;
}

const char *bytes_text(uint64_t n, char out[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value;
	size_t unit = scale(n, &value);

	(void)snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return out;
}

const char *short_bytes_text(uint64_t n, char out[32])
{
	double value;
	size_t unit = scale(n, &value);

	(void)snprintf(out, 32, unit == 0 ? "%.0f%c" : "%.1f%c", value, "BKMGTPE"[unit]);
	return out;
}

const char *duration_text(uint64_t ms, char out[32])
{
	if (ms < 1000)
		(void)snprintf(out, 32, "%" PRIu64 " ms", ms);
	else if (ms < 60 * 1000)
		(void)snprintf(out, 32, "%.1f s", (double)ms / 1000);
	else if (ms < 3600 * 1000)
		(void)snprintf(
			out, 32, "%" PRIu64 " min %" PRIu64 " s", ms / 60000, ms / 1000 % 60);
	else
		(void)snprintf(
			out, 32, "%" PRIu64 " h %" PRIu64 " min", ms / 3600000, ms / 60000 % 60);
	return out;
}

/* traceparent.c: the form of a traceparent header. Pure. */
#include "base/traceparent.h"

#include <string.h>

#define VERSION_BYTES 2u
#define TRACE_AT      3u
#define TRACE_BYTES   32u
#define PARENT_AT     36u
#define PARENT_BYTES  16u
#define FLAGS_AT      53u
#define FLAGS_BYTES   2u

/* Lower case alone, as the header has it. */
static bool is_hex(const char *text, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		if (!memchr(digits, text[i], sizeof(digits) - 1))
			return false;
	}
	return true;
}

static bool is_zero(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '0')
			return false;
	}
	return true;
}

static bool is_id(const char *text, size_t n)
{
	return is_hex(text, n) && !is_zero(text, n);
}

bool traceparent_valid(const char *text, size_t n)
{
	if (n < TRACEPARENT_BYTES || !is_hex(text, VERSION_BYTES) || !memcmp(text, "ff", 2))
		return false;
	if (n > TRACEPARENT_BYTES && (!memcmp(text, "00", 2) || text[TRACEPARENT_BYTES] != '-'))
		return false;
	return text[TRACE_AT - 1] == '-' && is_id(text + TRACE_AT, TRACE_BYTES) &&
	       text[PARENT_AT - 1] == '-' && is_id(text + PARENT_AT, PARENT_BYTES) &&
	       text[FLAGS_AT - 1] == '-' && is_hex(text + FLAGS_AT, FLAGS_BYTES);
}

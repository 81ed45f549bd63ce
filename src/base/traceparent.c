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
#define SAMPLED	      1u

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

static uint8_t read_digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void read_id(const char *text, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(read_digit(text[2 * i]) << 4 | read_digit(text[2 * i + 1]));
}

struct traceparent traceparent_read(const char *text)
{
	struct traceparent t;

	read_id(text + TRACE_AT, TRACE_ID_BYTES, t.trace_id);
	read_id(text + PARENT_AT, SPAN_ID_BYTES, t.span_id);
	t.sampled = read_digit(text[FLAGS_AT + 1]) & SAMPLED;
	return t;
}

void trace_id_write(const uint8_t *id, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[id[i] >> 4];
		out[2 * i + 1] = digits[id[i] & 15];
	}
}

void traceparent_write(const struct traceparent *t, char out[TRACEPARENT_BYTES + 1])
{
	memcpy(out, "00-", TRACE_AT);
	trace_id_write(t->trace_id, TRACE_ID_BYTES, out + TRACE_AT);
	out[PARENT_AT - 1] = out[FLAGS_AT - 1] = '-';
	trace_id_write(t->span_id, SPAN_ID_BYTES, out + PARENT_AT);
	out[FLAGS_AT] = '0';
	out[FLAGS_AT + 1] = t->sampled ? '1' : '0';
	out[TRACEPARENT_BYTES] = '\0';
}

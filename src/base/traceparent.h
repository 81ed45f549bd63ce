/* traceparent.h: the traceparent header of W3C Trace Context (level 1), which ties a request to its
 * trace. */
#ifndef BASE_TRACEPARENT_H
#define BASE_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "00-" trace id "-" parent id "-" flags: as long as version 00 is. */
#define TRACEPARENT_BYTES 55u

/* Is it one of version 00, or the beginning of one of a later version, in form? text: n bytes, no
 * NUL needed. */
bool traceparent_valid(const char *text, size_t n);

#define TRACE_ID_BYTES 16u
#define SPAN_ID_BYTES  8u

struct traceparent {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES]; /* of who sends it: the parent of what comes of it */
	bool sampled;
};

/* What a valid one says. */
struct traceparent traceparent_read(const char *text);
/* The same as text, of version 00; out has a NUL. */
void traceparent_write(const struct traceparent *t, char out[TRACEPARENT_BYTES + 1]);
/* n bytes as 2n hexadecimal digits, no NUL. */
void trace_id_write(const uint8_t *id, size_t n, char *out);

#endif

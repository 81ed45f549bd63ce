/* traceparent.h: the traceparent header of W3C Trace Context (level 1), which ties a request to its
 * trace. */
#ifndef BASE_TRACEPARENT_H
#define BASE_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>

/* "00-" trace id "-" parent id "-" flags: as long as version 00 is. */
#define TRACEPARENT_BYTES 55u

/* Is it one of version 00, or the beginning of one of a later version, in form? text: n bytes, no
 * NUL needed. */
bool traceparent_valid(const char *text, size_t n);

#endif

/*
 * tracestate.h: the tracestate header of W3C Trace Context, what tracing systems say to each other about a trace: members, each
 * key=value, told on as they are.
 */
#ifndef BASE_TRACESTATE_H
#define BASE_TRACESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Told on at most: of more, members that are longer than 128 bytes go first, then the last ones. */
#define TRACESTATE_BYTES   512u
#define TRACESTATE_MEMBERS 32u

/* Zeroed: none. */
struct tracestate {
	char text[TRACESTATE_BYTES + 1];
	uint16_t n;
	uint8_t n_members; /* that have come */
	bool malformed;	   /* text is "" for good */
};

/* A header of it, n bytes, no NUL needed; where several come their members follow each other. What is malformed, or has more than
 * TRACESTATE_MEMBERS, is nothing, all of it. */
void tracestate_add(struct tracestate *t, const char *text, size_t n);

#endif

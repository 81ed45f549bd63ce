/*
 * log_ring.h: the last lines of the log, in memory of a fixed size: a new line pushes out the oldest ones. Safe from
 * several threads; a reader keeps those that log waiting for as long as it takes to copy the lines.
 */
#ifndef BASE_LOG_RING_H
#define BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/log.h"

struct log_ring;

struct log_ring_line {
	uint64_t number;  /* from 1, without gaps */
	uint64_t time_ns; /* since 1970 */
	enum log_level level;
	const char *
		text; /* the message, and its key=value pairs; borrow during the call; terminated */
	size_t n;
};

/* Returns whether to go on. */
typedef bool (*log_ring_fn)(void *data, const struct log_ring_line *line);

/* bytes: of all lines, and some 24 a line. -ENOMEM */
_must_use_ int log_ring_new(struct log_ring **ret_ring, size_t bytes);
/* Accepts NULL; returns NULL. */
struct log_ring *log_ring_free(struct log_ring *r);
DEFINE_CLEANUP(struct log_ring *, log_ring_free)
/* A line that is larger than the ring is left out. For log_tap(): `ring` is a struct log_ring. */
void log_ring_add(void *ring, enum log_level level, uint64_t time_ns, const char *text, size_t n);
/* Call fn for each line with a number above `after`, oldest first. It must not log. */
void log_ring_each(struct log_ring *r, uint64_t after, log_ring_fn fn, void *data);
/* The number of the last line; 0: there was none. */
uint64_t log_ring_last(struct log_ring *r);

#endif

/*
 * log_json.h: a line of the log as an object of JSON (RFC 8259):
 *
 *   {"time":"2026-01-31T12:00:00.123Z","level":"info","component":"pool","message":"worker ready",
 *    "worker":"cpu:0/0","pid":4711,"slots":2}
 *
 * Pure; allocates nothing.
 */
#ifndef BASE_LOG_JSON_H
#define BASE_LOG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a line with all that is around the object: what a pipe takes as one. */
#define LOG_JSON_MAX_BYTES 4096u

struct log_json_entry {
	uint64_t time_ns;    /* of the wall clock */
	const char *level;   /* borrow */
	const char *program; /* borrow: the component; NULL: it is the folder of file */
	const char *file;    /* borrow: path of the source */
	const char *message; /* borrow */
	const char *
		fields; /* borrow: "key=value ..." as they stand in a line of text, values quoted by log_quote() or not */
	const char *
		format; /* borrow: what fields were made by: what it has as %d, %u and their like becomes a number */
	bool cut; /* fields are not all there */
};

/*
 * The object, without a newline or NUL, into out (cap bytes, at least 512). Returns its length. What there is no room for is left
 * out, values in part; then, as where e->cut, it has "cut":true. Text is UTF-8: a byte that is not becomes U+FFFD.
 */
size_t log_json_write(const struct log_json_entry *e, char *out, size_t cap);

#endif

/*
 * json_read.h: reads JSON (RFC 8259) in place, value after value, without building anything: what a caller does not
 * want is skipped, and a value that is wanted later is read from a copy of the reader that stands before it. NaN, Infinity
 * and -Infinity are taken as numbers, which Python writes.
 */
#ifndef CLIENTS_MODELCTL_JSON_READ_H
#define CLIENTS_MODELCTL_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define JSON_READ_DEPTH_MAX 64u

/* Copied freely. `text` is borrowed. */
struct json_reader {
	const char *text;
	size_t n;
	size_t at;
};

enum json_kind {
	JSON_NOTHING, /* the end, or what no value begins with */
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_BOOL,
	JSON_NULL,
};

/* What comes next. */
enum json_kind json_read_kind(struct json_reader *r);
/* Into the object or array that comes next. -EINVAL: that is not what comes */
_must_use_ int json_read_enter(struct json_reader *r, char bracket);
/*
 * Inside: is there another member? `first`: none has been asked for yet. 1: yes, and it is next; 0: no, and the
 * bracket has been read. -EINVAL
 */
_must_use_ int json_read_more(struct json_reader *r, char bracket, bool first);
/* A member's name and the colon into `name`, as json_read_string(). */
_must_use_ int json_read_name(struct json_reader *r, struct buf *name);
/* A string, decoded to UTF-8, behind what `out` has. -EINVAL; errors of buf_append() */
_must_use_ int json_read_string(struct json_reader *r, struct buf *out);
/* A number, true, false or null as it stands in the text. -EINVAL */
_must_use_ int json_read_word(struct json_reader *r, const char **ret_text, size_t *ret_n);
/* Any value. -EINVAL: malformed, or nested deeper than JSON_READ_DEPTH_MAX */
_must_use_ int json_read_skip(struct json_reader *r);
/* Is this one value and nothing behind it? */
bool json_read_is_whole(struct json_reader r);
/* The line, from 1, where it stands. */
size_t json_read_line(const struct json_reader *r);

#endif

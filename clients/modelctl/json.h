/* json.h: JSON to standard output, one value after another; commas and nesting are kept here. */
#ifndef CLIENTS_MODELCTL_JSON_H
#define CLIENTS_MODELCTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
	FILE *out;     /* borrow */
	bool one_line; /* set after json_init(): for streams of values, one a line */
	unsigned depth;
	bool filled[JSON_DEPTH_MAX]; /* the object or array at this depth has a member */
};

void json_init(struct json *j, FILE *out);
/* key: NULL inside an array and at the top. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_string(struct json *j, const char *key, const char *value);
/* n bytes, zeros among them. */
void json_string_n(struct json *j, const char *key, const char *value, size_t n);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_double(struct json *j, const char *key, double value);
/* A number that is text already; null where JSON has no such number. */
void json_number(struct json *j, const char *key, const char *text);
void json_bool(struct json *j, const char *key, bool value);
/* After the outermost json_close(): a line end. */
void json_end(struct json *j);

#endif

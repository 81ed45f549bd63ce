/* header.h: one header or trailer that is sent. */
#ifndef HTTP2_HEADER_H
#define HTTP2_HEADER_H

#include <stddef.h>

/* Of one list. */
#define HEADERS_MAX 8u

enum {
	HEADER_STATIC = 1, /* the value lives as long as the program */
	HEADER_UNIQUE =
		2, /* it differs each time: must not push what repeats out of HPACK's table */
};

struct header {
	const char *name; /* lower case; lives as long as the program */
	const char *value;
	size_t n_name;
	size_t n_value;
	unsigned flags; /* HEADER_ */
};

/* Both are string literals. */
#define HEADER_LITERAL(name, value)                                                                \
	{                                                                                          \
		(name), (value), sizeof(name) - 1, sizeof(value) - 1, HEADER_STATIC                \
	}

#endif

/* endpoint.h: where clients come in, and what they find there. */
#ifndef HTTP2_ENDPOINT_H
#define HTTP2_ENDPOINT_H

#include <stdint.h>

enum endpoint_kind {
	ENDPOINT_TCP,
	ENDPOINT_UNIX,
};

struct endpoint {
	enum endpoint_kind kind;
	const char *listen;	/* borrow: as in modeld.conf; may stand for several addresses */
	uint32_t unix_mode;	/* permissions of the socket's file */
	const char *unix_group; /* borrow; NULL: the process's */
	const void *offer;	/* borrow: what is served here; for the floor above alone */
};

#endif

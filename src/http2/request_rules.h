/* request_rules.h: what RFC 9113 8.3 asks of a request's headers, for connections whose peers may name an
 * :authority that is none: over a Unix socket some put its path there, which nghttp2 lets nobody have. */
#ifndef HTTP2_REQUEST_RULES_H
#define HTTP2_REQUEST_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What came so far of one request; zeroed is none. */
struct request_rules {
	uint8_t seen;
	bool broken;
};

/* One more header, in order. Not NUL-terminated. */
void request_rules_take(struct request_rules *r, const char *name, size_t n_name, const char *value,
	size_t n_value);
/* All came: is it a request? */
bool request_rules_met(const struct request_rules *r);

#endif

/*
 * page.h: what people get to read who come with a browser or curl instead of a gRPC client.
 * All texts are static.
 */
#ifndef GRPC_PAGE_H
#define GRPC_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* Body of an HTTP/2 answer with this status (405 or 415). */
const char *page_text(unsigned status);
/* A whole HTTP/1.1 response for a connection that began with these bytes; NULL when they do not
 * look like HTTP/1 (nothing is said to those). */
const char *page_for_http1(const uint8_t *data, size_t n);

#endif

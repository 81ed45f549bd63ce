/* grpc_timeout.h: the grpc-timeout header, 1 to 8 digits and a unit of H M S m u n. */
#ifndef PROTO_GRPC_TIMEOUT_H
#define PROTO_GRPC_TIMEOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define GRPC_TIMEOUT_TEXT_MAX 10u

/* -> nanoseconds, clamped to INT64_MAX. -EINVAL for anything malformed. */
_must_use_ int grpc_timeout_parse(const char *text, size_t n, uint64_t *ret_ns);
/* Nanoseconds -> the finest unit that fits 8 digits, rounded up; NUL-terminated. Returns length. */
size_t grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_TEXT_MAX]);

#endif

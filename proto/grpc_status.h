/*
 * grpc_status.h: gRPC status codes (doc/statuscodes.md) and the grpc-message percent-encoding
 * (PROTOCOL-HTTP2.md, "Responses").
 */
#ifndef PROTO_GRPC_STATUS_H
#define PROTO_GRPC_STATUS_H

#include <stddef.h>

#include "base/cleanup.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

/* "OK", "CANCELLED", …; "UNKNOWN" for a number outside. */
const char *grpc_status_name(int code);
/* Decimal text without leading zeros, static storage; codes outside give "2". */
const char *grpc_status_digits(int code);
/* The grpc-status header -> code. -EINVAL unless 1 to 2 digits, no leading zero, at most 16. */
_must_use_ int grpc_status_parse(const char *text, size_t n, enum grpc_status *ret_code);

/* Longest text that is put into grpc-message before encoding; longer ones are cut (clients limit
 * header lists to 8 KiB). */
#define GRPC_MESSAGE_MAX 1024u
/* Room for any encoded message. */
#define GRPC_MESSAGE_ENCODED_MAX (3u * GRPC_MESSAGE_MAX + 16u)
/*
 * Percent-encode text: every byte outside 0x20..0x7E and '%' as %XX; malformed UTF-8 becomes
 * U+FFFD first; cut at GRPC_MESSAGE_MAX on a character border. Returns the length written (no NUL).
 */
size_t grpc_message_encode(const char *text, size_t n, char out[GRPC_MESSAGE_ENCODED_MAX]);
/* Decode in place; malformed escapes are kept as they are. Returns the new length. */
size_t grpc_message_decode(char *text, size_t n);

#endif

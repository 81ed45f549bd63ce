/*
 * grpc_frame.h: length-prefixed gRPC messages (PROTOCOL-HTTP2.md): flag byte 0 or 1, 4 bytes
 * big-endian length, payload. DATA frame boundaries have no relation to messages, so the reader is
 * driven by bytes and never buffers payload.
 */
#ifndef PROTO_GRPC_FRAME_H
#define PROTO_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define GRPC_PREFIX_SIZE 5u

enum {
	GRPC_FRAME_E_FLAG = 1, /* flag byte neither 0 nor 1 */
};

/* What the bytes at the front of the input are. */
enum grpc_frame_event {
	GRPC_FRAME_MORE,    /* all input consumed, nothing to report */
	GRPC_FRAME_BEGIN,   /* a prefix is complete: reader->compressed and ->length are set */
	GRPC_FRAME_PAYLOAD, /* *ret_data, *ret_n: the next bytes of the message, n > 0 */
	GRPC_FRAME_END,	    /* the message is complete */
};

struct grpc_frame_reader {
	uint8_t prefix[GRPC_PREFIX_SIZE];
	uint8_t n_prefix;
	uint8_t state;	    /* private */
	bool compressed;    /* of the message begun last */
	uint32_t length;    /* of the message begun last */
	uint32_t remaining; /* payload bytes still to come */
};

void grpc_frame_reader_init(struct grpc_frame_reader *r);
/* True between messages: end of stream is legal here. */
bool grpc_frame_reader_idle(const struct grpc_frame_reader *r);
/* True where all of a message was read and GRPC_FRAME_END comes next. */
bool grpc_frame_reader_ends(const struct grpc_frame_reader *r);
/*
 * Consume from *data, *n (advanced) until the next event. Call again until GRPC_FRAME_MORE.
 * A message of length 0 gives BEGIN then END.
 *
 * GRPC_FRAME_E_FLAG  the reader is of no use any more
 */
_must_use_ int grpc_frame_read(struct grpc_frame_reader *r, const uint8_t **data, size_t *n,
	enum grpc_frame_event *ret_event, const uint8_t **ret_data, size_t *ret_n);
/* Write a prefix. */
void grpc_frame_prefix(uint8_t out[GRPC_PREFIX_SIZE], bool compressed, uint32_t length);

#endif

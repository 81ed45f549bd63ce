/*
 * infer_stream.h: a call with any number of inferences: requests in flight side by side, answers in their
 * order.
 */
#ifndef SERVICES_INFER_STREAM_H
#define SERVICES_INFER_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "grpc/service.h"
#include "services/infer.h"
#include "services/infer_receive.h"

struct infer_stream {
	struct call *call; /* borrow */
	const struct infer_kind *kind;
	struct infer_receive receive;
	struct list slots; /* struct infer_slot.node: the requests, in their order */
	struct list spare; /* struct infer_slot.node: at most one */
	uint32_t n_slots;
	bool refusing; /* the stream ends behind its last slot: what comes is dropped */
	bool skipping; /* so is the rest of this message: its request has failed */
	bool stalled;  /* bytes were not taken, for want of a slot or for unread answers */
	bool half_closed;
};

/* From struct method's open. */
void infer_stream_open(struct infer_stream *s, struct call *c, const struct infer_kind *kind);

/* The functions of struct method, with a struct infer_stream as state. */
void infer_stream_message_begin(struct call *c, void *state, uint64_t length);
size_t infer_stream_message_data(struct call *c, void *state, const uint8_t *data, size_t n);
void infer_stream_message_end(struct call *c, void *state);
void infer_stream_half_close(struct call *c, void *state);
void infer_stream_writable(struct call *c, void *state);
void infer_stream_drain(struct call *c, void *state);
void infer_stream_close(struct call *c, void *state);

#endif

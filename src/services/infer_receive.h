/*
 * infer_receive.h: one request message on its way in: its tensor data goes into the input arena
 * (infer_room.h), where it waits in line when there is no room; the rest is kept for protobuf-c.
 */
#ifndef SERVICES_INFER_RECEIVE_H
#define SERVICES_INFER_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "services/infer_failure.h"
#include "services/infer_room.h"
#include "services/scanner.h"
#include "services/services.h"

struct infer_receive {
	struct services *services; /* borrow; NULL: not begun */
	struct scanner scanner;
	struct infer_room room;
	struct infer_failure failure;
	uint64_t tensor_bytes; /* counted already */
	uint64_t copied_bytes;
	bool kept; /* its message is not read yet: an inference waits for its model (infer.h) */
	bool due;  /* meanwhile the next one has begun, of next_bytes: nothing of it may come yet */
	uint64_t next_bytes;
};

/* table: where the message has its tensors; const. The struct must not move. */
void infer_receive_init(struct infer_receive *r, const struct scanner_table *table,
	struct services *x, struct client *client, const struct infer_room_events *events,
	void *data);
/* Accepts a zeroed one. */
void infer_receive_deinit(struct infer_receive *r);
/* A message follows, as method.message_begin() has it. */
void infer_receive_begin(struct infer_receive *r, uint64_t length);
/*
 * Take n bytes; *ret_taken is always set.
 *
 * INFER_E_WAITING  fewer were taken: there is no room for the tensor; on_room follows, or on_expired
 * INFER_E_FAILED   r->failure
 */
_must_use_ int infer_receive_data(
	struct infer_receive *r, const uint8_t *data, size_t n, size_t *ret_taken);
/* All bytes came; the message without its tensor data, borrowed until the next begin.
 * INFER_E_FAILED */
_must_use_ int infer_receive_end(
	struct infer_receive *r, const uint8_t **ret_message, size_t *ret_n);
/* How many tensors came: of a field that is not repeated one at most. */
size_t infer_receive_count(const struct infer_receive *r);
/* Take tensor i over, with its reference; one past the last is empty. INFER_E_FAILED */
_must_use_ int infer_receive_take(struct infer_receive *r, size_t i, struct infer_piece *ret_piece);
/* Room for tensor data that comes otherwise, without waiting. INFER_E_FAILED */
_must_use_ int infer_receive_make(
	struct infer_receive *r, uint64_t length, struct infer_piece *ret_piece);

#endif

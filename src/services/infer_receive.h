/*
 * infer_receive.h: one request message on its way in: its tensor data goes into a lease of the
 * input arena, for which it waits in line when there is no room; the rest is kept for protobuf-c.
 */
#ifndef SERVICES_INFER_RECEIVE_H
#define SERVICES_INFER_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/lease.h"
#include "services/infer_failure.h"
#include "services/scanner.h"
#include "services/services.h"

/* From the loop. */
struct infer_receive_events {
	/* There is room now: go on with the bytes that were not taken. */
	void (*on_room)(void *data);
	/* The wait for room took longer than arena_wait_ms, or ended otherwise: the failure is set. */
	void (*on_expired)(void *data);
};

struct infer_wait;

struct infer_receive {
	struct services *services; /* borrow; NULL: not begun */
	struct client *client;	   /* borrow: whom the memory is charged to */
	struct scanner scanner;
	struct lease *lease;	 /* own: the tensor data; NULL: none, or of length 0 */
	bool ready;		 /* lease was got while waiting and the scanner has not asked yet */
	struct infer_wait *wait; /* own; NULL: not waiting */
	struct infer_failure failure;
	const struct infer_receive_events *events; /* borrow */
	void *data;				   /* borrow */
	uint64_t tensor_bytes;			   /* counted already */
	uint64_t copied_bytes;
};

void infer_receive_init(struct infer_receive *r, struct services *x, struct client *client,
	const struct infer_receive_events *events, void *data);
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
/*
 * Take the tensor data over: a lease, made now when the tensor is empty. INFER_E_FAILED
 */
_must_use_ int infer_receive_take(struct infer_receive *r, struct lease **ret_lease);

#endif

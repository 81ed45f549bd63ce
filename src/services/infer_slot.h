/*
 * infer_slot.h: one request of a stream, from the end of its message until its last answer is handed to the transport. Answers
 * that come before its turn are kept here. For infer_stream.c alone.
 */
#ifndef SERVICES_INFER_SLOT_H
#define SERVICES_INFER_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "services/infer.h"

struct infer_reply;
struct infer_stream;

struct infer_slot {
	struct list node;	     /* in infer_stream.slots, or .spare */
	struct infer_stream *stream; /* borrow */
	struct list parts;	     /* own: answers in part that came before its turn */
	uint32_t n_unread;	     /* answers in part that the client is not ready for */
	struct infer_reply *
		reply; /* own: the last answer, which came before its turn; NULL: it did not come */
	_Alignas(max_align_t) struct infer infer; /* last: of its kind's size */
};

/* The last of the stream's, with an inference whose data it is. NULL: no memory */
struct infer_slot *infer_slot_new(
	struct infer_stream *s, infer_done_fn on_done, void (*on_read)(struct infer *i));
/* Cancels what is in flight. The stream keeps the memory of one. */
void infer_slot_free(struct infer_slot *slot);
/* That memory. */
void infer_slot_free_spare(struct infer_stream *s);
/* slot->infer.failure says why. */
bool infer_slot_failed(const struct infer_slot *slot);

/* It is not its turn: keep the last answer. INFER_E_FAILED */
_must_use_ int infer_slot_keep(struct infer_slot *slot, const struct request_result *result);
/* The same of one in part. */
_must_use_ int infer_slot_keep_part(struct infer_slot *slot, const struct request_result *result);
/* It is its turn: send one in part. INFER_E_FAILED */
_must_use_ int infer_slot_send_part(struct infer_slot *slot, const struct request_result *result);
/* Its turn has come: send those in part that are kept. As call_send() */
_must_use_ int infer_slot_send_kept(struct infer_slot *slot);
/*
 * An answer in part has come, for which the client is ready or not. What it does not read is limited, and its memory: a run
 * that waited for it would keep its lane from others. INFER_E_FAILED: the limit is reached
 */
_must_use_ int infer_slot_count_unread(struct infer_slot *slot, bool ready);

#endif

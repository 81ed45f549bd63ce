/* handoff_private.h: struct handoff, from which everything in src/handoff hangs. */
#ifndef HANDOFF_HANDOFF_PRIVATE_H
#define HANDOFF_HANDOFF_PRIVATE_H

#include "base/list.h"
#include "base/peer_log.h"
#include "handoff/allocation.h"
#include "handoff/disposal.h"
#include "handoff/entry.h"
#include "handoff/handoff.h"
#include "handoff/handoff_listener.h"
#include "handoff/inference_trace.h"
#include "handoff/lent.h"
#include "handoff/unread.h"
#include "handoff/user.h"
#include "proto/handoff_message.h"

struct guest;

struct handoff {
	uv_loop_t *loop;			 /* borrow */
	const struct handoff_settings *settings; /* borrow */
	struct dispatch *dispatch;		 /* borrow */
	struct tracer *tracer;			 /* borrow; NULL: nothing is traced */
	const struct handoff_events *events;	 /* borrow */
	void *data;				 /* borrow: of events */
	bool draining;				 /* guests leave ... */
	bool may_dismiss;			 /* ... and then those who were invited ... */
	bool dismissed;				 /* ... do, too */
	bool told_drained;

	/* What a guest says. fds: those that came along, each to be closed by the caller unless it was
	 * taken (-1 then). */
	void (*serve)(struct guest *p, const struct handoff_message *m, int *fds, size_t n_fds);
	struct handoff_listener listener;
	struct list guests; /* struct guest.node: connected */
	struct list dirty;  /* struct guest.dirty_node: have something to send, or to end */
	uint32_t n_guests;  /* not freed yet ... */
	uint32_t n_invited; /* ... and who of them was invited */
	uint64_t last_guest;
	struct peer_log peer_log;
	struct users users;
	struct entry_table entries;
	struct allocation_desk allocations;
	struct disposal_desk disposals;
	struct unread_desk unread;
	struct lent_desk lent;
	struct handoff_scratch *scratch; /* own */
	uint8_t *record;		 /* own: the one that was received */
	size_t n_record;
	struct inference_context context; /* of the one that is being begun */
	uint64_t requests_total;
	uint64_t tensor_bytes_handed;
};

#endif

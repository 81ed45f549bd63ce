/* guest.h: one connected client: records in, answers out, and what it holds. */
#ifndef HANDOFF_GUEST_H
#define HANDOFF_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/peer.h"
#include "proto/grpc_status.h"
#include "proto/handoff_message.h"

/* An answer failed of that. */
#define GUEST_FDS_UNREAD_TEXT                                                                      \
	"its descriptor cannot be sent: too many of the daemon's user have not been read"

struct client;
struct handoff;
struct unread;
struct user;

/* Something that hangs from a connection; embedded in it, and in one of the guest's lists. */
struct held {
	struct list node;
	void (*drop)(struct held *h); /* the guest goes: leave its list, no answers */
};

/* Answers in part of one request, on their way. Embedded in who gives them. */
struct parts_queued {
	uint32_t n;   /* queued here, not sent */
	bool refused; /* one of them cannot be sent, nor could what comes behind it */
};

struct guest {
	struct handoff *handoff; /* borrow */
	struct list node;	 /* in handoff.guests */
	struct list dirty_node;	 /* in handoff.dirty */
	uint64_t id;		 /* of handoff's guests, never reused */
	int fd;			 /* own; -1: closed */
	uv_poll_t poll;
	struct user *user;     /* connected */
	struct client *client; /* ref: of its requests */
	struct peer peer;      /* its uid is known */
	bool invited;	       /* a process of the daemon's own */
	bool ended;	       /* nothing is read any more; closed by the next flush */
	bool leaving;	       /* it can send no more: closed once what it has sent is answered */
	bool all_read;	       /* leaving, and nothing of what it has sent is left to be read */
	bool blocked;	       /* does not read: watched for writing */

	/* struct held.node. What is busy is waited for when the handoff drains. */
	struct list inferences; /* busy: in flight */
	uint32_t n_inferences;
	struct list allocations; /* busy */
	struct list entries;	 /* registered */
	uint64_t last_number;	 /* of them */
	uint32_t n_tried;	 /* of them, those that a worker is to answer for: busy */

	struct list answers; /* to be sent, in order */
	uint64_t answer_bytes;
	struct unread
		*unread; /* own: descriptors of answers that were sent; NULL: there was none */
};

/* fd is taken over on success. USER_E_LIMIT, -ENOMEM, -errno */
_must_use_ int guest_open(struct handoff *h, int fd, bool invited);
/* What it could send until now is served, and then it is closed; to send more is EPIPE for it. */
void guest_leave(struct guest *p);
/* Give everything back; harmless when closed. The struct lives until the loop's next turn. */
void guest_close(struct guest *p);
/* user_charge() for what it asks for, counted as of now. */
_must_use_ int guest_charge(struct guest *p, uint64_t bytes, char *text, size_t cap);
/* user_charge_device(), likewise. */
_must_use_ int guest_charge_device(struct guest *p, uint64_t bytes, char *text, size_t cap);
/* Send what is queued; close it when it is to end. From handoff_flush() only. */
void guest_flush(struct guest *p);

/* Queue an answer for guest_flush(); fd (own, -1: none) travels with it. */
void guest_answer(struct guest *p, const struct handoff_message *m, int fd);
/* The same for one that others with its seq follow. `parts` is borrowed until guest_forget_parts(). */
void guest_answer_part(
	struct guest *p, const struct handoff_message *m, int fd, struct parts_queued *parts);
/* They are not counted any more. */
void guest_forget_parts(struct guest *p, struct parts_queued *parts);
/* The same for an error. */
void guest_refuse(struct guest *p, uint64_t seq, enum grpc_status code, const char *format, ...)
	_printf_(4, 5);

/* --- Between guest.c and guest_answer.c, which knows nothing of it --- */

/* Nothing more is read; what is queued is not sent either; the next flush closes it. */
void guest_end(struct guest *p, const char *why);
void guest_flush_later(struct guest *p);
/* ret_blocked: the rest waits until the client has read. -errno: that is the end */
_must_use_ int guest_send_answers(struct guest *p, bool *ret_blocked);
void guest_drop_answers(struct guest *p);

#endif

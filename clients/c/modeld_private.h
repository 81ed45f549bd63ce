/* modeld_private.h: what libmodeld's files share. Nobody else includes it. */
#ifndef CLIENTS_C_MODELD_PRIVATE_H
#define CLIENTS_C_MODELD_PRIVATE_H

#include <stdbool.h>

#include "base/list.h"
#include "clients/c/grpc_client.h"
#include "clients/c/modeld.h"
#include "proto/handoff_message.h"

#define CALL_BUCKETS 64u
#define IDLE_MAX     64u /* calls, and results, kept for the next ones */

/* A request that its sender waits for, other than Infer: one at a time. */
struct control {
	uint64_t seq;
	bool *done;
	const struct handoff_message *answer; /* borrow: valid until the next record is received */
	int fd;				      /* own; -1: none came */
};

struct modeld {
	int fd;				 /* own: the handoff socket */
	char *path;			 /* own: of that socket */
	struct handoff_scratch *scratch; /* own: of records sent, and of the last one received */
	uint8_t *record;		 /* own, HANDOFF_MESSAGE_MAX: what was received last */
	uint64_t next_seq;
	uint64_t timeout_ns;
	uint32_t busy_poll_us; /* as it was asked for */
	uint64_t busy_poll_ns;
	struct modeld_error lost; /* code 0: connected */
	bool going; /* the daemon takes nothing more on this connection; it answers what it has taken */
	bool distrusted;     /* the daemon broke the protocol: the connection is not made anew */
	uint64_t epoch;	     /* grows with every connection: memory belongs to one */
	uint64_t n_received; /* records */
	size_t n_abandoned;  /* calls */
	/* What the link reports: an answer, whose number was given out, with the descriptor that came with it
	 * (borrow; -1: none; -EPROTO: it makes no sense), and that the connection is lost. */
	int (*on_answer)(struct modeld *m, const struct handoff_message *answer, int fd);
	void (*on_lost)(struct modeld *m);
	struct control *control; /* borrow, of the caller's stack; NULL: none is waited for */
	struct list open[CALL_BUCKETS]; /* struct modeld_call.node by seq */
	struct list ended;		/* struct modeld_call.node: not yet waited for */
	struct list regions;		/* struct modeld_region.node */
	struct list results;		/* struct modeld_result.node: in the caller's hands */
	struct list idle_calls, idle_results;
	size_t n_idle_calls, n_idle_results;
	char *address;		  /* own: of gRPC; NULL: requests go over the handoff socket */
	struct grpc_client *grpc; /* own: for new calls; NULL likewise, or it was not opened yet */
	struct list
		ending; /* struct grpc_client.node: own, they take no more calls; those there still end */
	int watch;    /* own: epoll(7) of all of them, while there are several; -1 */
	bool refused; /* calls by gRPC are to be sent once more */
};

struct view;
struct packed;

struct modeld_region {
	struct list node;
	struct modeld *m;  /* borrow */
	struct view *view; /* own; NULL: base is to be unmapped, unless it is ... */
	bool on_device;	   /* ... the caller's own, on a GPU */
	void *base;
	uint64_t bytes;
	uint64_t number;
	uint64_t epoch; /* of its connection */
	bool writable;
	uint8_t token[HANDOFF_TOKEN_BYTES];
	char id[2 * HANDOFF_TOKEN_BYTES + 1];
};

/* A target of a call. */
struct use {
	struct modeld_region *region; /* borrow; NULL: released, see call->released */
	uint64_t offset;
	uint64_t bytes;
};

struct modeld_call {
	struct list node;
	struct modeld *m; /* borrow */
	uint64_t seq;
	bool done;
	bool released;	/* a target's region, meanwhile: the result is not wanted */
	bool abandoned; /* nobody waits for it any more; it is still to end */
	bool make_room;
	struct modeld_region *room;   /* own, until the result has it: made for outputs */
	struct modeld_error error;    /* code 0: result is there, or released is set */
	struct modeld_result *result; /* own */
	size_t n_targets, cap_targets;
	struct use *targets;	/* own */
	struct grpc_call *grpc; /* own */
	struct packed *packed;	/* own: the gRPC request */
};

struct modeld_result {
	struct list node;
	struct modeld *m; /* borrow; NULL: closed */
	size_t n;
	struct modeld_tensor *outputs; /* in memory */
	struct modeld_region *room;    /* own; NULL: none, taken, or closed */
	uint64_t queue_ns, compute_ns, total_ns;
	uint8_t *memory; /* own */
	size_t cap;
};

/* --- modeld_error.c ---------------------------------------------------------------------------- */

/* Returns code. */
int error_set(struct modeld_error *e, int code, const char *format, ...) _printf_(3, 4);
/* Of connecting: MODELD_E_TIMEOUT, MODELD_E_USAGE (no address), MODELD_E_SYSTEM */
int error_code(int err);
/* MODELD_E_TIMEOUT for -ETIMEDOUT, else MODELD_E_SYSTEM: "what: text of err". Returns it. */
int error_system(struct modeld_error *e, int err, const char *what);

/* --- modeld_link.c: records over the handoff socket --------------------------------------------- */

/* Give the connection up: everything that waits ends with this error. */
void link_lost(struct modeld *m, int err);
/* Pack and send with one descriptor (-1: none), taking answers in while the daemon takes nothing. Where it takes nothing any more,
 * all answers, until it ends the connection. A code of modeld.h: nothing was sent then. */
_must_use_ int link_send(struct modeld *m, const struct handoff_message *request, int fd,
	uint64_t deadline_ns, struct modeld_error *error);
/* Take in what has come, without waiting. */
void link_take_in(struct modeld *m);
/* Take answers in until *done, which the end of the connection sets too. 0; -ETIMEDOUT */
_must_use_ int link_wait(struct modeld *m, const bool *done, uint64_t deadline_ns);
/*
 * Send (request->seq is set here) and wait for the answer, which has to be of `type`: anything else
 * but Error ends the connection, and so does no answer by deadline_ns. ret_answer is borrowed until
 * the next record; ret_fd: own, NULL: no descriptor is expected. A code of modeld.h.
 */
_must_use_ int link_ask(struct modeld *m, struct handoff_message *request, int fd,
	enum handoff_type type, uint64_t deadline_ns, const struct handoff_message **ret_answer,
	int *ret_fd, struct modeld_error *error);

/* --- modeld_connection.c: connected, and connected anew ------------------------------------------- */

/* Connect: the handoff socket and, where m->address says so, gRPC. Also anew, where one of them is lost: memory of
 * before stays mapped and is of no use any more. A code of modeld.h. */
_must_use_ int connection_ready(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error);
/* Is it lost, by what has come? */
_must_use_ bool connection_is_lost(struct modeld *m);
/* link_ask(), on a connection that is made anew where it was lost, also meanwhile: what is asked here concerns a
 * connection alone, so that asking twice does no harm. */
_must_use_ int connection_ask(struct modeld *m, struct handoff_message *request, int fd,
	enum handoff_type type, uint64_t deadline_ns, const struct handoff_message **ret_answer,
	int *ret_fd, struct modeld_error *error);
_must_use_ int connection_limits(struct modeld *m, uint64_t deadline_ns,
	struct handoff_limits *ret_limits, struct modeld_error *error);

/* --- modeld_channel.c: the connections of gRPC ------------------------------------------------------ */

/* Can new calls not go over the connection that there is? */
_must_use_ bool channel_is_over(const struct modeld *m);
/* Connect to m->address; the connection before it is kept while calls are open there. A code of modeld.h. */
_must_use_ int channel_open(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error);
/* Let go of those that have no calls any more. */
void channel_sweep(struct modeld *m);
/* For poll(2), of whichever there are; -1: none is */
_must_use_ int channel_descriptor(const struct modeld *m);
void channel_close(struct modeld *m);

/* --- modeld_region.c ---------------------------------------------------------------------------- */

/* NULL when it is not wholly inside. */
static inline void *region_at(const struct modeld_region *r, uint64_t offset, uint64_t bytes)
{
	if (offset > r->bytes || bytes > r->bytes - offset)
		return NULL;
	return (uint8_t *)r->base + offset;
}

/* Unmap and free, without a word to the daemon. */
void region_drop(struct modeld_region *r);
/* Map a region of the daemon's making. fd is borrowed. -EPROTO: it is not as it says; -ENOMEM, -errno */
_must_use_ int region_take(struct modeld_region **ret_region, struct modeld *m,
	const struct handoff_registered *from, int fd);

/* --- modeld_calls.c: the calls of a connection ---------------------------------------------------- */

/* One in no list, used before or new. NULL: out of memory */
struct modeld_call *call_take(struct modeld *m);
/* Its seq is set: it waits for its answer. */
void call_open(struct modeld_call *call);
/* Nobody waits for an open call any more: it is kept until its answer comes, for its targets are written until then. */
void call_abandon(struct modeld_call *call);
/* Those of them whose answers came are let go. Not while an answer is waited for. */
void call_sweep(struct modeld *m);
/* The call is over: call->error and call->result say how. */
void call_over(struct modeld_call *call);
/* The caller is done with it: keep it for the next one. */
void call_recycle(struct modeld_call *call);
void call_free(struct modeld_call *call);
/* An answer came, with a descriptor (borrow; -1: none); dropped where nobody waits for it any more. -EPROTO: it
 * makes no sense */
_must_use_ int call_answer(struct modeld *m, const struct handoff_message *answer, int fd);
/* The connection is lost: every open call over the handoff socket ends with m->lost. */
void call_all_over(struct modeld *m);

/* --- modeld_uses.c ------------------------------------------------------------------------------- */

/* Calls that are not waited for yet, and have targets in this region, get no result. */
void call_forget_region(struct modeld *m, const struct modeld_region *region);
/* Do abandoned calls have a target in this part of a region? */
_must_use_ bool call_may_write(
	struct modeld *m, const struct modeld_region *region, uint64_t offset, uint64_t bytes);

/* --- modeld_check.c ----------------------------------------------------------------------------- */

/* Does the request make sense? 0, MODELD_E_USAGE or MODELD_E_STALE. */
_must_use_ int check_request(
	struct modeld *m, const struct modeld_request *r, struct modeld_error *error);

/* --- modeld_result.c ---------------------------------------------------------------------------- */

/* The result of a call from its answer; outputs in regions must be where the call's targets are, or in call->room,
 * which is the result's then. None (0, and *ret_result is untouched) where call->released. -EPROTO, -ENOMEM */
_must_use_ int result_new(struct modeld_result **ret_result, struct modeld_call *call,
	const struct handoff_inferred *answer);
void result_drop(struct modeld_result *r);

/* --- modeld_grpc.c: the same calls by gRPC ------------------------------------------------------ */

_must_use_ int grpc_submit(
	struct modeld_call *call, const struct modeld_request *request, struct modeld_error *error);
/* 0: the call has ended; -ETIMEDOUT. What the daemon has refused (it goes, another one takes its place) is sent once more. */
_must_use_ int grpc_wait(struct modeld_call *call, uint64_t deadline_ns);
/* It is not to be sent again. */
void grpc_unwanted(struct modeld_call *call);

#endif

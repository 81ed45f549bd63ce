/*
 * infer_room.h: room in the input arena for the tensors of one message, which come one after the
 * other.
 *
 * A message whose length is known gets one lease, for all of its tensors, and they are cut from it:
 * who waits for room holds none, so two messages that came in part cannot wait for each other. Of a
 * compressed message only the length of the next tensor is known, so each has a lease: for the first
 * it waits in line; one more it gets only if it need not wait, else the message is refused.
 */
#ifndef SERVICES_INFER_ROOM_H
#define SERVICES_INFER_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/lease.h"
#include "services/infer_failure.h"
#include "services/services.h"

/* From the loop. */
struct infer_room_events {
	/* There is room now: go on with the bytes that were not taken. */
	void (*on_room)(void *data);
	/* The wait for room took longer than arena_wait_ms, or ended otherwise: the failure is set. */
	void (*on_expired)(void *data);
};

/* Where one tensor lies. */
struct infer_piece {
	struct lease *lease; /* ref; NULL: an empty tensor without room */
	uint64_t offset;     /* in the lease */
	uint64_t length;
};

struct infer_wait;

struct infer_room {
	struct services *services;		/* borrow */
	struct client *client;			/* borrow: whom it is charged to */
	struct infer_failure *failure;		/* borrow */
	const struct infer_room_events *events; /* borrow */
	void *data;				/* borrow: the events' */
	uint32_t
		numa_node; /* the owner's to set ahead of a piece: which it is rather near; 0: any */
	struct lease *lease;	    /* ref: pieces are cut from it; NULL: none yet */
	uint64_t used;		    /* bytes of it */
	bool ready;		    /* it was got while waiting and nothing is cut from it yet */
	struct infer_wait *wait;    /* own; NULL: not waiting */
	struct infer_piece *pieces; /* own, unless it is `first` */
	size_t n_pieces;
	size_t cap;
	struct infer_piece first[1]; /* most messages have one tensor */
};

/* The struct must not move. Allocates nothing. */
void infer_room_init(struct infer_room *m, struct services *x, struct client *client,
	struct infer_failure *failure, const struct infer_room_events *events, void *data);
/* Accepts a zeroed one. */
void infer_room_deinit(struct infer_room *m);
/* Forget all pieces, unless room was waited for and nothing was cut from it yet. Not while waiting. */
void infer_room_clear(struct infer_room *m);
/*
 * A piece of `length` bytes, 64-byte aligned; NULL for 0. total: bytes that all pieces from this one
 * on take at most, infer_room_total(); UINT64_MAX: not known.
 *
 * INFER_E_WAITING  there is no room; on_room follows, then ask again; or on_expired
 * INFER_E_FAILED   the failure is set
 */
_must_use_ int infer_room_cut(
	struct infer_room *m, uint64_t length, uint64_t total, uint8_t **ret_data);
/* What n pieces (1 at least) take at most when the first has `length` bytes and `left` bytes of their
 * message are to come, itself included. */
uint64_t infer_room_total(uint64_t length, uint64_t left, uint32_t n);
/* Piece i is given away, with its reference; one of no bytes, or one past the last (an empty field is
 * left out of a message), gets room now. INFER_E_FAILED */
_must_use_ int infer_room_take(struct infer_room *m, size_t i, struct infer_piece *ret_piece);
/* A lease of its own for tensor data that is in no piece; without waiting. INFER_E_FAILED */
_must_use_ int infer_room_make(
	struct infer_room *m, uint64_t length, struct infer_piece *ret_piece);

#endif

/*
 * allocation.h: memory that we make for a client: populating it, or filling it, takes long, so that
 * happens on libuv's threads, a few at a time.
 */
#ifndef HANDOFF_ALLOCATION_H
#define HANDOFF_ALLOCATION_H

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "handoff/guest.h"

struct entry;
struct handoff;
struct guest;
struct output_lease;
struct user;

/* Outputs of a worker that the memory is to begin with. */
struct allocation_content {
	struct output_lease *lease; /* ref: keeps them mapped */
	size_t n;
	struct allocation_piece {
		const void *data; /* borrow: of the lease */
		uint64_t length;
		uint64_t offset; /* in the memory */
	} pieces[];
};

/* How it ended. */
struct allocation_end {
	uint64_t seq;	     /* of the order */
	int error;	     /* 0, or -errno: there is no memory */
	struct entry *entry; /* borrow: registered */
	int fd;		     /* own: of the same memory, for the client */
	uint64_t size;
};

struct allocation_order {
	uint64_t seq;			    /* of the message that asks for it */
	uint64_t size;			    /* whole pages, charged to the guest's user */
	struct allocation_content *content; /* own; NULL: its pages are made resident instead */
	/* Called once, from the loop, unless the guest goes first. */
	void (*on_end)(struct guest *p, void *data, const struct allocation_end *end);
	void *data; /* borrow: on_end's */
};

struct allocation {
	struct handoff *handoff; /* borrow */
	struct guest *guest;	 /* borrow; NULL: gone, nobody wants it */
	struct held held;	 /* in guest.allocations */
	struct list node;	 /* in allocation_desk.waiting */
	struct user *user;	 /* charged for order.size */
	struct allocation_order order;
	int fd; /* own */
	atomic_bool stop;
	int result; /* of populating or filling */
	uv_work_t work;
};

/* Those of a handoff. */
struct allocation_desk {
	struct list waiting; /* struct allocation.node */
	uint32_t n;	     /* waiting or running */
	uint32_t n_running;
};

void allocation_desk_init(struct allocation_desk *d);
/* Begin. When this fails, the charge is undone; when the guest goes, all is given back as soon as the thread is
 * done with it. The content is the callee's either way. What has content goes first: a worker's memory
 * is held for it. -ENOMEM, -errno */
_must_use_ int allocation_start(struct guest *p, const struct allocation_order *order);
/* Refunds nothing. Accepts NULL; returns NULL. */
struct allocation_content *allocation_content_free(struct allocation_content *c);

#endif

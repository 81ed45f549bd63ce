/*
 * allocation.h: memory that we make for a client: populating it takes long, so that happens on
 * libuv's threads, a few at a time.
 */
#ifndef HANDOFF_ALLOCATION_H
#define HANDOFF_ALLOCATION_H

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "handoff/guest.h"

struct handoff;
struct guest;
struct user;

struct allocation {
	struct handoff *handoff; /* borrow */
	struct guest *guest;	 /* borrow; NULL: gone, nobody wants it */
	struct held held;	 /* in guest.allocations */
	struct list node;	 /* in allocation_desk.waiting */
	struct user *user;	 /* charged for size */
	uint64_t seq;
	uint64_t size;
	int fd; /* own */
	atomic_bool stop;
	int result; /* of populating */
	uv_work_t work;
};

/* Those of a handoff. */
struct allocation_desk {
	struct list waiting; /* struct allocation.node */
	uint32_t n;	     /* waiting or running */
	uint32_t n_running;
};

void allocation_desk_init(struct allocation_desk *d);
/* Begin; `size` (whole pages) is charged to the guest's user, which is undone when this fails. The answer
 * follows, unless the guest goes: then what it took is given back when the thread is done with it. -ENOMEM, -errno */
_must_use_ int allocation_start(struct guest *p, uint64_t seq, uint64_t size);

#endif

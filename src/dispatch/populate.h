/* populate.h: makes the input arena's pages resident ahead of need, on libuv's thread pool. */
#ifndef DISPATCH_POPULATE_H
#define DISPATCH_POPULATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "shm/arena.h"

struct populate {
	uv_loop_t *loop;     /* borrow */
	struct arena *arena; /* borrow */
	uv_work_t work;
	bool busy; /* a chunk is with the thread pool: the arena must stay */
	bool stopped;
	bool warned;
	struct arena_range range;     /* the chunk */
	int result;		      /* written by the pool's thread, read after it is done */
	unsigned quarters;	      /* announced: 1 for 25 %, ... */
	void (*on_chunk)(void *data); /* a chunk ended, well or not */
	void (*on_idle)(void *data);  /* a chunk ended after populate_stop() */
	void *data;		      /* borrow */
};

/* on_chunk and on_idle are called from the loop. */
void populate_init(struct populate *p, uv_loop_t *loop, struct arena *arena,
	void (*on_chunk)(void *data), void (*on_idle)(void *data), void *data);
/* Start the next chunk where there is one to do and none under way. */
void populate_kick(struct populate *p);
/* No more chunks. While p->busy is true, on_idle follows. */
void populate_stop(struct populate *p);

#endif

/* memory.h: what batches may name, and which worker processes map it. The public half is in pool.h. */
#ifndef POOL_MEMORY_H
#define POOL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/pool.h"
#include "shm/slots.h"

#define MEMORY_BUCKETS 256u

/* Tell a process, unless it is about to end. fd, borrowed, travels with it; -1: none does. */
typedef void memory_tell(struct worker *w, const struct wire_message *m, int fd);

/* All memory that a pool knows: embedded in it. */
struct memory_table {
	memory_tell *tell;
	struct slots segments;		     /* struct pool_memory, by id */
	struct list buckets[MEMORY_BUCKETS]; /* struct pool_memory.node: regions, by id */
	struct list all;		     /* struct pool_memory.all_node */
	struct list gone;		     /* on_gone is due */
	size_t n;
};

void memory_table_init(struct memory_table *t, memory_tell *tell);
/* Asserts that all is gone. */
void memory_table_deinit(struct memory_table *t);

/* NULL: unknown. */
struct pool_memory *memory_find(struct memory_table *t, uint64_t id);
/*
 * Make sure that w's process knows it, sending Map, or Import, where it does not. What it could not import is sent anew: not
 * before a second, then two, four ... a minute have passed, so that what nobody can have costs little.
 * CHANNEL_E_FULL, -ENOMEM, -errno: as channel_send()
 */
_must_use_ int memory_map(struct pool_memory *r, struct worker *w, uint64_t now_ns);
/* A batch that names it is in flight; or is no more. */
void memory_hold(struct pool_memory *r);
void memory_let_go(struct pool_memory *r);
/* Unmapped came from w. -EPROTO: nobody has asked for it */
_must_use_ int memory_unmapped(struct memory_table *t, struct worker *w, uint64_t id);
/* Imported came from w. -EPROTO: nobody has asked for it */
_must_use_ int memory_imported(
	struct memory_table *t, struct worker *w, uint64_t id, const char *error);
/* w's process was reaped: it maps nothing. */
void memory_table_reaped(struct memory_table *t, struct worker *w);
/* Call on_gone of those that are gone. */
void memory_table_sweep(struct memory_table *t);

#endif

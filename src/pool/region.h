/* region.h: clients' memory and which worker processes map it. The public half is in pool.h. */
#ifndef POOL_REGION_H
#define POOL_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/pool.h"

#define REGION_BUCKETS 256u

/* All regions of a pool: embedded in it. */
struct region_table {
	struct list buckets[REGION_BUCKETS]; /* struct pool_region.node, by id */
	struct list gone;		     /* on_gone is due */
	size_t n;
};

void region_table_init(struct region_table *t);
/* Asserts that all regions are gone. */
void region_table_deinit(struct region_table *t);

/* NULL: unknown. */
struct pool_region *region_find(struct region_table *t, uint64_t id);
/*
 * Make sure that w's process knows the region, sending Map where it does not.
 * CHANNEL_E_FULL, -ENOMEM, -errno: as channel_send()
 */
_must_use_ int region_map(struct pool_region *r, struct worker *w);
/* A batch that names it is in flight; or is no more. */
void region_hold(struct pool_region *r);
void region_let_go(struct pool_region *r);
/* Unmapped came from w. -EPROTO: nobody has asked for it */
_must_use_ int region_unmapped(struct region_table *t, struct worker *w, uint64_t id);
/* w's process was reaped: it maps nothing. */
void region_table_reaped(struct region_table *t, struct worker *w);
/* Call on_gone of those that are gone. */
void region_table_sweep(struct region_table *t);

#endif

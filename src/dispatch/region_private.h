/* region_private.h: what all regions of a dispatch share, for src/dispatch alone. */
#ifndef DISPATCH_REGION_PRIVATE_H
#define DISPATCH_REGION_PRIVATE_H

#include "dispatch/region.h"

struct pool;

/* Filled in by its owner. */
struct region_desk {
	struct pool *pool;	     /* borrow */
	void (*on_gone)(void *data); /* a region is gone, and counted no more; from the loop */
	void *data;		     /* borrow: on_gone's */
	uint32_t n;		     /* not gone yet */
	uint64_t last_id;
};

#endif

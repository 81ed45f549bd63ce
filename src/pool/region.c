/*
 * region.c: clients' memory. A region is in a bucket of the table from pool_region_new() until it
 * was freed and no process maps it; then in the list `gone` until the loop's next turn, so that
 * on_gone never comes from inside a call. n_mapped counts the uses[] that are not REGION_UNKNOWN.
 *
 * Daemon process, loop thread.
 */
#include "pool/region.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "pool/channel.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

/* What a worker's process has to do with a region. */
enum region_use {
	REGION_UNKNOWN,
	REGION_MAPPED,	  /* Map was sent */
	REGION_UNMAPPING, /* it is to unmap it, or to end */
};

struct pool_region {
	struct pool *pool; /* borrow */
	struct list node;  /* in a bucket of region_table, then in .gone */
	uint64_t id;
	int fd; /* borrow */
	uint64_t size;
	bool writable;
	bool freed;
	void (*on_gone)(void *data);
	void *data;	    /* borrow: on_gone's */
	uint32_t n_flights; /* batches in flight that name it; one counts several times */
	uint32_t n_mapped;
	enum region_use uses[]; /* by worker */
};

void region_table_init(struct region_table *t)
{
	for (size_t i = 0; i < REGION_BUCKETS; i++)
		list_init(&t->buckets[i]);
	list_init(&t->gone);
	t->n = 0;
}

void region_table_deinit(struct region_table *t)
{
	assert(t->n == 0);
}

static struct list *bucket_of(struct region_table *t, uint64_t id)
{
	return &t->buckets[id % REGION_BUCKETS];
}

struct pool_region *region_find(struct region_table *t, uint64_t id)
{
	list_for_each (bucket_of(t, id), node) {
		struct pool_region *r = list_entry(node, struct pool_region, node);

		if (r->id == id)
			return r;
	}
	return NULL;
}

int pool_region_new(struct pool_region **ret_region, struct pool *p, uint64_t id, int fd,
	uint64_t size, bool writable, void (*on_gone)(void *data), void *data)
{
	struct pool_region *r = calloc(1, sizeof(*r) + p->n_workers * sizeof(r->uses[0]));

	if (!r)
		return -ENOMEM;
	assert(id & WIRE_REGION_BIT);
	assert(!region_find(&p->regions, id));
	r->pool = p;
	r->id = id;
	r->fd = fd;
	r->size = size;
	r->writable = writable;
	r->on_gone = on_gone;
	r->data = data;
	list_init(&r->node);
	list_push_back(bucket_of(&p->regions, id), &r->node);
	p->regions.n++;
	*ret_region = r;
	return 0;
}

static void check_gone(struct pool_region *r)
{
	if (!r->freed || r->n_mapped > 0)
		return;
	list_remove(&r->node);
	list_push_back(&r->pool->regions.gone, &r->node);
	pool_soon(r->pool);
}

void pool_region_free(struct pool_region *r)
{
	struct pool *p = r->pool;
	const struct wire_message m = {.type = WIRE_UNMAP, .unmap = {.region = r->id}};

	assert(!r->freed);
	assert(r->n_flights == 0);
	r->freed = true;
	for (size_t i = 0; i < p->n_workers; i++) {
		if (r->uses[i] != REGION_MAPPED)
			continue;
		r->uses[i] = REGION_UNMAPPING;
		/* Others are on their way out: their end is as good as an answer. */
		if (worker_listens(&p->workers[i]))
			worker_tell(&p->workers[i], &m);
	}
	check_gone(r);
}

int region_map(struct pool_region *r, struct worker *w)
{
	const struct wire_message m = {.type = WIRE_MAP,
		.map = {.region = r->id, .size = r->size, .writable = r->writable}};
	int e;

	assert(!r->freed);
	if (r->uses[w->index] != REGION_UNKNOWN)
		return 0;
	e = channel_send(w->channel, &m, r->fd);
	if (e)
		return e;
	r->uses[w->index] = REGION_MAPPED;
	r->n_mapped++;
	return 0;
}

void region_hold(struct pool_region *r)
{
	r->n_flights++;
}

void region_let_go(struct pool_region *r)
{
	assert(r->n_flights > 0);
	r->n_flights--;
}

static void forget_use(struct pool_region *r, struct worker *w)
{
	if (r->uses[w->index] == REGION_UNKNOWN)
		return;
	r->uses[w->index] = REGION_UNKNOWN;
	r->n_mapped--;
	check_gone(r);
}

int region_unmapped(struct region_table *t, struct worker *w, uint64_t id)
{
	struct pool_region *r = region_find(t, id);

	if (!r || r->uses[w->index] != REGION_UNMAPPING)
		return -EPROTO;
	forget_use(r, w);
	return 0;
}

void region_table_reaped(struct region_table *t, struct worker *w)
{
	for (size_t i = 0; i < REGION_BUCKETS; i++) {
		list_for_each (&t->buckets[i], node)
			forget_use(list_entry(node, struct pool_region, node), w);
	}
}

void region_table_sweep(struct region_table *t)
{
	struct list *node;

	while ((node = list_first(&t->gone))) {
		struct pool_region *r = list_entry(node, struct pool_region, node);

		list_remove(node);
		t->n--;
		r->on_gone(r->data);
		free(r);
	}
}

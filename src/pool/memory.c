/*
 * memory.c: memory that batches may name: segments of the daemon's own and clients' regions. It is known
 * from pool_memory_new() until it was freed and no process maps it; then in the list `gone` until the
 * loop's next turn, so that on_gone never comes from inside a call. n_mapped counts the uses[] that are
 * not MEMORY_UNKNOWN. Segments are named by each request, so they are found by an index.
 *
 * Daemon process, loop thread.
 */
#include "pool/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "pool/channel.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

/* What a worker's process has to do with it. */
enum memory_use {
	MEMORY_UNKNOWN,
	MEMORY_MAPPED,	  /* Map was sent */
	MEMORY_UNMAPPING, /* it is to unmap it, or to end */
};

struct pool_memory {
	struct pool *pool; /* borrow */
	struct list node;  /* in a bucket of memory_table (regions), then in .gone */
	struct list all_node;
	uint64_t id;
	int fd; /* borrow */
	uint64_t size;
	bool writable;
	bool freed;
	void (*on_gone)(void *data);
	void *data;	    /* borrow: on_gone's */
	uint32_t n_flights; /* batches in flight that name it; one counts several times */
	uint32_t n_mapped;
	enum memory_use uses[]; /* by worker */
};

void memory_table_init(struct memory_table *t, memory_tell *tell)
{
	*t = (struct memory_table){.tell = tell};
	for (size_t i = 0; i < MEMORY_BUCKETS; i++)
		list_init(&t->buckets[i]);
	list_init(&t->all);
	list_init(&t->gone);
}

void memory_table_deinit(struct memory_table *t)
{
	assert(t->n == 0);
	slots_deinit(&t->segments);
}

static struct list *bucket_of(struct memory_table *t, uint64_t id)
{
	return &t->buckets[id % MEMORY_BUCKETS];
}

struct pool_memory *memory_find(struct memory_table *t, uint64_t id)
{
	if (!(id & WIRE_REGION_BIT))
		return slots_find(&t->segments, id);
	list_for_each (bucket_of(t, id), node) {
		struct pool_memory *r = list_entry(node, struct pool_memory, node);

		if (r->id == id)
			return r;
	}
	return NULL;
}

int pool_memory_new(struct pool_memory **ret_memory, struct pool *p, uint64_t id, int fd,
	uint64_t size, bool writable, void (*on_gone)(void *data), void *data)
{
	struct pool_memory *r = calloc(1, sizeof(*r) + p->n_all * sizeof(r->uses[0]));

	if (!r)
		return -ENOMEM;
	assert(id != 0 && !memory_find(&p->memories, id));
	r->pool = p;
	r->id = id;
	r->fd = fd;
	r->size = size;
	r->writable = writable;
	r->on_gone = on_gone;
	r->data = data;
	list_init(&r->node);
	if (id & WIRE_REGION_BIT) {
		list_push_back(bucket_of(&p->memories, id), &r->node);
	} else if (slots_put(&p->memories.segments, id, SLOTS_MAX, r)) {
		free(r);
		return -ENOMEM;
	}
	list_init(&r->all_node);
	list_push_back(&p->memories.all, &r->all_node);
	p->memories.n++;
	*ret_memory = r;
	return 0;
}

static void forget(struct pool_memory *r)
{
	if (!(r->id & WIRE_REGION_BIT))
		slots_remove(&r->pool->memories.segments, r->id);
	list_remove(&r->node);
	list_remove(&r->all_node);
}

static void check_gone(struct pool_memory *r)
{
	if (!r->freed || r->n_mapped > 0)
		return;
	forget(r);
	list_push_back(&r->pool->memories.gone, &r->node);
	pool_soon(r->pool);
}

void pool_memory_free(struct pool_memory *r)
{
	struct pool *p = r->pool;
	const struct wire_message m = {.type = WIRE_UNMAP, .unmap = {.id = r->id}};

	assert(!r->freed);
	assert(r->n_flights == 0);
	r->freed = true;
	for (size_t i = 0; i < p->n_workers; i++) {
		if (r->uses[i] != MEMORY_MAPPED)
			continue;
		r->uses[i] = MEMORY_UNMAPPING;
		/* The end of one that is not told any more is as good as an answer. */
		p->memories.tell(&p->workers[i], &m);
	}
	check_gone(r);
}

void pool_memory_drop(struct pool_memory *r)
{
	if (!r)
		return;
	assert(!r->freed && r->n_mapped == 0 && r->n_flights == 0);
	forget(r);
	r->pool->memories.n--;
	free(r);
}

int memory_map(struct pool_memory *r, struct worker *w)
{
	const struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = r->id, .size = r->size, .writable = r->writable}};
	int e;

	assert(!r->freed);
	if (r->uses[w->index] != MEMORY_UNKNOWN)
		return 0;
	e = channel_send(w->channel, &m, r->fd);
	if (e)
		return e;
	r->uses[w->index] = MEMORY_MAPPED;
	r->n_mapped++;
	return 0;
}

void memory_hold(struct pool_memory *r)
{
	r->n_flights++;
}

void memory_let_go(struct pool_memory *r)
{
	assert(r->n_flights > 0);
	r->n_flights--;
}

static void forget_use(struct pool_memory *r, struct worker *w)
{
	if (r->uses[w->index] == MEMORY_UNKNOWN)
		return;
	r->uses[w->index] = MEMORY_UNKNOWN;
	r->n_mapped--;
	check_gone(r);
}

int memory_unmapped(struct memory_table *t, struct worker *w, uint64_t id)
{
	struct pool_memory *r = memory_find(t, id);

	if (!r || r->uses[w->index] != MEMORY_UNMAPPING)
		return -EPROTO;
	forget_use(r, w);
	return 0;
}

void memory_table_reaped(struct memory_table *t, struct worker *w)
{
	list_for_each (&t->all, node)
		forget_use(list_entry(node, struct pool_memory, all_node), w);
}

void memory_table_sweep(struct memory_table *t)
{
	struct list *node;

	while ((node = list_first(&t->gone))) {
		struct pool_memory *r = list_entry(node, struct pool_memory, node);

		list_remove(node);
		t->n--;
		r->on_gone(r->data);
		free(r);
	}
}

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
#include <string.h>

#include "base/clock.h"
#include "pool/back_off.h"
#include "pool/channel.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define AGAIN_MAX_NS (60 * NS_PER_S)

enum memory_state {
	MEMORY_UNKNOWN,
	MEMORY_IMPORTING, /* Import was sent */
	MEMORY_MAPPED,	  /* Map was sent, or Imported came */
	MEMORY_FAILED, /* Imported came: it cannot be had. It is sent anew ahead of a batch, later */
	MEMORY_UNMAPPING, /* it is to unmap it, or to end */
};

/* What a worker's process has to do with it. */
struct memory_use {
	enum memory_state state;
	uint32_t n_failed; /* imports, in a row */
	uint64_t again_ns; /* of one that failed: not sent anew before */
};

struct pool_memory {
	struct pool *pool; /* borrow */
	struct list node;  /* in a bucket of memory_table (regions), then in .gone */
	struct list all_node;
	uint64_t id;
	int fd;			/* borrow; -1: none */
	bool on_device;		/* a GPU's: by its descriptor, or: */
	const uint64_t *handle; /* borrow; WIRE_HANDLE_WORDS */
	struct worker *tried;	/* borrow: who is to say whether it can have it; NULL: nobody */
	void (*on_tried)(void *data, int e, const char *why);
	uint64_t size;
	bool writable;
	bool freed;
	void (*on_gone)(void *data);
	void *data;	    /* borrow: on_gone's */
	uint32_t n_flights; /* batches in flight that name it; one counts several times */
	uint32_t n_mapped;
	struct memory_use uses[]; /* by worker */
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

int pool_memory_import(struct pool_memory **ret_memory, struct pool *p, uint64_t id,
	const struct pool_import *import, void (*on_gone)(void *data), void *data)
{
	int r = pool_memory_new(ret_memory, p, id, import->handle ? -1 : import->fd, import->size,
		import->writable, on_gone, data);

	if (!r) {
		(*ret_memory)->on_device = true;
		(*ret_memory)->handle = import->handle;
	}
	return r;
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
	r->tried = NULL;
	for (size_t i = 0; i < p->n_workers; i++) {
		enum memory_state *state = &r->uses[i].state;

		if (*state == MEMORY_UNKNOWN || *state == MEMORY_UNMAPPING)
			continue;
		*state = MEMORY_UNMAPPING;
		/* The end of one that is not told any more is as good as an answer. */
		p->memories.tell(&p->workers[i], &m, -1);
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

static struct wire_message announcement(const struct pool_memory *r)
{
	if (r->on_device)
		return (struct wire_message){.type = WIRE_IMPORT,
			.import = {.id = r->id,
				.size = r->size,
				.handle = r->handle,
				.n_handle = r->handle ? WIRE_HANDLE_WORDS : 0,
				.writable = r->writable}};
	return (struct wire_message){
		.type = WIRE_MAP, .map = {.id = r->id, .size = r->size, .writable = r->writable}};
}

static void note_use(struct pool_memory *r, const struct worker *w)
{
	struct memory_use *use = &r->uses[w->index];

	r->n_mapped += use->state == MEMORY_UNKNOWN;
	use->state = r->on_device ? MEMORY_IMPORTING : MEMORY_MAPPED;
}

static bool is_to_be_sent(const struct memory_use *use, uint64_t now_ns)
{
	return use->state == MEMORY_UNKNOWN ||
	       (use->state == MEMORY_FAILED && now_ns >= use->again_ns);
}

int memory_map(struct pool_memory *r, struct worker *w, uint64_t now_ns)
{
	const struct wire_message m = announcement(r);
	int e;

	assert(!r->freed);
	if (!is_to_be_sent(&r->uses[w->index], now_ns))
		return 0;
	e = channel_send(w->channel, &m, r->fd);
	if (e)
		return e;
	note_use(r, w);
	return 0;
}

/* The first who serves on the device and takes such memory. */
static struct worker *find_importer(const struct pool_memory *r, const char *device)
{
	for (size_t i = 0; i < r->pool->n_workers; i++) {
		struct worker *w = &r->pool->workers[i];

		if (worker_takes(w) && worker_imports(w) && !strcmp(w->device, device))
			return w;
	}
	return NULL;
}

int pool_memory_try(struct pool_memory *r, const char *device,
	void (*on_tried)(void *data, int e, const char *why))
{
	struct worker *w = find_importer(r, device);
	const struct wire_message m = announcement(r);

	assert(r->on_device && !r->freed && !r->tried);
	if (!w || r->uses[w->index].state != MEMORY_UNKNOWN)
		return -ENODEV;
	r->tried = w;
	r->on_tried = on_tried;
	note_use(r, w);
	/* Its end is an answer, too. */
	r->pool->memories.tell(w, &m, r->fd);
	return 0;
}

static void end_try(struct pool_memory *r, const struct worker *w, int e, const char *why)
{
	if (r->tried != w)
		return;
	r->tried = NULL;
	r->on_tried(r->data, e, why);
}

static void note_answer(struct pool_memory *r, struct memory_use *use, bool ok)
{
	use->state = ok ? MEMORY_MAPPED : MEMORY_FAILED;
	use->n_failed = ok ? 0 : use->n_failed + 1;
	use->again_ns = clock_ns() + back_off_ns(use->n_failed, AGAIN_MAX_NS, &r->pool->random);
}

int memory_imported(struct memory_table *t, struct worker *w, uint64_t id, const char *error)
{
	struct pool_memory *r = memory_find(t, id);
	struct memory_use *use = r ? &r->uses[w->index] : NULL;
	bool unmapping = r && r->on_device && use->state == MEMORY_UNMAPPING;

	if (!r || (use->state != MEMORY_IMPORTING && !unmapping))
		return -EPROTO;
	if (unmapping)
		return 0;
	note_answer(r, use, !*error);
	end_try(r, w, *error ? -EINVAL : 0, error);
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
	if (r->uses[w->index].state == MEMORY_UNKNOWN)
		return;
	r->uses[w->index] = (struct memory_use){.state = MEMORY_UNKNOWN};
	r->n_mapped--;
	check_gone(r);
}

int memory_unmapped(struct memory_table *t, struct worker *w, uint64_t id)
{
	struct pool_memory *r = memory_find(t, id);

	if (!r || r->uses[w->index].state != MEMORY_UNMAPPING)
		return -EPROTO;
	forget_use(r, w);
	return 0;
}

/* Whoever is told of a try may free that memory, and no other. */
void memory_table_reaped(struct memory_table *t, struct worker *w)
{
	list_for_each (&t->all, node) {
		struct pool_memory *r = list_entry(node, struct pool_memory, all_node);

		forget_use(r, w);
		if (r->tried == w)
			end_try(r, w, -ENODEV, "its worker has ended");
	}
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

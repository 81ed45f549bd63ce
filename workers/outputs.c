/*
 * outputs.c: the output arena's books: a hash table from batch numbers to the pieces that each
 * holds, chained through the pieces.
 *
 * Invariant: n is the number of pieces in the chains, and what the arena has allocated is exactly
 * these. Worker process, its one thread.
 */
#include "workers/outputs.h"

#include <assert.h>
#include <errno.h>

#include "base/list.h"
#include "shm/slots.h"

#define BUCKETS_FIRST 256u /* powers of two */
#define BUCKETS_MAX   65536u
#define SPARE_MAX     4096u
/* With 4 KiB pages some 0.1 ms, with cold ones five times that. */
#define POPULATE_CHUNK (256u * 1024u)

struct output {
	struct output *next; /* in a chain, or in outputs.spare */
	uint64_t batch;
	struct span span; /* own */
	void *data;	  /* into the arena */
};

/* A segment, as the daemon knows it. */
struct told {
	struct segment *segment; /* borrow: of the arena */
	bool idle;		 /* given up */
	struct list node;	 /* in outputs.made or .idle, or told */
};

struct outputs {
	struct arena *arena;	 /* own */
	struct output **buckets; /* own; chains are own, too */
	size_t n_buckets;
	size_t n;
	struct output *spare; /* own */
	size_t n_spare;
	struct slots ids;	  /* struct told, by id */
	struct list made;	  /* struct told.node: to be told as new */
	struct list idle;	  /* to be told as given up */
	struct arena_range pages; /* to be populated next; length 0: none */
};

/* --- Segments ----------------------------------------------------------------------------- */

static int on_made(void *data, struct segment *s, uint64_t *ret_id)
{
	struct outputs *o = data;
	struct told *t = calloc(1, sizeof(*t));
	int r = t ? slots_add(&o->ids, t, ret_id) : -ENOMEM;

	if (r) {
		free(t);
		return r;
	}
	t->segment = s;
	list_init(&t->node);
	list_push_back(&o->made, &t->node);
	return 0;
}

static void on_idle(void *data, struct segment *s)
{
	struct outputs *o = data;
	struct told *t = slots_find(&o->ids, segment_id(s));

	t->idle = true;
	if (list_empty(&t->node)) /* else it is new, and told first */
		list_push_back(&o->idle, &t->node);
}

static const struct arena_events events = {.on_made = on_made, .on_idle = on_idle};

struct segment *outputs_next_new(struct outputs *o)
{
	struct list *node = list_first(&o->made);
	struct told *t = node ? list_entry(node, struct told, node) : NULL;

	if (!t)
		return NULL;
	list_remove(node);
	if (t->idle)
		list_push_back(&o->idle, &t->node);
	return t->segment;
}

uint64_t outputs_next_idle(struct outputs *o)
{
	struct list *node = list_first(&o->idle);

	if (!node)
		return 0;
	list_remove(node);
	return segment_id(list_entry(node, struct told, node)->segment);
}

void outputs_tick(struct outputs *o, uint64_t now_ns)
{
	arena_tick(o->arena, now_ns);
}

struct segment *outputs_remove(struct outputs *o, uint64_t id)
{
	struct told *t = slots_find(&o->ids, id);
	struct segment *s;

	if (!t || !t->idle || !list_empty(&t->node))
		return NULL;
	s = arena_remove(o->arena, t->segment);
	slots_remove(&o->ids, id);
	free(t);
	return s;
}

/* --- Life --------------------------------------------------------------------------------- */

int outputs_new(struct outputs **ret_outputs, const struct arena_options *options)
{
	_cleanup_(outputs_freep) struct outputs *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	list_init(&o->made);
	list_init(&o->idle);
	o->buckets = calloc(BUCKETS_FIRST, sizeof(struct output *));
	if (!o->buckets)
		return -ENOMEM;
	o->n_buckets = BUCKETS_FIRST;
	r = arena_new(&o->arena, options, &events, o);
	if (r)
		return r;
	*ret_outputs = steal_ptr(o);
	return 0;
}

static void free_chain(struct output *chain)
{
	while (chain) {
		struct output *next = chain->next;

		free(chain);
		chain = next;
	}
}

struct outputs *outputs_free(struct outputs *o)
{
	if (!o)
		return NULL;
	for (size_t i = 0; i < o->n_buckets; i++)
		free_chain(o->buckets[i]);
	free_chain(o->spare);
	free(o->buckets);
	arena_free(o->arena);
	for (uint32_t i = 0; i < o->ids.cap; i++)
		free(o->ids.items[i].item);
	slots_deinit(&o->ids);
	free(o);
	return NULL;
}

static size_t bucket_of(uint64_t batch, size_t n_buckets)
{
	return (size_t)((batch * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (n_buckets - 1);
}

/* Chains grow longer where there is no memory for more of them: slower, not wrong. */
static void grow_table(struct outputs *o)
{
	size_t n = o->n_buckets * 2;
	struct output **buckets;

	if (o->n < o->n_buckets || n > BUCKETS_MAX)
		return;
	buckets = calloc(n, sizeof(struct output *));
	if (!buckets)
		return;
	for (size_t i = 0; i < o->n_buckets; i++) {
		for (struct output *p = o->buckets[i], *next; p; p = next) {
			struct output **to = &buckets[bucket_of(p->batch, n)];

			next = p->next;
			p->next = *to;
			*to = p;
		}
	}
	free(o->buckets);
	o->buckets = buckets;
	o->n_buckets = n;
}

static struct output *take(struct outputs *o)
{
	struct output *p = o->spare;

	if (!p)
		return malloc(sizeof(*p));
	o->spare = p->next;
	o->n_spare--;
	return p;
}

static void put(struct outputs *o, struct output *p)
{
	if (o->n_spare >= SPARE_MAX) {
		free(p);
		return;
	}
	p->next = o->spare;
	o->spare = p;
	o->n_spare++;
}

/* Memory whose pages are there: whoever writes it must not find that the host has none. */
static int alloc_resident(struct outputs *o, uint64_t length, struct span *ret_span)
{
	int r = arena_alloc(o->arena, length, ret_span);
	int released;

	if (!r && arena_missing(o->arena, ret_span) > 0) {
		r = arena_populate_span(o->arena, ret_span);
		released = r ? arena_release(o->arena, ret_span) : 0;
		assert(released == 0);
		(void)released;
	}
	switch (r) {
	case ARENA_E_FULL:
		return OUTPUTS_E_FULL;
	case ARENA_E_TOO_LARGE:
		return OUTPUTS_E_LARGE;
	case ARENA_E_MEMORY:
		return OUTPUTS_E_MEMORY;
	default:
		return r;
	}
}

int outputs_alloc(struct outputs *o, uint64_t batch, uint64_t length, struct output **ret_output)
{
	struct output *p = take(o);
	struct output **bucket;
	int r;

	if (!p)
		return -ENOMEM;
	r = alloc_resident(o, length, &p->span);
	if (r) {
		put(o, p);
		return r;
	}
	p->data = arena_data(o->arena, &p->span);
	p->batch = batch;
	grow_table(o);
	bucket = &o->buckets[bucket_of(batch, o->n_buckets)];
	p->next = *bucket;
	*bucket = p;
	o->n++;
	*ret_output = p;
	return 0;
}

/* Off its chain, of which *at is a link. */
static void give_back(struct outputs *o, struct output **at)
{
	struct output *p = *at;
	int r = arena_release(o->arena, &p->span);

	assert(r == 0);
	(void)r;
	*at = p->next;
	o->n--;
	put(o, p);
}

void outputs_give_back(struct outputs *o, struct output *output)
{
	struct output **at = &o->buckets[bucket_of(output->batch, o->n_buckets)];

	while (*at != output)
		at = &(*at)->next;
	give_back(o, at);
}

void outputs_release(struct outputs *o, uint64_t batch)
{
	struct output **at = &o->buckets[bucket_of(batch, o->n_buckets)];

	while (*at) {
		if ((*at)->batch == batch)
			give_back(o, at);
		else
			at = &(*at)->next;
	}
}

bool outputs_holds(const struct outputs *o, uint64_t batch)
{
	const struct output *p = o->buckets[bucket_of(batch, o->n_buckets)];

	while (p && p->batch != batch)
		p = p->next;
	return p != NULL;
}

void *output_data(const struct output *output)
{
	return output->data;
}

struct span output_span(const struct output *output)
{
	return output->span;
}

const struct arena *outputs_arena(const struct outputs *o)
{
	return o->arena;
}

bool outputs_wants_pages(struct outputs *o)
{
	if (o->pages.length == 0)
		arena_populate_next(o->arena, POPULATE_CHUNK, &o->pages);
	return o->pages.length > 0;
}

void outputs_populate(struct outputs *o)
{
	arena_populate_done(o->arena, &o->pages, arena_populate_run(&o->pages));
	o->pages.length = 0;
}

/*
 * outputs.c: the output arena's books: holds, each a chain of the pieces that it has, and a hash table of
 * those that have a number.
 *
 * Invariant: what the arena has allocated is exactly the pieces of all holds. Worker process, any thread,
 * under the lock of whoever owns it.
 */
#include "workers/outputs.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/list.h"
#include "shm/slots.h"

#define BUCKETS_FIRST 256u /* powers of two */
#define BUCKETS_MAX   65536u
#define SPARE_MAX     4096u
/* With 4 KiB pages some 0.1 ms, with cold ones five times that. */
#define POPULATE_CHUNK (256u * 1024u)

struct output {
	struct output *next; /* in hold.outputs, or in outputs.spare */
	struct hold *hold;
	struct span span; /* own */
	void *data;	  /* into the arena */
};

struct hold {
	struct hold *next;	/* in a bucket, or in outputs.spare_holds */
	struct output *outputs; /* own */
	uint64_t number;	/* 0: none yet */
};

/* A segment, as the daemon knows it. */
struct told {
	struct segment *segment; /* borrow: of the arena */
	bool idle;		 /* given up */
	struct list node;	 /* in outputs.made or .idle, or told */
};

struct outputs {
	struct arena *arena;   /* own */
	struct hold **buckets; /* own, and so are the chains: by number */
	size_t n_buckets;
	size_t n_numbered; /* in them */
	size_t n_holds;	   /* with those that have no number */
	size_t holds_max;
	uint64_t last_number;
	struct output *spare;	  /* own */
	struct hold *spare_holds; /* own */
	size_t n_spare;
	size_t n_spare_holds;
	struct slots ids;	  /* struct told, by id */
	struct list made;	  /* struct told.node: to be told as new */
	struct list idle;	  /* to be told as given up */
	struct arena_range pages; /* to be populated next; length 0: none */
	pthread_cond_t given;	  /* something was given back, or waits end */
	uint64_t n_given;	  /* so often */
	uint64_t n_vain;	  /* n_given when the last wait was in vain, and one */
	bool ended;		  /* there are no waits any more */
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

static void init_condition(pthread_cond_t *c)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attributes);
	pthread_condattr_destroy(&attributes);
}

int outputs_new(
	struct outputs **ret_outputs, const struct arena_options *options, uint32_t holds_max)
{
	_cleanup_(outputs_freep) struct outputs *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	init_condition(&o->given);
	list_init(&o->made);
	list_init(&o->idle);
	o->holds_max = holds_max;
	o->buckets = calloc(BUCKETS_FIRST, sizeof(struct hold *));
	if (!o->buckets)
		return -ENOMEM;
	o->n_buckets = BUCKETS_FIRST;
	r = arena_new(&o->arena, options, &events, o);
	if (r)
		return r;
	*ret_outputs = steal_ptr(o);
	return 0;
}

static void free_outputs(struct output *chain)
{
	while (chain) {
		struct output *next = chain->next;

		free(chain);
		chain = next;
	}
}

static void free_holds(struct hold *chain)
{
	while (chain) {
		struct hold *next = chain->next;

		free_outputs(chain->outputs);
		free(chain);
		chain = next;
	}
}

struct outputs *outputs_free(struct outputs *o)
{
	if (!o)
		return NULL;
	assert(o->n_holds == o->n_numbered);
	for (size_t i = 0; i < o->n_buckets; i++)
		free_holds(o->buckets[i]);
	free_holds(o->spare_holds);
	free_outputs(o->spare);
	free(o->buckets);
	arena_free(o->arena);
	for (uint32_t i = 0; i < o->ids.cap; i++)
		free(o->ids.items[i].item);
	slots_deinit(&o->ids);
	pthread_cond_destroy(&o->given);
	free(o);
	return NULL;
}

/* --- Numbers ------------------------------------------------------------------------------ */

static struct hold **bucket_of(const struct outputs *o, uint64_t number)
{
	return &o->buckets[number & (o->n_buckets - 1)];
}

static void enter(struct outputs *o, struct hold *h)
{
	struct hold **to = bucket_of(o, h->number);

	h->next = *to;
	*to = h;
}

/* Chains grow longer where there is no memory for more of them: slower, not wrong. */
static void grow_table(struct outputs *o)
{
	size_t n_before = o->n_buckets;
	struct hold **before = o->buckets, **buckets;

	if (o->n_numbered < n_before || 2 * n_before > BUCKETS_MAX)
		return;
	buckets = calloc(2 * n_before, sizeof(struct hold *));
	if (!buckets)
		return;
	o->buckets = buckets;
	o->n_buckets = 2 * n_before;
	for (size_t i = 0; i < n_before; i++) {
		for (struct hold *h = before[i], *next; h; h = next) {
			next = h->next;
			enter(o, h);
		}
	}
	free(before);
}

uint64_t outputs_number(struct outputs *o, struct hold *hold)
{
	if (hold->number > 0)
		return hold->number;
	grow_table(o);
	hold->number = ++o->last_number;
	enter(o, hold);
	o->n_numbered++;
	return hold->number;
}

/* Out of its bucket, of which *at is a link. */
static struct hold *forget(struct outputs *o, struct hold **at)
{
	struct hold *h = *at;

	*at = h->next;
	o->n_numbered--;
	return h;
}

/* --- Holds and what they have ------------------------------------------------------------- */

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

int outputs_hold_new(struct outputs *o, struct hold **ret_hold)
{
	struct hold *h = o->spare_holds;

	if (o->n_holds >= o->holds_max)
		return OUTPUTS_E_HOLDS;
	if (h) {
		o->spare_holds = h->next;
		o->n_spare_holds--;
	} else {
		h = malloc(sizeof(*h));
	}
	if (!h)
		return -ENOMEM;
	*h = (struct hold){0};
	o->n_holds++;
	*ret_hold = h;
	return 0;
}

bool hold_is_empty(const struct hold *hold)
{
	return !hold->outputs;
}

static void put_hold(struct outputs *o, struct hold *h)
{
	o->n_holds--;
	if (o->n_spare_holds >= SPARE_MAX) {
		free(h);
		return;
	}
	h->next = o->spare_holds;
	o->spare_holds = h;
	o->n_spare_holds++;
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

int outputs_alloc(struct outputs *o, struct hold *hold, uint64_t length, struct output **ret_output)
{
	struct output *p = take(o);
	int r;

	if (!p)
		return -ENOMEM;
	assert(hold->number == 0);
	r = alloc_resident(o, length, &p->span);
	if (r) {
		put(o, p);
		return r;
	}
	p->data = arena_data(o->arena, &p->span);
	p->hold = hold;
	p->next = hold->outputs;
	hold->outputs = p;
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
	put(o, p);
}

static void tell_waiting(struct outputs *o)
{
	o->n_given++;
	pthread_cond_broadcast(&o->given);
}

void outputs_give_back(struct outputs *o, struct output *output)
{
	struct output **at = &output->hold->outputs;

	while (*at != output)
		at = &(*at)->next;
	give_back(o, at);
	tell_waiting(o);
}

static void give_back_all(struct outputs *o, struct hold *h)
{
	tell_waiting(o);
	while (h->outputs)
		give_back(o, &h->outputs);
	put_hold(o, h);
}

void outputs_drop(struct outputs *o, struct hold *hold)
{
	struct hold **at;

	if (hold->number > 0) {
		at = bucket_of(o, hold->number);
		while (*at != hold)
			at = &(*at)->next;
		forget(o, at);
	}
	give_back_all(o, hold);
}

int outputs_release(struct outputs *o, uint64_t number)
{
	struct hold **at = bucket_of(o, number);

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	if (!*at)
		return -ENOENT;
	give_back_all(o, forget(o, at));
	return 0;
}

int outputs_wait(
	struct outputs *o, const struct hold *hold, pthread_mutex_t *lock, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
	uint64_t n_before = o->n_given;
	int r = 0;

	if (o->n_holds == (hold != NULL) || o->n_vain == n_before + 1)
		return -ETIMEDOUT;
	while (!o->ended && !r && o->n_given == n_before)
		r = pthread_cond_timedwait(&o->given, lock, &until);
	if (o->ended)
		return -ECANCELED;
	if (o->n_given != n_before)
		return 0;
	o->n_vain = n_before + 1;
	return -ETIMEDOUT;
}

void outputs_end_waits(struct outputs *o)
{
	o->ended = true;
	pthread_cond_broadcast(&o->given);
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

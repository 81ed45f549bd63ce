/*
 * arena.c: a set of segments.
 *
 * The first member is made with the arena and stays. It counts against the limit with what is in use of it, others with
 * their whole size: so one span may be as large as the limit, though it does not fit into the first. A member that is given
 * up is `leaving`: nothing is cut from it, it counts no more, and it is kept only until its owner says that nobody maps it.
 * When the limit stands in the way, idle members leave at once.
 * That a member is idle is seen by arena_tick() alone: `touched` says that something was cut from it since the last time.
 * So cutting and giving back read no clock.
 *
 * Invariants: members[0] is never leaving; a leaving member has no spans and is not being populated; at most one member is
 * being populated. Daemon process (input) or worker process (output), on the owner's thread.
 */
#include "shm/arena.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "shm/slots.h"

/* How often idle members are looked for, in the time that makes them leave. */
#define TICKS 4u
/* An arena of fewer segments than this knows no nodes. */
#define NODES_MIN 4u

struct member {
	struct segment *segment; /* own */
	bool large;		 /* of one span's size, above segment_bytes */
	uint32_t numa_node;	 /* that it is near; 0: any */
	bool touched;
	bool leaving;
	uint64_t idle_since_ns; /* 0: not known to be idle */
};

struct arena {
	struct arena_options options;
	const struct arena_events *events; /* borrow */
	void *data;			   /* borrow: of events */
	struct member **members;	   /* own, and what they point to; in the order made */
	uint32_t n;
	uint32_t cap;
	struct slots by_id; /* members */
	bool divided; /* some spans are, or were, to be near another node than the usual one */
	const struct segment *busy; /* borrow: being populated */
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- Members --------------------------------------------------------------------------------- */

static struct member *member_free(struct member *m)
{
	if (!m)
		return NULL;
	segment_free(m->segment);
	free(m);
	return NULL;
}
DEFINE_CLEANUP(struct member *, member_free)

static int make_room(struct arena *a)
{
	uint32_t cap = a->cap ? a->cap * 2 : 8;
	struct member **members;

	if (a->n < a->cap)
		return 0;
	members = realloc(a->members, cap * sizeof(struct member *));
	if (!members)
		return -ENOMEM;
	a->members = members;
	a->cap = cap;
	return 0;
}

static int member_new(
	struct member **ret_member, struct arena *a, uint64_t size, uint32_t numa_node)
{
	const struct segment_options options = {.name = a->options.name,
		.size = size,
		.pages = a->options.pages,
		.numa_node = numa_node};
	_cleanup_(member_freep) struct member *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = segment_new(&m->segment, &options);
	if (r)
		return r;
	m->large = size > a->options.segment_bytes;
	m->numa_node = numa_node;
	*ret_member = steal_ptr(m);
	return 0;
}

static void leave(struct arena *a, struct member *m)
{
	assert(segment_n_spans(m->segment) == 0);
	m->leaving = true;
	a->events->on_idle(a->data, m->segment);
}

/* One more, of `size` bytes. */
static int add_member(
	struct arena *a, uint64_t size, uint32_t numa_node, struct member **ret_member)
{
	_cleanup_(member_freep) struct member *m = NULL;
	uint64_t id = 0;
	int r = make_room(a);

	if (!r)
		r = member_new(&m, a, size, numa_node);
	if (!r)
		r = a->events->on_made(a->data, m->segment, &id);
	if (r)
		return r;
	segment_set_id(m->segment, id);
	r = slots_put(&a->by_id, id, SLOTS_MAX, m);
	*ret_member = a->members[a->n++] = steal_ptr(m);
	if (r && a->n > 1)
		leave(a, *ret_member);
	return r;
}

static bool may_leave(const struct arena *a, const struct member *m)
{
	return m != a->members[0] && !m->leaving && segment_n_spans(m->segment) == 0 &&
	       m->segment != a->busy;
}

struct segment *arena_remove(struct arena *a, struct segment *s)
{
	uint32_t i = 0;

	while (a->members[i]->segment != s)
		i++;
	assert(a->members[i]->leaving);
	slots_remove(&a->by_id, segment_id(s));
	free(a->members[i]);
	a->n--;
	memmove(&a->members[i], &a->members[i + 1], (a->n - i) * sizeof(a->members[0]));
	return s;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int populate_first(struct arena *a, struct segment *s)
{
	uint64_t offset;
	uint64_t length;
	int r;

	if (!segment_populate_next(s, a->options.populate_first, UINT64_MAX, &offset, &length))
		return 0;
	r = segment_populate_run(s, offset, length);
	segment_populate_done(s, r);
	return r;
}

int arena_new(struct arena **ret_arena, const struct arena_options *options,
	const struct arena_events *events, void *data)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	struct member *first;
	int r;

	if (options->limit == 0 || options->segment_bytes == 0)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->options = *options;
	a->options.segment_bytes = min_u64(options->segment_bytes, options->limit);
	a->events = events;
	a->data = data;
	r = add_member(a, a->options.segment_bytes, options->numa_node, &first);
	if (!r)
		r = populate_first(a, first->segment);
	if (r)
		return r;
	*ret_arena = steal_ptr(a);
	return 0;
}

struct arena *arena_free(struct arena *a)
{
	if (!a)
		return NULL;
	for (uint32_t i = 0; i < a->n; i++)
		member_free(a->members[i]);
	free(a->members);
	slots_deinit(&a->by_id);
	free(a);
	return NULL;
}

/* --- Counting -------------------------------------------------------------------------------- */

uint64_t arena_limit(const struct arena *a)
{
	return a->options.limit;
}

uint64_t arena_used(const struct arena *a)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < a->n; i++)
		used += segment_used(a->members[i]->segment);
	return used;
}

uint64_t arena_n_spans(const struct arena *a)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < a->n; i++)
		n += segment_n_spans(a->members[i]->segment);
	return n;
}

uint32_t arena_n_segments(const struct arena *a)
{
	return a->n;
}

struct arena_memory arena_memory(const struct arena *a)
{
	struct arena_memory memory = {.n_segments = a->n};

	for (uint32_t i = 0; i < a->n; i++) {
		memory.mapped += segment_size(a->members[i]->segment);
		memory.resident += segment_resident(a->members[i]->segment);
	}
	return memory;
}

/* Bytes that the limit leaves for a span in the first member, or for one more member. */
static uint64_t room(const struct arena *a)
{
	uint64_t sum = segment_used(a->members[0]->segment);

	for (uint32_t i = 1; i < a->n; i++) {
		if (!a->members[i]->leaving)
			sum += segment_size(a->members[i]->segment);
	}
	return a->options.limit - min_u64(sum, a->options.limit);
}

/* --- Spans ----------------------------------------------------------------------------------- */

static struct member *member_of(const struct arena *a, const struct span *span)
{
	return slots_find(&a->by_id, span->arena);
}

static int cut(struct member *m, uint64_t length, struct span *ret_span)
{
	int r = segment_alloc(m->segment, length, ret_span);

	if (!r)
		m->touched = true;
	return r;
}

/* Which members a span may be cut from. */
struct wish {
	bool large;
	bool anywhere;
	uint32_t numa_node; /* unless anywhere */
};

static bool suits(const struct member *m, const struct wish *w)
{
	return !m->leaving && m->large == w->large && (w->anywhere || m->numa_node == w->numa_node);
}

/* From the first of the members that suits and has room; ARENA_E_FULL, ARENA_E_MEMORY: none has, -ENOMEM. */
static int cut_from_any(
	struct arena *a, const struct wish *w, uint64_t length, struct span *ret_span)
{
	int result = ARENA_E_FULL;

	for (uint32_t i = 0; i < a->n; i++) {
		struct member *m = a->members[i];
		int r;

		if (!suits(m, w) || (i == 0 && a->n > 1 && length > room(a)))
			continue;
		r = cut(m, length, ret_span);
		if (r <= 0)
			return r;
		if (r == SEGMENT_E_MEMORY)
			result = ARENA_E_MEMORY;
	}
	return result;
}

/* Idle members leave until there are `size` bytes of room. */
static bool make_way(struct arena *a, uint64_t size)
{
	/* From the end: on_idle may remove it. */
	for (uint32_t i = a->n; i-- > 1 && room(a) < size;) {
		if (may_leave(a, a->members[i]))
			leave(a, a->members[i]);
	}
	return room(a) >= size;
}

static bool may_grow(const struct arena *a)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n; i++)
		n += !a->members[i]->leaving;
	return a->options.max_segments == 0 || n < a->options.max_segments;
}

/* From a new member. */
static int cut_from_new(struct arena *a, uint32_t numa_node, uint64_t length, struct span *ret_span)
{
	struct member *m;
	int r;

	if (!make_way(a, max_u64(length, 1)) || !may_grow(a))
		return ARENA_E_FULL;
	r = add_member(
		a, max_u64(length, min_u64(a->options.segment_bytes, room(a))), numa_node, &m);
	if (r)
		return r;
	r = cut(m, length, ret_span);
	assert(r <= 0); /* it is empty */
	return r;
}

/* From those that are near, and from one more. That it be near makes none leave that others will use again. */
static int cut_near(struct arena *a, const struct wish *w, uint64_t length, struct span *ret_span)
{
	const struct wish far = {.large = w->large, .anywhere = true};
	int r = cut_from_any(a, w, length, ret_span);

	if (r != ARENA_E_FULL)
		return r;
	if (a->divided && room(a) < length && !cut_from_any(a, &far, length, ret_span))
		return 0;
	return cut_from_new(a, w->numa_node, length, ret_span);
}

/* Large ones are for small spans only where there is nothing else. */
static int cut_from_the_rest(struct arena *a, bool large, uint64_t length, struct span *ret_span)
{
	int r = cut_from_any(a, &(struct wish){.large = large, .anywhere = true}, length, ret_span);

	if (r != ARENA_E_FULL || large)
		return r;
	return cut_from_any(a, &(struct wish){.large = true, .anywhere = true}, length, ret_span);
}

/* A segment for each node would leave the others none, in a small one. */
static bool may_be_divided(const struct arena *a)
{
	return a->options.limit / NODES_MIN >= a->options.segment_bytes;
}

int arena_alloc_near(struct arena *a, uint64_t length, uint32_t numa_node, struct span *ret_span)
{
	const struct wish w = {
		.large = length > a->options.segment_bytes,
		.numa_node = may_be_divided(a) ? numa_node : a->options.numa_node,
	};
	int r, far;

	if (length > a->options.limit)
		return ARENA_E_TOO_LARGE;
	a->divided |= w.numa_node != a->options.numa_node;
	r = cut_near(a, &w, length, ret_span);
	if (!r || (r != ARENA_E_FULL && !a->divided))
		return r;
	/* Better far than not at all, whatever the reason. */
	far = cut_from_the_rest(a, w.large, length, ret_span);
	return far == ARENA_E_FULL ? r : far;
}

int arena_alloc(struct arena *a, uint64_t length, struct span *ret_span)
{
	return arena_alloc_near(a, length, a->options.numa_node, ret_span);
}

int arena_release(struct arena *a, const struct span *span)
{
	struct member *m = member_of(a, span);

	return m ? segment_release(m->segment, span) : -ESTALE;
}

void *arena_data(struct arena *a, const struct span *span)
{
	struct member *m = member_of(a, span);

	return m ? segment_data(m->segment, span) : NULL;
}

/* --- Pages ----------------------------------------------------------------------------------- */

uint64_t arena_missing(const struct arena *a, const struct span *span)
{
	struct member *m = member_of(a, span);

	return m ? segment_missing(m->segment, span) : 0;
}

int arena_populate_span(struct arena *a, const struct span *span)
{
	struct member *m = member_of(a, span);

	return m && segment_populate_span(m->segment, span) == 0 ? 0 : ARENA_E_MEMORY;
}

/* As much ahead as is in use, within bounds: who uses little costs little. */
static uint64_t goal_ahead(const struct arena *a, const struct segment *s)
{
	uint64_t frontier = segment_frontier(s);
	uint64_t ahead = max_u64(frontier, a->options.populate_first);

	return frontier ? frontier + min_u64(ahead, a->options.populate_ahead) : 0;
}

static bool populate_up_to(struct arena *a, bool ahead, uint64_t max, struct arena_range *ret_range)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct segment *s = a->members[i]->segment;
		uint64_t goal = ahead ? goal_ahead(a, s) : segment_frontier(s);

		if (a->members[i]->leaving || !segment_populate_next(s, goal, max,
						      &ret_range->offset, &ret_range->length))
			continue;
		a->busy = ret_range->segment = s;
		return true;
	}
	return false;
}

bool arena_populate_next(struct arena *a, uint64_t max_bytes, struct arena_range *ret_range)
{
	return !a->busy && (populate_up_to(a, false, max_bytes, ret_range) ||
				   populate_up_to(a, true, max_bytes, ret_range));
}

int arena_populate_run(const struct arena_range *range)
{
	return segment_populate_run(range->segment, range->offset, range->length);
}

void arena_populate_done(struct arena *a, const struct arena_range *range, int result)
{
	assert(a->busy == range->segment);
	segment_populate_done(range->segment, result);
	a->busy = NULL;
}

/* --- Giving up ------------------------------------------------------------------------------- */

/* When it will be time to leave; now or earlier: it is. */
static uint64_t look_at(struct arena *a, struct member *m, uint64_t now_ns)
{
	bool idle = may_leave(a, m) && !m->touched;

	m->touched = false;
	if (!idle)
		m->idle_since_ns = 0;
	else if (m->idle_since_ns == 0)
		m->idle_since_ns = now_ns;
	return idle ? m->idle_since_ns + a->options.idle_ns : UINT64_MAX;
}

uint64_t arena_tick(struct arena *a, uint64_t now_ns)
{
	uint64_t next_ns = now_ns + a->options.idle_ns / TICKS + 1;

	/* From the end: on_idle may remove it. */
	for (uint32_t i = a->n; i-- > 1;) {
		uint64_t due_ns = look_at(a, a->members[i], now_ns);

		if (due_ns <= now_ns)
			leave(a, a->members[i]);
		else
			next_ns = min_u64(next_ns, due_ns);
	}
	return a->n > 1 ? next_ns : UINT64_MAX;
}

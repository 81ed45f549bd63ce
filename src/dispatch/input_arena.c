/*
 * input_arena.c: from a segment that is idle to memory that is the host's again: workers that know it
 * unmap it, then its pages are freed, which takes long where they are many, on a thread of the pool's.
 *
 * Daemon process; free_segment() on libuv's threads, the rest on the loop's.
 */
#include "dispatch/input_arena.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

struct input_segment {
	struct input_arena *arena;  /* borrow */
	struct segment *segment;    /* the arena's; own after it has left */
	struct pool_memory *memory; /* own; NULL: freed */
	struct list node;	    /* in input_arena.segments */
	uv_work_t work;
};

/* --- Leaving --------------------------------------------------------------------------------- */

static void free_segment(uv_work_t *work)
{
	struct input_segment *s = work->data;

	s->segment = segment_free(s->segment);
}

static void on_freed(uv_work_t *work, int status)
{
	struct input_segment *s = work->data;
	struct input_arena *a = s->arena;

	list_remove(&s->node);
	free(s);
	a->n_leaving--;
	a->on_left(a->data);
}

/* Nobody maps it any more. */
static void on_gone(void *data)
{
	struct input_segment *s = data;
	int r;

	log_debug("input segment given up", "segment=%#" PRIx64 " bytes=%" PRIu64,
		segment_id(s->segment), segment_size(s->segment));
	slots_remove(&s->arena->ids, segment_id(s->segment));
	arena_remove(s->arena->arena, s->segment);
	s->work.data = s;
	r = uv_queue_work(s->arena->loop, &s->work, free_segment, on_freed);
	assert(r == 0); /* fails only without a function */
	(void)r;
}

/* --- The arena's events ---------------------------------------------------------------------- */

static void on_idle(void *data, struct segment *segment)
{
	struct input_arena *a = data;
	struct input_segment *s = slots_find(&a->ids, segment_id(segment));

	a->n_leaving++;
	pool_memory_free(steal_ptr(s->memory));
}

static int on_made(void *data, struct segment *segment, uint64_t *ret_id)
{
	struct input_arena *a = data;
	struct input_segment *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->arena = a;
	s->segment = segment;
	r = slots_add(&a->ids, s, ret_id);
	if (!r)
		r = pool_memory_new(&s->memory, a->pool, *ret_id, segment_fd(segment),
			segment_size(segment), false, on_gone, s);
	if (r) {
		slots_remove(&a->ids, *ret_id);
		free(s);
		return r;
	}
	list_init(&s->node);
	list_push_back(&a->segments, &s->node);
	return 0;
}

/* --- Life ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
	struct input_arena *a = container_of(timer, struct input_arena, timer);
	uint64_t now_ns = clock_ns();
	uint64_t next_ns = arena_tick(a->arena, now_ns);

	if (next_ns != UINT64_MAX)
		uv_timer_start(timer, on_timer, clock_ms_until(now_ns, next_ns), 0);
}

void input_arena_kick(struct input_arena *a)
{
	if (arena_n_segments(a->arena) > 1 && !uv_is_active((uv_handle_t *)&a->timer))
		uv_timer_start(&a->timer, on_timer, 0, 0);
}

int input_arena_init(struct input_arena *a, uv_loop_t *loop, struct pool *pool,
	const struct arena_options *options, void (*on_left)(void *data), void *data)
{
	static const struct arena_events events = {.on_made = on_made, .on_idle = on_idle};

	a->loop = loop;
	a->pool = pool;
	a->on_left = on_left;
	a->data = data;
	list_init(&a->segments);
	return arena_new(&a->arena, options, &events, a);
}

void input_arena_deinit(struct input_arena *a)
{
	struct list *node;

	assert(a->n_leaving == 0);
	if (!a->loop)
		return;
	while ((node = list_first(&a->segments))) {
		struct input_segment *s = list_entry(node, struct input_segment, node);

		list_remove(node);
		pool_memory_drop(s->memory);
		free(s);
	}
	a->arena = arena_free(a->arena);
	slots_deinit(&a->ids);
}

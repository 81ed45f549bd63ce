/* outputs_test.c: who holds what of the output arena. */
#include "workers/outputs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/support/failalloc.h"

#define SIZE (1024u * 1024u)

#define HOLDS_MAX 8192u

static struct outputs *make(uint64_t size, uint64_t ahead)
{
	struct arena_options options = {
		.name = "output", .limit = size, .segment_bytes = size, .populate_ahead = ahead};
	struct outputs *o;

	cr_assert_eq(outputs_new(&o, &options, HOLDS_MAX), 0);
	return o;
}

static struct hold *hold(struct outputs *o)
{
	struct hold *h;

	cr_assert_eq(outputs_hold_new(o, &h), 0);
	return h;
}

Test(outputs, release_frees_a_hold_and_no_other)
{
	struct outputs *o = make(SIZE, 0);
	struct hold *first = hold(o), *second = hold(o);
	struct output *p[3];
	uint64_t number;

	cr_assert_eq(outputs_alloc(o, first, 100, &p[0]), 0);
	cr_assert_eq(outputs_alloc(o, second, 300, &p[2]), 0);
	cr_assert_eq(outputs_alloc(o, first, 200, &p[1]), 0);
	memset(output_data(p[2]), 7, 300);
	number = outputs_number(o, first);
	cr_assert_eq(outputs_number(o, first), number, "always the same");
	cr_assert_gt(outputs_number(o, second), number);
	cr_assert_eq(outputs_release(o, number), 0);
	cr_assert_eq(arena_n_spans(outputs_arena(o)), 1);
	cr_assert_eq(((char *)output_data(p[2]))[299], 7);
	cr_assert_eq(outputs_release(o, number), -ENOENT);
	cr_assert_eq(outputs_release(o, outputs_number(o, second)), 0);
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_free(o);
}

Test(outputs, one_can_be_given_back)
{
	struct outputs *o = make(SIZE, 0);
	struct hold *h = hold(o);
	struct output *first, *second;

	cr_assert(hold_is_empty(h));
	cr_assert_eq(outputs_alloc(o, h, 64, &first), 0);
	cr_assert_eq(outputs_alloc(o, h, 64, &second), 0);
	outputs_give_back(o, first);
	cr_assert_not(hold_is_empty(h));
	cr_assert_eq(output_span(second).length, 64);
	outputs_give_back(o, second);
	cr_assert(hold_is_empty(h));
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_drop(o, h);
	outputs_free(o);
}

Test(outputs, a_hold_is_dropped_with_and_without_a_number)
{
	struct outputs *o = make(SIZE, 0);
	struct hold *without = hold(o), *with = hold(o);
	struct output *p;
	uint64_t number;

	cr_assert_eq(outputs_alloc(o, without, 64, &p), 0);
	cr_assert_eq(outputs_alloc(o, with, 64, &p), 0);
	number = outputs_number(o, with);
	outputs_drop(o, without);
	cr_assert_eq(arena_n_spans(outputs_arena(o)), 1);
	outputs_drop(o, with);
	cr_assert_eq(arena_n_spans(outputs_arena(o)), 0);
	cr_assert_eq(outputs_release(o, number), -ENOENT);
	outputs_free(o);
}

Test(outputs, limits)
{
	struct outputs *o = make(4096, 0);
	struct hold *h = hold(o), *other = hold(o);
	struct output *p, *untouched = NULL;

	cr_assert_eq(outputs_alloc(o, h, arena_limit(outputs_arena(o)) + 1, &untouched),
		OUTPUTS_E_LARGE);
	cr_assert_eq(outputs_alloc(o, h, arena_limit(outputs_arena(o)), &p), 0);
	cr_assert_eq(outputs_alloc(o, other, 1, &untouched), OUTPUTS_E_FULL);
	cr_assert_null(untouched);
	cr_assert(hold_is_empty(other));
	outputs_drop(o, h);
	cr_assert_eq(outputs_alloc(o, other, 1, &p), 0);
	outputs_drop(o, other);
	outputs_free(o);
}

Test(outputs, as_many_holds_as_may_be)
{
	struct outputs *o = make(4096, 0);
	struct hold *untouched = NULL;

	for (size_t i = 0; i < HOLDS_MAX; i++)
		outputs_number(o, hold(o));
	cr_assert_eq(outputs_hold_new(o, &untouched), OUTPUTS_E_HOLDS);
	cr_assert_null(untouched);
	cr_assert_eq(outputs_release(o, 1), 0);
	outputs_drop(o, hold(o));
	outputs_free(o);
}

/* Past a growth of the table and past the number of pieces that are kept. */
Test(outputs, many_holds)
{
	struct outputs *o = make(SIZE, 0);
	struct output *p;

	for (uint64_t i = 1; i <= 6000; i++) {
		struct hold *h = hold(o);

		cr_assert_eq(outputs_alloc(o, h, 1, &p), 0);
		cr_assert_eq(outputs_number(o, h), i);
	}
	for (uint64_t i = 2; i <= 6000; i += 2)
		cr_assert_eq(outputs_release(o, i), 0);
	cr_assert_eq(arena_n_spans(outputs_arena(o)), 3000);
	for (uint64_t i = 1; i <= 6000; i++)
		cr_assert_eq(outputs_release(o, i), i % 2 ? 0 : -ENOENT);
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_free(o);
}

Test(outputs, populates_in_steps_and_then_stops)
{
	struct outputs *o = make(SIZE, SIZE / 2);
	struct hold *h = hold(o);
	struct output *p;
	unsigned steps = 0;

	cr_assert_not(outputs_wants_pages(o), "nothing is in use");
	cr_assert_eq(outputs_alloc(o, h, SIZE / 2, &p), 0);
	cr_assert_eq(arena_memory(outputs_arena(o)).resident, SIZE / 2, "what is in use is there");
	while (outputs_wants_pages(o)) {
		cr_assert(outputs_wants_pages(o), "asking is not doing");
		outputs_populate(o);
		cr_assert_lt(steps++, 100);
	}
	cr_assert_eq(arena_memory(outputs_arena(o)).resident, SIZE);
	cr_assert_gt(steps, 1);
	outputs_drop(o, h);
	outputs_free(o);
}

Test(outputs, a_host_without_memory)
{
	struct outputs *o = make(SIZE, 0);
	struct hold *h = hold(o);
	struct output *p;

	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(outputs_alloc(o, h, 100, &p), OUTPUTS_E_MEMORY);
	failalloc_disarm();
	cr_assert(hold_is_empty(h));
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	cr_assert_eq(outputs_alloc(o, h, 100, &p), 0);
	outputs_drop(o, h);
	outputs_free(o);
}

static int work(void *arg)
{
	struct arena_options options = {.name = "output", .limit = 65536, .segment_bytes = 65536};
	_cleanup_(outputs_freep) struct outputs *o = NULL;
	struct output *p;
	struct hold *h;
	int r = outputs_new(&o, &options, HOLDS_MAX);
	uint64_t last = 0;

	for (uint64_t i = 0; !r && i < 300; i++) {
		r = outputs_hold_new(o, &h);
		if (r)
			break;
		r = outputs_alloc(o, h, 1, &p);
		cr_assert_eq(hold_is_empty(h), r != 0);
		last = outputs_number(o, h);
	}
	for (uint64_t i = 1; o && i <= last; i++)
		cr_assert_eq(outputs_release(o, i), 0);
	cr_assert(!o || arena_used(outputs_arena(o)) == 0);
	return r;
}

Test(outputs, faults)
{
	FAULT_LOOP(work, NULL);
}

/* --- Waiting -------------------------------------------------------------------------------- */

struct waiting {
	struct outputs *o;
	struct hold *hold;
	pthread_mutex_t lock;
	pthread_t thread;
	int result;
	atomic_bool over;
};

static void *wait_for_room(void *arg)
{
	struct waiting *w = arg;

	pthread_mutex_lock(&w->lock);
	w->result = outputs_wait(w->o, w->hold, &w->lock, UINT64_MAX / 2);
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->over, true);
	return NULL;
}

static void waiting_init(struct waiting *w)
{
	*w = (struct waiting){.o = make(SIZE, 0), .lock = PTHREAD_MUTEX_INITIALIZER};
	w->hold = hold(w->o);
}

/* With the lock held, so that whatever the test does comes behind the start of the wait, or ahead of it. */
static void waiting_start(struct waiting *w)
{
	pthread_mutex_lock(&w->lock);
	cr_assert_eq(pthread_create(&w->thread, NULL, wait_for_room, w), 0);
}

static int waiting_result(struct waiting *w)
{
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	return w->result;
}

Test(outputs, waits_until_something_is_given_back)
{
	struct waiting w;
	struct hold *other;

	waiting_init(&w);
	other = hold(w.o);
	waiting_start(&w);
	pthread_mutex_unlock(&w.lock);
	/* Each that is given back wakes it, whenever it has begun to wait. */
	while (!atomic_load(&w.over)) {
		struct hold *next;

		pthread_mutex_lock(&w.lock);
		next = hold(w.o);
		outputs_drop(w.o, next);
		pthread_mutex_unlock(&w.lock);
		sched_yield();
	}
	pthread_mutex_lock(&w.lock);
	cr_assert_eq(waiting_result(&w), 0);
	outputs_drop(w.o, other);
	outputs_drop(w.o, w.hold);
	outputs_free(w.o);
}

Test(outputs, waits_end)
{
	struct waiting w;
	struct hold *other;

	waiting_init(&w);
	other = hold(w.o);
	waiting_start(&w);
	outputs_end_waits(w.o);
	cr_assert_eq(waiting_result(&w), -ECANCELED);
	outputs_drop(w.o, other);
	outputs_drop(w.o, w.hold);
	outputs_free(w.o);
}

Test(outputs, does_not_wait_in_vain_twice)
{
	struct waiting w;
	struct hold *other, *third;

	waiting_init(&w);
	pthread_mutex_lock(&w.lock);
	cr_assert_eq(outputs_wait(w.o, w.hold, &w.lock, UINT64_MAX / 2), -ETIMEDOUT, "alone");
	other = hold(w.o);
	third = hold(w.o);
	cr_assert_eq(outputs_wait(w.o, w.hold, &w.lock, 1), -ETIMEDOUT);
	cr_assert_eq(outputs_wait(w.o, w.hold, &w.lock, UINT64_MAX / 2), -ETIMEDOUT, "at once");
	outputs_drop(w.o, third);
	pthread_mutex_unlock(&w.lock);
	waiting_start(&w);
	outputs_end_waits(w.o);
	cr_assert_eq(waiting_result(&w), -ECANCELED, "it would have waited");
	outputs_drop(w.o, other);
	outputs_drop(w.o, w.hold);
	outputs_free(w.o);
}

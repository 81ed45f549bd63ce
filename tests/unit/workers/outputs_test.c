/* outputs_test.c: which batch holds what of the output arena. */
#include "workers/outputs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

#define SIZE (1024u * 1024u)

static struct outputs *make(uint64_t size, uint64_t ahead)
{
	struct arena_options options = {
		.name = "output", .limit = size, .segment_bytes = size, .populate_ahead = ahead};
	struct outputs *o;

	cr_assert_eq(outputs_new(&o, &options), 0);
	return o;
}

Test(outputs, release_frees_a_batch_and_no_other)
{
	struct outputs *o = make(SIZE, 0);
	struct output *p[3];

	cr_assert_eq(outputs_alloc(o, 1, 100, &p[0]), 0);
	cr_assert_eq(outputs_alloc(o, 1, 200, &p[1]), 0);
	cr_assert_eq(outputs_alloc(o, 2, 300, &p[2]), 0);
	memset(output_data(p[2]), 7, 300);
	outputs_release(o, 1);
	cr_assert_not(outputs_holds(o, 1));
	cr_assert(outputs_holds(o, 2));
	cr_assert_eq(arena_n_spans(outputs_arena(o)), 1);
	cr_assert_eq(((char *)output_data(p[2]))[299], 7);
	outputs_release(o, 1);
	outputs_release(o, 2);
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_free(o);
}

Test(outputs, one_can_be_given_back)
{
	struct outputs *o = make(SIZE, 0);
	struct output *first, *second;

	cr_assert_eq(outputs_alloc(o, 1, 64, &first), 0);
	cr_assert_eq(outputs_alloc(o, 1, 64, &second), 0);
	outputs_give_back(o, first);
	cr_assert(outputs_holds(o, 1));
	cr_assert_eq(output_span(second).length, 64);
	outputs_give_back(o, second);
	cr_assert_not(outputs_holds(o, 1));
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_free(o);
}

Test(outputs, limits)
{
	struct outputs *o = make(4096, 0);
	struct output *p, *untouched = NULL;

	cr_assert_eq(outputs_alloc(o, 1, arena_limit(outputs_arena(o)) + 1, &untouched),
		OUTPUTS_E_LARGE);
	cr_assert_eq(outputs_alloc(o, 1, arena_limit(outputs_arena(o)), &p), 0);
	cr_assert_eq(outputs_alloc(o, 2, 1, &untouched), OUTPUTS_E_FULL);
	cr_assert_null(untouched);
	cr_assert_not(outputs_holds(o, 2));
	outputs_release(o, 1);
	cr_assert_eq(outputs_alloc(o, 2, 1, &p), 0);
	outputs_free(o);
}

/* Past a growth of the table and past the number of pieces that are kept. */
Test(outputs, many_batches)
{
	struct outputs *o = make(SIZE, 0);
	struct output *p;

	for (uint64_t batch = 0; batch < 6000; batch++)
		cr_assert_eq(outputs_alloc(o, batch, 1, &p), 0);
	for (uint64_t batch = 0; batch < 6000; batch += 2)
		outputs_release(o, batch);
	for (uint64_t batch = 0; batch < 6000; batch++)
		cr_assert_eq(outputs_holds(o, batch), batch % 2 == 1);
	for (uint64_t batch = 1; batch < 6000; batch += 2)
		outputs_release(o, batch);
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	outputs_free(o);
}

Test(outputs, populates_in_steps_and_then_stops)
{
	struct outputs *o = make(SIZE, SIZE / 2);
	struct output *p;
	unsigned steps = 0;

	cr_assert_not(outputs_wants_pages(o), "nothing is in use");
	cr_assert_eq(outputs_alloc(o, 1, SIZE / 2, &p), 0);
	cr_assert_eq(arena_memory(outputs_arena(o)).resident, SIZE / 2, "what is in use is there");
	while (outputs_wants_pages(o)) {
		cr_assert(outputs_wants_pages(o), "asking is not doing");
		outputs_populate(o);
		cr_assert_lt(steps++, 100);
	}
	cr_assert_eq(arena_memory(outputs_arena(o)).resident, SIZE);
	cr_assert_gt(steps, 1);
	outputs_free(o);
}

Test(outputs, a_host_without_memory)
{
	struct outputs *o = make(SIZE, 0);
	struct output *p;

	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(outputs_alloc(o, 1, 100, &p), OUTPUTS_E_MEMORY);
	failalloc_disarm();
	cr_assert_not(outputs_holds(o, 1));
	cr_assert_eq(arena_used(outputs_arena(o)), 0);
	cr_assert_eq(outputs_alloc(o, 1, 100, &p), 0);
	outputs_free(o);
}

static int work(void *arg)
{
	struct arena_options options = {.name = "output", .limit = 65536, .segment_bytes = 65536};
	_cleanup_(outputs_freep) struct outputs *o = NULL;
	struct output *p;
	int r = outputs_new(&o, &options);

	for (uint64_t i = 0; !r && i < 300; i++) {
		r = outputs_alloc(o, i, 1, &p);
		cr_assert_eq(outputs_holds(o, i), r == 0);
	}
	for (uint64_t i = 0; o && i < 300; i++)
		outputs_release(o, i);
	cr_assert(!o || arena_used(outputs_arena(o)) == 0);
	return r;
}

Test(outputs, faults)
{
	FAULT_LOOP(work, NULL);
}

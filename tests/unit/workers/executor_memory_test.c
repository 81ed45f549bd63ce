/* executor_memory_test.c: output memory, what is held of it, and what happens where it is full. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "fake_executor.h"
#include "tests/support/failalloc.h"

#define WAIT_NS 1000000u

Test(executor_memory, full_output_arena)
{
	struct rig g;
	uint64_t size;

	rig_init(&g, 4096, ARENA_BYTES);
	size = arena_limit(outputs_arena(g.outputs));
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	for (int i = 0; i < 4; i++) {
		struct span s;

		cr_assert_eq(segment_alloc(g.input, 2048, &s), 0);
		rig_add_span(&g, DTYPE_I32, 1, 512, s);
	}
	g.fake.model.max_batch_size = 1;
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[1].code, 0);
	cr_assert_eq(rig_used(&g), size);
	rig_expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	rig_expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "2048 bytes");
	rig_release(&g);
	cr_assert_eq(rig_used(&g), 0);
	/* Together they are more than there is; what has room one by one gets it. */
	g.fake.model.max_batch_size = 8;
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[1].code, 0);
	rig_expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	rig_expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	rig_deinit(&g);
}

Test(executor_memory, an_output_larger_than_the_output_arena)
{
	struct span s;
	struct rig g;

	rig_init(&g, 4096, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	cr_assert_eq(segment_alloc(g.input, 8192, &s), 0);
	rig_add_span(&g, DTYPE_I32, 4, 512, s);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "more than the worker's output memory");
	rig_deinit(&g);
}

Test(executor_memory, items_have_a_hold_each_unless_they_ran_as_one)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int i = 0; i < 3; i++)
		rig_add_rows(&g, 1, i);
	rig_execute(&g);
	cr_assert_neq(g.done.results[0].hold, 0);
	cr_assert_eq(g.done.results[0].hold, g.done.results[2].hold);
	rig_release(&g);
	g.fake.model.max_batch_size = 1;
	rig_execute(&g);
	for (int i = 1; i < 3; i++)
		cr_assert_gt(g.done.results[i].hold, g.done.results[i - 1].hold);
	cr_assert_eq(outputs_release(g.outputs, g.done.results[1].hold), 0);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 2, "of the others");
	rig_deinit(&g);
}

Test(executor_memory, more_holds_than_may_be)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.model.max_batch_size = 1;
	rig_add_rows(&g, 1, 0);
	for (int i = 0; i < 64; i++)
		rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "[worker] max_holds");
	cr_assert_eq(g.done.results[0].hold, 0);
	cr_assert_eq(outputs_release(g.outputs, 7), 0);
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	rig_deinit(&g);
}

Test(executor_memory, refused_batch_holds_nothing)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	rig_execute(&g);
	cr_assert_gt(rig_used(&g), 0);
	executor_refuse(g.executor, &g.done);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "max_batch_size");
	rig_expect_error(&g, 1, GRPC_RESOURCE_EXHAUSTED, "max_batch_size");
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

Test(executor_memory, steady_state_allocates_nothing)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_gap(&g);
	rig_add_rows(&g, 2, 0);
	rig_execute(&g);
	rig_release(&g);
	failalloc_arm(FAIL_ALL, FAIL_TRANSIENT, 0);
	for (int i = 0; i < 100; i++) {
		rig_execute(&g);
		rig_release(&g);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	rig_deinit(&g);
}

/* Whatever fails: each item has a result, and no output is lost. */
static int run_under_fire(void *arg)
{
	struct rig *g = arg;
	struct executor_parts parts = rig_parts(g, ARENA_BYTES, 0);
	_cleanup_(executor_freep) struct executor *e = NULL;
	uint32_t worst = 0;

	if (executor_new(&e, &parts))
		return -1;
	cr_assert_eq(executor_run(e, &g->fake.lane, &g->run, &g->done), 0);
	cr_assert_eq(g->done.n_results, g->run.n_items);
	for (size_t i = 0; i < g->run.n_items; i++) {
		uint32_t code = g->done.results[i].code;

		cr_assert(code == GRPC_OK || code == GRPC_RESOURCE_EXHAUSTED, "%u %s", code,
			g->done.results[i].message);
		worst = code > worst ? code : worst;
	}
	executor_number(e, &g->done);
	rig_release(g);
	cr_assert_eq(rig_used(g), 0);
	return worst ? -1 : 0;
}

Test(executor_memory, faults)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_gap(&g);
	rig_add_rows(&g, 2, 0);
	FAULT_LOOP(run_under_fire, &g);
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(4, 16));
	g.tensors[2][0].dims = g.dims[2][0];
	g.fake.model.max_batch_size = 1;
	FAULT_LOOP(run_under_fire, &g);
	rig_deinit(&g);
}

/* --- Output memory that is full ------------------------------------------------------------- */

/* Items of 2048 bytes each; two fit. */
static void rig_narrow(struct rig *g, size_t n_items)
{
	struct executor_parts parts;

	rig_init(g, 4096, ARENA_BYTES);
	parts = rig_parts(g, ARENA_BYTES, WAIT_NS);
	g->executor = executor_free(g->executor);
	cr_assert_eq(executor_new(&g->executor, &parts), 0);
	fake_backend_init(&g->fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	for (size_t i = 0; i < n_items; i++) {
		struct span s;

		cr_assert_eq(segment_alloc(g->input, 2048, &s), 0);
		*(int32_t *)segment_data(g->input, &s) = (int32_t)i;
		rig_add_span(g, DTYPE_I32, 1, 512, s);
	}
}

static void expect_narrow(struct rig *g, size_t i)
{
	cr_assert_eq(*(const int32_t *)rig_output(g, i, 0), (int32_t)i);
}

Test(executor_memory, items_that_fit_one_by_one_are_answered_ahead_of_the_batch)
{
	struct rig g;

	rig_narrow(&g, 5);
	g.releases = true;
	rig_execute(&g);
	cr_assert_eq(g.n_partial, 4, "two when the third waits, two when the fifth does");
	cr_assert_eq(g.n_flushed, 2);
	cr_assert_eq(g.last_value, 3);
	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(g.done.results[i].code, 0);
		cr_assert_eq(g.done.results[i].n_outputs, 0);
		cr_assert_eq(g.done.results[i].hold, 0);
	}
	expect_narrow(&g, 4);
	rig_release(&g);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

/* The daemon takes no second result of an item. */
Test(executor_memory, what_was_answered_ahead_of_a_batch_does_not_fail_with_it)
{
	struct rig g;

	rig_narrow(&g, 5);
	g.releases = true;
	rig_execute(&g);
	cr_assert_eq(g.n_partial, 4);
	executor_refuse(g.executor, &g.done);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(g.done.results[i].code, 0);
	rig_expect_error(&g, 4, GRPC_RESOURCE_EXHAUSTED, "do not fit a message");
	cr_assert_eq(rig_used(&g), 0);
	/* Of the next batch with that executor nothing was answered yet. */
	g.run.n_items = 2;
	rig_execute(&g);
	executor_refuse(g.executor, &g.done);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "do not fit a message");
	rig_expect_error(&g, 1, GRPC_RESOURCE_EXHAUSTED, "do not fit a message");
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

Test(executor_memory, nobody_takes_what_is_in_the_way)
{
	struct rig g;

	rig_narrow(&g, 4);
	rig_execute(&g);
	cr_assert_eq(g.n_partial, 2);
	rig_expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	rig_expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "2048 bytes");
	cr_assert_eq(outputs_release(g.outputs, 1), 0);
	cr_assert_eq(outputs_release(g.outputs, 2), 0);
	g.run.n_items = 1;
	rig_execute(&g);
	expect_narrow(&g, 0);
	rig_deinit(&g);
}

Test(executor_memory, an_early_answer_that_does_not_fit_a_message)
{
	struct rig g;

	rig_narrow(&g, 3);
	g.say_error = -EMSGSIZE;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	rig_expect_error(&g, 1, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	expect_narrow(&g, 2);
	rig_release(&g);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

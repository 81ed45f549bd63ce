/* executor_partial_test.c: items that are answered more than once. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fake_executor.h"
#include "workers/run.h"

static void *give_row(const struct modeld_batch *batch, int32_t value, struct modeld_error *error)
{
	static const int64_t dims[] = {1, 4};
	const struct modeld_output output = {.size = sizeof(output),
		.dtype = MODELD_DTYPE_I32,
		.rank = 2,
		.dims = dims,
		.bytes = 16};
	void *out = batch->output(batch, &output, error);

	if (out)
		memcpy(out, &value, sizeof(value));
	return out;
}

/* Two in part; how it ends is the test's. */
static enum modeld_code (*end_after_two)(
	const struct modeld_batch *batch, struct modeld_error *error);

static enum modeld_code answer_twice(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	for (int32_t i = 1; i <= 2; i++) {
		enum modeld_code code;

		if (!give_row(batch, i, error))
			return MODELD_INTERNAL;
		code = run_answer(batch, error);
		if (code != MODELD_OK)
			return code;
	}
	return end_after_two ? end_after_two(batch, error) : MODELD_OK;
}

static void rig_decoupled(struct rig *g)
{
	rig_init(g, ARENA_BYTES, ARENA_BYTES);
	g->fake.model.info.decoupled = 1;
	g->fake.model.max_batch_size = 0;
	g->fake.run = answer_twice;
	end_after_two = NULL;
	rig_add_rows(g, 1, 4);
}

Test(executor_partial, answers_in_part_and_an_empty_last)
{
	struct rig g;

	rig_decoupled(&g);
	rig_execute(&g);
	cr_assert_eq(g.n_partial, 2);
	cr_assert_eq(g.last_value, 2);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[0].n_outputs, 0);
	cr_assert_eq(g.done.results[0].hold, 0);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 2, "the daemon's");
	cr_assert_eq(outputs_release(g.outputs, g.last_hold - 1), 0);
	cr_assert_eq(outputs_release(g.outputs, g.last_hold), 0);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

static enum modeld_code end_with_a_row(const struct modeld_batch *batch, struct modeld_error *error)
{
	return give_row(batch, 3, error) ? MODELD_OK : MODELD_INTERNAL;
}

static enum modeld_code end_badly(const struct modeld_batch *batch, struct modeld_error *error)
{
	snprintf(error->text, sizeof(error->text), "no more");
	return give_row(batch, 3, error) ? MODELD_INVALID : MODELD_INTERNAL;
}

Test(executor_partial, a_last_answer_with_outputs_or_with_an_error)
{
	struct rig g;

	rig_decoupled(&g);
	end_after_two = end_with_a_row;
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_gt(g.done.results[0].hold, g.last_hold);
	end_after_two = end_badly;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INVALID_ARGUMENT, "no more");
	cr_assert_eq(g.n_partial, 4);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 5, "nothing of the failure");
	rig_deinit(&g);
}

static enum modeld_code answer_without_outputs(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	return run_answer(batch, error);
}

static enum modeld_code answer_until_told(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	cr_assert(give_row(batch, 1, error));
	cr_assert_eq(run_answer(batch, error), MODELD_OK);
	cr_assert(give_row(batch, 2, error));
	atomic_store(&f->lane.cancelled, 100);
	return run_answer(batch, error);
}

Test(executor_partial, no_answer_in_part_for_nobody)
{
	struct rig g;

	rig_decoupled(&g);
	g.fake.run = answer_until_told;
	rig_execute(&g);
	cr_assert_eq(g.n_partial, 1);
	rig_expect_error(&g, 0, GRPC_CANCELLED, "nobody waits");
	rig_deinit(&g);
}

Test(executor_partial, answers_in_part_that_are_not_as_they_must_be)
{
	struct rig g;

	rig_decoupled(&g);
	g.fake.model.info.decoupled = 0;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "did not declare the model decoupled");
	g.fake.model.info.decoupled = 1;
	g.fake.run = answer_without_outputs;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "gave no output");
	g.fake.run = answer_twice;
	g.say_error = -EMSGSIZE;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	cr_assert_eq(g.n_partial, 0);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

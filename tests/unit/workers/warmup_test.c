/* warmup_test.c: the runs of a model ahead of its first request. */
#include "workers/warmup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fake_executor.h"
#include "tests/support/failalloc.h"

#define LANES 3

static struct rig g;
static struct lane lanes[LANES];
static const int64_t dims[] = {4};
static struct wire_warmup_input inputs[2];
static struct wire_warmup warmups[2];
static struct wire_load load;
static struct modeld_error error;
static int32_t seen[4];

static enum modeld_code look(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *e)
{
	memcpy(seen, batch->inputs[0]->data, sizeof(seen));
	return fake_echo(f, batch, e);
}

static void setup(void)
{
	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = look;
	g.fake.model.lanes = lanes;
	g.fake.model.n_lanes = LANES;
	for (uint32_t i = 0; i < LANES; i++) {
		lane_init(&lanes[i], &g.fake.model, i);
		lanes[i].instance = &g.fake;
	}
	inputs[0] = (struct wire_warmup_input){
		.name = "in0", .dtype = DTYPE_I32, .rank = 1, .dims = dims, .file = ""};
	warmups[0] = (struct wire_warmup){
		.name = "first", .batch_size = 1, .count = 1, .inputs = inputs, .n_inputs = 1};
	load = (struct wire_load){.warmup_path = "/", .warmups = warmups, .n_warmups = 1};
	error = (struct modeld_error){.size = sizeof(error)};
}

static void teardown(void)
{
	rig_deinit(&g);
}

TestSuite(warmup, .init = setup, .fini = teardown);

static int run(void)
{
	const struct run_parts parts = {
		.outputs = g.outputs, .regions = &g.regions, .memory = &g.memory};

	return warmup_all(&parts, ARENA_BYTES, &g.fake.model, &load, &error);
}

static void good(void)
{
	cr_assert_eq(run(), 0, "%s", error.text);
	cr_assert_eq(rig_used(&g), 0, "nothing is left of it");
}

static void bad(const char *why)
{
	cr_assert_eq(run(), MODEL_E_FAILED);
	cr_expect(strstr(error.text, why), "%s", error.text);
	cr_assert_eq(rig_used(&g), 0, "nothing is left of it");
}

Test(warmup, runs_on_every_lane_as_often_as_is_said)
{
	warmups[0].count = 4;
	warmups[1] = warmups[0];
	warmups[1].name = "second";
	warmups[1].count = 1;
	load.n_warmups = 2;
	good();
	cr_expect_eq(g.fake.n_runs, LANES * 5);
}

Test(warmup, rows_have_the_same_data)
{
	int32_t rows[8];

	inputs[0].random = true;
	warmups[0].batch_size = 2;
	good();
	cr_expect_eq(g.fake.runs[0].rows, 2);
	cr_expect_eq(g.fake.runs[0].bytes[0], 32);
	cr_expect(seen[0] >= 0 && seen[0] < 128);
	memcpy(rows, seen, sizeof(seen));
	warmups[0].batch_size = 1;
	good();
	cr_expect_eq(memcmp(rows, seen, sizeof(seen)), 0);
}

Test(warmup, of_a_model_that_does_not_batch)
{
	static const int64_t whole[] = {7, 4};

	g.fake.model.max_batch_size = 0;
	inputs[0].rank = 2;
	inputs[0].dims = whole;
	good();
	cr_expect_eq(g.fake.runs[0].rows, 7);
	warmups[0].batch_size = 2;
	bad("warm-up 'first': its batch_size is 2, and the model takes 1 at most");
}

Test(warmup, what_does_not_fit_the_model)
{
	static const int64_t wide[] = {5};

	warmups[0].batch_size = 9;
	bad("warm-up 'first': its batch_size is 9, and the model takes 8 at most");
	warmups[0].batch_size = 1;
	inputs[0].dims = wide;
	bad("warm-up 'first': input 'in0': expected i32 [-1,4], got i32 [1,5]");
	inputs[0].dims = dims;
	inputs[0].dtype = DTYPE_F32;
	bad("input 'in0': expected i32 [-1,4], got f32 [1,4]");
	inputs[0].dtype = DTYPE_I32;
	warmups[0].n_inputs = 0;
	bad("warm-up 'first': it has no input 'in0'");
	inputs[1] = inputs[0];
	inputs[1].name = "other";
	warmups[0].n_inputs = 2;
	bad("warm-up 'first': the model has no input 'other'");
	warmups[0].n_inputs = 1;
	inputs[0].file = "nowhere/at/all";
	bad("input 'in0': //nowhere/at/all: No such file");
	cr_expect_eq(g.fake.n_runs, 0);
}

Test(warmup, inputs_have_a_limit)
{
	static const int64_t any[] = {1 << 20};

	g.fake.inputs[0].any_shape = 1;
	inputs[0].dims = any;
	bad("its inputs take 4194304 bytes, and 262144 is the limit ([memory] input_arena_bytes)");
	warmups[0].batch_size = 8;
	bad("bytes, and 262144 is the limit");
}

static enum modeld_code refuse(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *e)
{
	if (!fake_output(batch, 0, MODELD_DTYPE_I32, batch->inputs[0]->dims, 2, 16, e))
		return MODELD_INTERNAL;
	snprintf(e->text, sizeof(e->text), "it is too cold");
	return f->n_runs == 2 ? MODELD_FATAL : MODELD_INVALID;
}

Test(warmup, a_failure_is_a_failed_load)
{
	g.fake.run = refuse;
	bad("warm-up 'first': it is too cold");
	cr_expect_eq(g.fake.n_runs, 1);
	cr_expect_eq(run(), MODEL_E_FATAL);
	cr_expect(strstr(error.text, "warm-up 'first': it is too cold"), "%s", error.text);
	cr_expect_eq(rig_used(&g), 0);
}

static enum modeld_code answer_twice(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *e)
{
	for (int i = 0; i < 2; i++) {
		enum modeld_code code = fake_echo(f, batch, e);

		if (code == MODELD_OK)
			code = run_answer(batch, e);
		if (code != MODELD_OK)
			return code;
	}
	return MODELD_OK;
}

Test(warmup, of_a_decoupled_model)
{
	g.fake.model.info.decoupled = 1;
	g.fake.model.max_batch_size = 0;
	g.fake.inputs[0].any_shape = 1;
	g.fake.outputs[0].any_shape = 1;
	g.fake.run = answer_twice;
	good();
	cr_expect_eq(g.fake.n_runs, LANES);
}

static int under_faults(void *arg)
{
	int r;

	(void)arg;
	r = run();
	cr_assert_eq(rig_used(&g), 0);
	return r;
}

Test(warmup, memory_failures)
{
	g.fake.model.n_lanes = 1;
	FAULT_LOOP_KINDS(under_faults, NULL, FAIL_ALL);
}

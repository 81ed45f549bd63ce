/* executor_test.c: executor.c, inputs.c and run.c together: what a backend does and does not do. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fake_executor.h"
#include "workers/run.h"

Test(executor, unwanted_outputs_are_not_sent)
{
	uint32_t want[] = {1};
	uint32_t beyond[] = {2};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 2, MODELD_DTYPE_I32, 4, 8);
	rig_add_rows(&g, 1, 0);
	g.items[0].outputs = want;
	g.items[0].n_outputs = 1;
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_eq(g.done.results[0].outputs[0].index, 1);
	g.items[0].outputs = beyond;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "output 2 is wanted");
	rig_deinit(&g);
}

static enum modeld_code give_all(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];

	for (size_t i = 0; i < batch->n_outputs; i++)
		if (!fake_output(batch, i, in->dtype, in->dims, in->rank, in->bytes, error))
			return MODELD_INTERNAL;
	return MODELD_OK;
}

Test(executor, unwanted_outputs_given_anyway_are_dropped)
{
	uint32_t want[] = {0};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 3, MODELD_DTYPE_I32, 4, 8);
	g.fake.run = give_all;
	rig_add_rows(&g, 1, 0);
	g.items[0].outputs = want;
	g.items[0].n_outputs = 1;
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 1);
	rig_release(&g);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

static enum modeld_code give_twice(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	int64_t bad[] = {-1, 4};
	void *first = fake_output(batch, 0, MODELD_DTYPE_I32, batch->inputs[0]->dims, 2,
		batch->inputs[0]->bytes, error);

	cr_assert(first);
	cr_assert_null(fake_output(batch, 0, MODELD_DTYPE_I32, bad, 2, 16, error));
	return fake_echo(f, batch, error);
}

Test(executor, an_output_asked_for_again_is_the_last_one)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = give_twice;
	rig_add_rows(&g, 1, 3);
	rig_execute(&g);
	rig_expect_rows(&g, 0, 1, 3);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 1);
	rig_deinit(&g);
}

/* What give_wrong() does. */
struct wrong {
	size_t index;
	enum modeld_dtype dtype;
	int64_t dims[3];
	uint32_t rank;
	uint64_t bytes;
	enum modeld_code code; /* what run() returns */
};

static const struct wrong wrongs[] = {
	{1, MODELD_DTYPE_I32, {2, 4}, 2, 32, MODELD_OK},
	{0, MODELD_DTYPE_F32, {2, 4}, 2, 32, MODELD_OK},
	{0, (enum modeld_dtype)99, {2, 4}, 2, 32, MODELD_OK},
	{0, MODELD_DTYPE_ANY, {2, 4}, 2, 32, MODELD_INTERNAL},
	{0, MODELD_DTYPE_I32, {3, 4}, 2, 48, MODELD_OK},
	{0, MODELD_DTYPE_I32, {2, 5}, 2, 40, MODELD_INVALID},
	{0, MODELD_DTYPE_I32, {2, 4}, 2, 31, MODELD_OK},
	{0, MODELD_DTYPE_I32, {2, 4, 1}, 3, 32, MODELD_OK},
	{0, MODELD_DTYPE_I32, {2, 4}, 17, 32, MODELD_OK},
	{0, MODELD_DTYPE_I32, {2, INT64_MAX}, 2, 32, MODELD_OK},
	{0, MODELD_DTYPE_I32, {2, -4}, 2, 32, MODELD_OK},
};

static enum modeld_code give_wrong(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	static const int64_t one[] = {1, 4};
	const struct wrong *w = &wrongs[(f->n_runs - 1) / 3];

	if (batch->inputs[0]->dims[0] == 1) {
		cr_assert_null(fake_output(batch, 0, MODELD_DTYPE_F32, one, 2, 16, error));
		return MODELD_OK;
	}
	cr_assert_null(fake_output(batch, w->index, w->dtype, w->dims, w->rank, w->bytes, error));
	cr_assert_neq(error->text[0], 0);
	error->text[0] = 0;
	return w->code;
}

Test(executor, outputs_that_were_not_declared_so_are_refused)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = give_wrong;
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		rig_execute(&g);
		rig_expect_error(&g, 0, GRPC_INTERNAL, "declared");
		rig_expect_error(&g, 1, GRPC_INTERNAL, "declared");
		cr_assert_eq(g.fake.n_runs, 3 * (i + 1), "joined, then each alone");
		cr_assert_eq(rig_used(&g), 0);
	}
	rig_deinit(&g);
}

/* How much of its output a backend writes, and what it says of it. */
static struct {
	uint64_t written;
	int writes_all;
} promise;

static enum modeld_code write_some(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_output output = {
		.size = sizeof(output),
		.dtype = in->dtype,
		.dims = in->dims,
		.rank = in->rank,
		.bytes = in->bytes,
		.writes_all = promise.writes_all,
	};
	void *out = batch->output(batch, &output, error);

	if (!out)
		return MODELD_INTERNAL;
	memset(out, 0x5a, promise.written);
	return MODELD_OK;
}

/* Run a batch of 64 bytes where another one's output lay; `written` bytes of it are written. */
static void run_after_another(struct rig *g, uint64_t written, int writes_all)
{
	rig_release(g);
	promise.written = 64;
	promise.writes_all = 1;
	rig_execute(g);
	cr_assert_eq(g->done.results[0].code, 0);
	rig_release(g);
	promise.written = written;
	promise.writes_all = writes_all;
	rig_execute(g);
}

Test(executor, what_a_backend_does_not_write_is_nobody_elses)
{
	static const char zeroes[64];
	const char *out;
	struct rig g;

	rig_init(&g, ARENA_BYTES, 4096);
	g.fake.run = write_some;
	rig_add_rows(&g, 4, 0);
	run_after_another(&g, 0, 0);
	cr_assert_arr_eq(rig_output(&g, 0, 0), zeroes, 64);
	run_after_another(&g, 32, 0);
	out = rig_output(&g, 0, 0);
	cr_assert_eq(out[31], 0x5a);
	cr_assert_arr_eq(out + 32, zeroes, 32);
	run_after_another(&g, 0, 1);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "did not");
	run_after_another(&g, 32, 1);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "did not");
	run_after_another(&g, 64, 1);
	out = rig_output(&g, 0, 0);
	cr_assert_eq(out[63], 0x5a);
	rig_deinit(&g);
}

static enum modeld_code give_nothing(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	return MODELD_OK;
}

Test(executor, a_missing_output_is_an_error)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = give_nothing;
	rig_add_rows(&g, 1, 0);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "gave no output 'out0'");
	rig_deinit(&g);
}

static enum modeld_code dislike_negative(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];

	for (size_t i = 0; i < in->bytes / 4; i++) {
		if (((const int32_t *)in->data)[i] < 0) {
			snprintf(error->text, sizeof(error->text), "negative\nvalue");
			return MODELD_INVALID;
		}
	}
	return fake_echo(f, batch, error);
}

Test(executor, one_invalid_item_does_not_fail_the_others)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = dislike_negative;
	rig_add_rows(&g, 1, 1);
	rig_add_rows(&g, 1, -1);
	rig_add_rows(&g, 1, 9);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 4);
	rig_expect_rows(&g, 0, 1, 1);
	rig_expect_error(&g, 1, GRPC_INVALID_ARGUMENT, "negative value");
	rig_expect_rows(&g, 2, 1, 9);
	rig_deinit(&g);
}

/* Fails for more than one row. */
static enum modeld_code company_code;

static enum modeld_code dislike_company(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	return batch->inputs[0]->dims[0] > 1 ? company_code : fake_echo(f, batch, error);
}

/* Whatever a joined run fails for, memory for all outputs together included. */
Test(executor, what_fails_together_is_run_one_by_one)
{
	static const enum modeld_code codes[] = {
		MODELD_INVALID, MODELD_EXHAUSTED, MODELD_UNSUPPORTED, MODELD_INTERNAL};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct rig g;

		rig_init(&g, ARENA_BYTES, ARENA_BYTES);
		g.fake.run = dislike_company;
		company_code = codes[i];
		rig_add_rows(&g, 1, 1);
		rig_add_rows(&g, 1, 9);
		rig_execute(&g);
		cr_assert_eq(g.fake.n_runs, 3);
		rig_expect_rows(&g, 0, 1, 1);
		rig_expect_rows(&g, 1, 1, 9);
		rig_deinit(&g);
	}
}

/* --- Nobody waits any more -------------------------------------------------------------- */

Test(executor, what_nobody_waits_for_is_not_run)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 4);
	atomic_store(&g.fake.lane.cancelled, g.run.batch);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 0);
	for (size_t i = 0; i < 2; i++)
		rig_expect_error(&g, i, GRPC_CANCELLED, "nobody waits");
	cr_assert_eq(rig_used(&g), 0);
	g.run.batch++;
	rig_execute(&g);
	rig_expect_rows(&g, 0, 1, 0);
	rig_release(&g);
	rig_deinit(&g);
}

static enum modeld_code give_up_when_told(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	cr_assert_not(batch->cancelled(batch));
	atomic_store(&f->lane.cancelled, 99);
	cr_assert_not(batch->cancelled(batch), "that was another one");
	atomic_store(&f->lane.cancelled, 100);
	cr_assert(batch->cancelled(batch));
	snprintf(error->text, sizeof(error->text), "in the middle of it");
	return fake_echo(f, batch, error) == MODELD_OK ? MODELD_CANCELLED : MODELD_INTERNAL;
}

/* Joined or alone, the others of the batch are not run either, and nothing is held. */
Test(executor, a_run_may_end_early)
{
	for (int joined = 0; joined < 2; joined++) {
		struct rig g;

		rig_init(&g, ARENA_BYTES, ARENA_BYTES);
		g.fake.run = give_up_when_told;
		g.fake.model.max_batch_size = joined ? 8 : 0;
		rig_add_rows(&g, 1, 0);
		rig_add_rows(&g, 1, 4);
		rig_execute(&g);
		cr_assert_eq(g.fake.n_runs, 1);
		rig_expect_error(&g, 0, GRPC_CANCELLED, "in the middle");
		rig_expect_error(&g, 1, GRPC_CANCELLED, joined ? "in the middle" : "nobody waits");
		cr_assert_eq(rig_used(&g), 0);
		rig_deinit(&g);
	}
}

static enum modeld_code strange_code;

static enum modeld_code fail_strangely(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	cr_assert(fake_output(batch, 0, MODELD_DTYPE_I32, batch->inputs[0]->dims, 2,
		batch->inputs[0]->bytes, error));
	return strange_code;
}

Test(executor, codes_of_a_failing_backend)
{
	static const enum modeld_code given[] = {
		MODELD_EXHAUSTED, MODELD_UNSUPPORTED, MODELD_INTERNAL, (enum modeld_code)77};
	static const enum grpc_status codes[] = {
		GRPC_RESOURCE_EXHAUSTED, GRPC_UNIMPLEMENTED, GRPC_INTERNAL, GRPC_INTERNAL};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = fail_strangely;
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	for (size_t i = 0; i < 4; i++) {
		strange_code = given[i];
		rig_execute(&g);
		rig_expect_error(&g, 0, codes[i], "the backend gave no reason");
		rig_expect_error(&g, 1, codes[i], "the backend gave no reason");
		cr_assert_eq(rig_used(&g), 0);
	}
	rig_deinit(&g);
}

/* --- Runs that go on ---------------------------------------------------------------------- */

struct late {
	struct fake_backend *fake;
	const struct modeld_batch *batch;
};

static void *finish(void *arg)
{
	struct late *l = arg;
	struct modeld_error error = {.size = sizeof(error)};
	enum modeld_code code = fake_echo(l->fake, l->batch, &error);

	run_complete(l->batch, code, NULL);
	return NULL;
}

static struct late late;
static pthread_t late_thread;

static enum modeld_code run_late(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	late = (struct late){f, batch};
	cr_assert_eq(pthread_create(&late_thread, NULL, finish, &late), 0);
	return MODELD_PENDING;
}

Test(executor, a_run_is_completed_by_another_thread)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = run_late;
	rig_add_rows(&g, 1, 4);
	for (int i = 0; i < 50; i++) {
		rig_execute(&g);
		pthread_join(late_thread, NULL);
		rig_expect_rows(&g, 0, 1, 4);
		rig_release(&g);
	}
	rig_deinit(&g);
}

static enum modeld_code complete_at_once(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	run_complete(batch, MODELD_INVALID, "it is\nbad");
	return MODELD_PENDING;
}

Test(executor, a_run_may_be_completed_before_it_returns)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = complete_at_once;
	rig_add_rows(&g, 1, 4);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INVALID_ARGUMENT, "it is bad");
	rig_deinit(&g);
}

static enum modeld_code say_fatal(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	if (f->n_runs < 2)
		return MODELD_INVALID;
	cr_assert(fake_output(batch, 0, MODELD_DTYPE_I32, batch->inputs[0]->dims, 2,
		batch->inputs[0]->bytes, error));
	snprintf(error->text, sizeof(error->text), "the device\nis lost");
	return MODELD_FATAL;
}

Test(executor, a_backend_that_cannot_go_on)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = say_fatal;
	rig_add_rows(&g, 1, 4);
	rig_add_rows(&g, 1, 8);
	cr_assert_eq(executor_run(g.executor, &g.fake.lane, &g.run, &g.done), EXECUTOR_E_FATAL);
	cr_assert_str_eq(executor_fatal(g.executor), "the device is lost");
	cr_assert_eq(g.fake.n_runs, 2, "nothing is run after it");
	cr_assert_eq(rig_used(&g), 0);
	g.fake.run = fake_echo;
	rig_execute(&g);
	rig_expect_rows(&g, 1, 1, 8);
	rig_deinit(&g);
}

static enum modeld_code ask_for_device_memory(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct modeld_output output = {
		.size = sizeof(output),
		.dtype = MODELD_DTYPE_I32,
		.rank = 2,
		.dims = batch->inputs[0]->dims,
		.bytes = batch->inputs[0]->bytes,
		.memory = MODELD_MEMORY_DEVICE,
	};

	cr_assert_null(batch->output(batch, &output, error));
	if (f->n_runs == 1)
		return MODELD_OK;
	output.memory = MODELD_MEMORY_HOST;
	output.size = 8;
	cr_assert_null(batch->output(batch, &output, error));
	return MODELD_OK;
}

Test(executor, memory_that_there_is_not)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.run = ask_for_device_memory;
	rig_add_rows(&g, 1, 4);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "in device memory");
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "a size of 8");
	rig_deinit(&g);
}

Test(executor, declared_inputs_are_checked)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 1, 0);
	g.tensors[0][0].dtype = DTYPE_F32;
	g.dims[1][0][1] = 3;
	g.tensors[2][0].index = 1;
	g.items[3].n_inputs = 0;
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "not what the model declares");
	rig_expect_error(&g, 1, GRPC_INTERNAL, "not what the model declares");
	rig_expect_error(&g, 2, GRPC_INTERNAL, "wrong order");
	rig_expect_error(&g, 3, GRPC_INTERNAL, "0 inputs came");
	cr_assert_eq(g.fake.n_runs, 0);
	rig_deinit(&g);
}

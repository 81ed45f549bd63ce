/* executor_test.c: executor.c, inputs.c and run.c together, without a socket, on a fake backend. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fake_backend.h"
#include "fake_daemon.h"
#include "proto/grpc_status.h"
#include "tests/support/failalloc.h"
#include "workers/run.h"

#define ARENA_BYTES (256u * 1024u)
#define REGION	    (WIRE_REGION_BIT | 7u)
#define REGION_SIZE 65536u
#define ITEMS	    8
#define WAIT_NS	    1000000u

/* An executor with everything that it works on. */
struct rig {
	struct segment *input;
	struct segment *made; /* of the outputs */
	struct outputs *outputs;
	struct regions regions;
	pthread_mutex_t memory;
	struct executor *executor;
	char *region; /* the client's mapping */
	struct fake_backend fake;
	/* A batch in the making. */
	struct wire_tensor tensors[ITEMS][2];
	int64_t dims[ITEMS][2][2];
	struct wire_item items[ITEMS];
	struct wire_run run;
	struct wire_done done;
	/* Answers in part. */
	unsigned n_partial;
	uint64_t last_hold;
	int32_t last_value;
	int say_error;
	unsigned n_flushed;
	bool releases; /* what was said, when it is flushed */
};

static int flush(void *data);
static int say_partial(void *data, struct wire_partial *partial, struct hold *hold);

static void rig_init(struct rig *g, uint64_t output_bytes, uint64_t scratch_max)
{
	struct segment_options input = {.name = "input", .size = ARENA_BYTES};
	struct arena_options output = {
		.name = "output", .limit = output_bytes, .segment_bytes = output_bytes};
	struct wire_map input_map = {.id = 1, .size = ARENA_BYTES};
	struct wire_map map = {.id = REGION, .size = REGION_SIZE, .writable = true};
	struct executor_parts parts;
	void *region;
	int fd;

	memset(g, 0, sizeof(*g));
	cr_assert_eq(segment_new(&g->input, &input), 0);
	segment_set_id(g->input, 1);
	cr_assert_eq(regions_map(&g->regions, segment_fd(g->input), &input_map), 0);
	cr_assert_eq(outputs_new(&g->outputs, &output, 64), 0);
	g->made = outputs_next_new(g->outputs);
	pthread_mutex_init(&g->memory, NULL);
	fd = fake_region(REGION_SIZE, &region);
	g->region = region;
	cr_assert_eq(regions_map(&g->regions, fd, &map), 0);
	close_fd(&fd);
	parts = (struct executor_parts){
		&g->regions, g->outputs, &g->memory, scratch_max, NULL, say_partial, flush, g, 0};
	cr_assert_eq(executor_new(&g->executor, &parts), 0);
	fake_backend_init(&g->fake, 1, 1, MODELD_DTYPE_I32, 4, 8);
	g->run.batch = 100;
	g->run.items = g->items;
}

static void rig_deinit(struct rig *g)
{
	executor_free(g->executor);
	regions_deinit(&g->regions);
	outputs_free(g->outputs);
	segment_free(g->input);
}

static uint64_t used(const struct rig *g)
{
	return arena_used(outputs_arena(g->outputs));
}

/* Another item whose input 0 is [rows, width] of dtype at `span`. */
static void add_span(struct rig *g, enum dtype dtype, int64_t rows, int64_t width, struct span span)
{
	size_t i = g->run.n_items++;

	g->dims[i][0][0] = rows;
	g->dims[i][0][1] = width;
	g->tensors[i][0] = (struct wire_tensor){0, dtype, 2, g->dims[i][0], span};
	g->items[i] = (struct wire_item){.inputs = g->tensors[i], .n_inputs = 1};
}

static void *put(struct rig *g, const void *data, uint64_t n, struct span *ret_span)
{
	cr_assert_eq(segment_alloc(g->input, n, ret_span), 0);
	memcpy(segment_data(g->input, ret_span), data, n);
	return segment_data(g->input, ret_span);
}

/* i32 [rows, 4], counting up from `first`. */
static void add_rows(struct rig *g, int64_t rows, int32_t first)
{
	int32_t values[4 * ITEMS];
	struct span s;

	for (int32_t i = 0; i < 4 * rows; i++)
		values[i] = first + i;
	put(g, values, (uint64_t)rows * 16, &s);
	add_span(g, DTYPE_I32, rows, 4, s);
}

/* Nothing is contiguous: something lies between. */
static void add_gap(struct rig *g)
{
	struct span s;

	put(g, "gap", 3, &s);
}

static void execute(struct rig *g)
{
	cr_assert_eq(executor_run(g->executor, &g->fake.lane, &g->run, &g->done), 0);
	cr_assert_eq(g->done.batch, g->run.batch);
	cr_assert_eq(g->done.n_results, g->run.n_items);
	executor_number(g->executor, &g->done);
}

/* As the daemon does, when all clients have theirs. */
static void release(struct rig *g)
{
	for (size_t i = 0; i < g->done.n_results; i++) {
		uint64_t hold = g->done.results[i].hold;

		if (hold > 0 && (i == 0 || hold != g->done.results[i - 1].hold))
			cr_assert_eq(outputs_release(g->outputs, hold), 0);
	}
}

/* The data of output k of item i: resolved as the daemon would. */
static const void *output_of(struct rig *g, size_t i, size_t k)
{
	const struct wire_result *r = &g->done.results[i];
	_cleanup_(view_freep) struct view *v = NULL;
	const struct segment *s = g->made;

	cr_assert_eq(r->code, 0, "item %zu: %u %s", i, r->code, r->message);
	cr_assert_lt(k, r->n_outputs);
	cr_assert_eq(view_new(&v, segment_fd(s), segment_id(s), segment_size(s)), 0);
	cr_assert(view_data(v, &r->outputs[k].span));
	return segment_data((struct segment *)s, &r->outputs[k].span);
}

static void expect_rows(struct rig *g, size_t i, int64_t rows, int32_t first)
{
	const int32_t *values = output_of(g, i, 0);
	const struct wire_tensor *t = &g->done.results[i].outputs[0];

	cr_assert_eq(t->dims[0], rows);
	cr_assert_eq(t->dims[1], 4);
	cr_assert_eq(t->span.length, (uint64_t)rows * 16);
	for (int32_t k = 0; k < 4 * rows; k++)
		cr_assert_eq(values[k], first + k);
}

static void expect_error(struct rig *g, size_t i, enum grpc_status code, const char *part)
{
	const struct wire_result *r = &g->done.results[i];

	cr_assert_eq(r->code, (uint32_t)code, "%u %s", r->code, r->message);
	cr_assert(strstr(r->message, part), "'%s' has no '%s'", r->message, part);
	cr_assert_eq(r->n_outputs, 0);
}

/* --- Where inputs lie --------------------------------------------------------------------- */

Test(executor, one_item_is_not_copied)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 2, 10);
	execute(&g);
	expect_rows(&g, 0, 2, 10);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, 1), &g.tensors[0][0].span));
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	rig_deinit(&g);
}

Test(executor, contiguous_items_are_joined_where_they_lie)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	/* Four rows are a granule: allocated in turn they follow each other. */
	add_rows(&g, 4, 0);
	add_rows(&g, 4, 100);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.fake.runs[0].rows, 8);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, 1), &g.tensors[0][0].span));
	expect_rows(&g, 0, 4, 0);
	expect_rows(&g, 1, 4, 100);
	rig_deinit(&g);
}

Test(executor, scattered_items_are_gathered_aligned)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_gap(&g);
	add_rows(&g, 3, 50);
	add_rows(&g, 2, 90);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.fake.runs[0].rows, 6);
	cr_assert_eq((uintptr_t)g.fake.runs[0].data[0] % 64, 0);
	expect_rows(&g, 0, 1, 0);
	expect_rows(&g, 1, 3, 50);
	expect_rows(&g, 2, 2, 90);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 1, "one output, dealt out in slices");
	rig_deinit(&g);
}

Test(executor, what_cannot_be_gathered_runs_alone)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	add_rows(&g, 1, 0);
	add_gap(&g);
	add_rows(&g, 1, 50);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 2);
	expect_rows(&g, 0, 1, 0);
	expect_rows(&g, 1, 1, 50);
	rig_deinit(&g);
}

Test(executor, different_items_run_alone)
{
	struct wire_pair pair = {"key", "value"};
	uint32_t first = 0;
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, -1, 8);
	add_rows(&g, 1, 0);
	add_rows(&g, 2, 0);
	g.dims[1][0][0] = 1; /* [1, 8] */
	g.dims[1][0][1] = 8;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 2, "another shape");
	g.dims[1][0][0] = 2;
	g.dims[1][0][1] = 4;
	g.items[1].parameters = &pair;
	g.items[1].n_parameters = 1;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 4, "parameters");
	cr_assert_str_eq(g.fake.runs[2].parameter, "");
	cr_assert_str_eq(g.fake.runs[3].parameter, "value");
	g.items[1].n_parameters = 0;
	g.items[1].outputs = &first;
	g.items[1].n_outputs = 1;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 6, "other outputs");
	g.items[1].n_outputs = 0;
	g.fake.model.max_batch_size = 2;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 8, "too many rows");
	g.fake.model.max_batch_size = 0;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 10, "a model that does not batch");
	g.fake.model.max_batch_size = 3;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 11, "nothing is in the way");
	rig_deinit(&g);
}

Test(executor, two_inputs_with_different_rows_run_alone)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 2, 1, MODELD_DTYPE_I32, 4, 8);
	for (int i = 0; i < 2; i++) {
		add_rows(&g, 2, 0);
		g.dims[i][1][0] = 1;
		g.dims[i][1][1] = 4;
		g.tensors[i][1] = (struct wire_tensor){
			1, DTYPE_I32, 2, g.dims[i][1], span_slice(g.tensors[i][0].span, 0, 16)};
		g.items[i].n_inputs = 2;
	}
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 2);
	rig_deinit(&g);
}

/* --- BYTES -------------------------------------------------------------------------------- */

static size_t bytes_element(char *to, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);

	memcpy(to, &n, sizeof(n));
	memcpy(to + sizeof(n), text, n);
	return sizeof(n) + n;
}

Test(executor, bytes_are_joined_and_split_by_element)
{
	const char *const words[] = {"a", "", "longer than the others", "bb", "c", "ddd"};
	const int64_t rows[] = {1, 0, 2};
	struct rig g;
	size_t word = 0;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, 2, 8);
	for (size_t i = 0; i < 3; i++) {
		char data[256];
		size_t n = 0;
		struct span s;

		for (int64_t k = 0; k < 2 * rows[i]; k++)
			n += bytes_element(data + n, words[word++]);
		put(&g, data, n, &s);
		add_span(&g, DTYPE_BYTES, rows[i], 2, s);
	}
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	for (size_t i = 0; i < 3; i++) {
		const struct wire_tensor *in = &g.tensors[i][0];
		const struct wire_tensor *out = &g.done.results[i].outputs[0];

		cr_assert_eq(out->span.length, in->span.length);
		cr_assert_eq(out->dims[0], rows[i]);
		cr_assert_eq(memcmp(output_of(&g, i, 0), segment_data(g.input, &in->span),
				     in->span.length),
			0);
	}
	rig_deinit(&g);
}

static enum modeld_code give_malformed(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	void *out = fake_output(batch, 0, MODELD_DTYPE_BYTES, batch->inputs[0]->dims, 2, 8, error);

	memset(out, 0xff, 8);
	return MODELD_OK;
}

Test(executor, malformed_bytes_of_a_backend_are_its_fault)
{
	char data[64];
	struct span s;
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, 1, 8);
	g.fake.run = give_malformed;
	put(&g, data, bytes_element(data, "x"), &s);
	add_span(&g, DTYPE_BYTES, 1, 1, s);
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "malformed bytes");
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

/* --- Regions ------------------------------------------------------------------------------ */

static struct span in_region(uint64_t offset, uint64_t length)
{
	return (struct span){.arena = REGION, .offset = offset, .length = length};
}

Test(executor, aligned_region_input_is_not_copied)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	add_span(&g, DTYPE_I32, 1, 4, in_region(128, 16));
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.fake.runs[0].shared[0], 1);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, REGION), &g.tensors[0][0].span));
	rig_deinit(&g);
}

Test(executor, unaligned_region_input_is_copied)
{
	struct rig g;
	int32_t values[] = {1, 2, 3, 4};

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	memcpy(g.region + 4, values, sizeof(values));
	add_span(&g, DTYPE_I32, 1, 4, in_region(4, 16));
	execute(&g);
	expect_rows(&g, 0, 1, 1);
	cr_assert_eq((uintptr_t)g.fake.runs[0].data[0] % 64, 0);
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	rig_deinit(&g);
}

Test(executor, region_bytes_are_checked_on_a_private_copy)
{
	struct rig g;
	size_t n;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, 1, 8);
	n = bytes_element(g.region, "word");
	add_span(&g, DTYPE_BYTES, 1, 1, in_region(0, n));
	add_span(&g, DTYPE_BYTES, 1, 1, in_region(0, n - 1));
	add_span(&g, DTYPE_BYTES, 1, 1, in_region(0, 0));
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.fake.n_runs, 1, "the others did not get as far");
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	expect_error(&g, 1, GRPC_INVALID_ARGUMENT, "malformed bytes tensor");
	expect_error(&g, 2, GRPC_INVALID_ARGUMENT, "malformed bytes tensor");
	rig_deinit(&g);
}

Test(executor, copies_have_a_limit)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 64);
	add_span(&g, DTYPE_I32, 8, 4, in_region(4, 128));
	add_span(&g, DTYPE_I32, 4, 4, in_region(4, 64));
	execute(&g);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "[memory] input_arena_bytes");
	cr_assert_eq(g.done.results[1].code, 0);
	rig_deinit(&g);
}

Test(executor, spans_outside_are_refused)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_span(&g, DTYPE_I32, 1, 4, in_region(REGION_SIZE - 8, 16));
	add_span(
		&g, DTYPE_I32, 1, 4, (struct span){.arena = REGION + 1, .offset = 0, .length = 16});
	add_span(&g, DTYPE_I32, 1, 4, (struct span){.arena = 1, .offset = ~0ull - 7, .length = 16});
	add_span(&g, DTYPE_I32, 1, 4, (struct span){.arena = 2, .offset = 0, .length = 16});
	add_rows(&g, 1, 5);
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "outside of its memory");
	expect_error(&g, 1, GRPC_INTERNAL, "not mapped");
	expect_error(&g, 2, GRPC_INTERNAL, "outside of its memory");
	expect_error(&g, 3, GRPC_INTERNAL, "not mapped");
	expect_rows(&g, 4, 1, 5);
	rig_deinit(&g);
}

static void target(struct rig *g, size_t i, struct wire_target *t)
{
	g->items[i].targets = t;
	g->items[i].n_targets = 1;
}

Test(executor, output_goes_straight_to_its_place)
{
	struct wire_target t = {0, in_region(64, 100)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 7);
	target(&g, 0, &t);
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0, "%s", g.done.results[0].message);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 64);
	cr_assert_eq(g.done.results[0].outputs[0].span.length, 16);
	cr_assert_eq(((int32_t *)(g.region + 64))[3], 10);
	cr_assert_eq(
		arena_memory(outputs_arena(g.outputs)).resident, 0, "the arena was not needed");
	rig_deinit(&g);
}

Test(executor, output_to_an_unaligned_place_is_copied_there)
{
	struct wire_target t = {0, in_region(3, 16)};
	int32_t values[4];
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 7);
	target(&g, 0, &t);
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0, "%s", g.done.results[0].message);
	memcpy(values, g.region + 3, sizeof(values));
	cr_assert_eq(values[0], 7);
	cr_assert_eq(values[3], 10);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 3);
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

Test(executor, an_output_larger_than_its_target_stays_in_the_arena)
{
	struct wire_target t = {0, in_region(0, 15)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 7);
	target(&g, 0, &t);
	memset(g.region, 9, 64);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	expect_rows(&g, 0, 1, 7);
	cr_assert_neq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.region[0], 9, "nothing is written there");
	cr_assert_geq(used(&g), 16);
	rig_deinit(&g);
}

/* The second does not fit, the third has no target. */
Test(executor, joined_outputs_go_each_to_its_target)
{
	struct wire_target first = {0, in_region(3, 64)}, second = {0, in_region(128, 31)};
	int32_t values[4];
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 10);
	add_gap(&g);
	add_rows(&g, 2, 20);
	add_gap(&g);
	add_rows(&g, 1, 30);
	target(&g, 0, &first);
	target(&g, 1, &second);
	g.region[3 + 16] = 9;
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 3);
	cr_assert_eq(g.done.results[0].outputs[0].span.length, 16);
	cr_assert_eq(g.done.results[0].outputs[0].dims[0], 1);
	memcpy(values, g.region + 3, sizeof(values));
	for (int32_t i = 0; i < 4; i++)
		cr_assert_eq(values[i], 10 + i);
	cr_assert_eq(g.region[3 + 16], 9, "not beyond it");
	expect_rows(&g, 1, 2, 20);
	expect_rows(&g, 2, 1, 30);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(g.done.results[i].joined, 3);
	rig_deinit(&g);
}

/* Input and output in regions: nothing is left behind in the arena. */
Test(executor, joined_items_of_local_clients)
{
	struct wire_target first = {0, in_region(1024, 16)}, second = {0, in_region(2048, 16)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int32_t i = 0; i < 8; i++)
		((int32_t *)g.region)[i + (i < 4 ? 0 : 100)] = 100 + i;
	add_span(&g, DTYPE_I32, 1, 4, in_region(0, 16));
	add_span(&g, DTYPE_I32, 1, 4, in_region(104 * 4, 16));
	target(&g, 0, &first);
	target(&g, 1, &second);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(((int32_t *)(g.region + 1024))[3], 103);
	cr_assert_eq(((int32_t *)(g.region + 2048))[0], 104);
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

Test(executor, targets_of_several_items_are_kept_apart)
{
	struct wire_target first = {0, in_region(0, 64)}, second = {0, in_region(64, 64)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 10);
	add_rows(&g, 1, 20);
	add_rows(&g, 1, 30);
	target(&g, 0, &first);
	target(&g, 1, &second);
	execute(&g);
	cr_assert_eq(((int32_t *)g.region)[0], 10);
	cr_assert_eq(((int32_t *)(g.region + 64))[0], 20);
	expect_rows(&g, 2, 1, 30);
	rig_deinit(&g);
}

Test(executor, bad_targets)
{
	struct wire_target good = {0, in_region(0, 16)};
	struct wire_target outside = {0, in_region(REGION_SIZE - 1, 16)};
	struct wire_target unwanted = {1, in_region(0, 64)};
	struct wire_target nowhere = {0, {.arena = REGION + 1, .length = 64}};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int i = 0; i < 4; i++)
		add_rows(&g, 1, 0);
	target(&g, 0, &good);
	target(&g, 1, &outside);
	target(&g, 2, &unwanted);
	target(&g, 3, &nowhere);
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	expect_error(&g, 1, GRPC_INTERNAL, "can be written");
	expect_error(&g, 2, GRPC_INTERNAL, "not wanted");
	expect_error(&g, 3, GRPC_INTERNAL, "can be written");
	rig_deinit(&g);
}

Test(executor, read_only_region_takes_no_output)
{
	struct wire_map map = {.id = REGION + 9, .size = 4096, .writable = false};
	struct wire_target t = {0, {.arena = REGION + 9, .length = 64}};
	void *data;
	int fd = fake_region(4096, &data);
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	cr_assert_eq(regions_map(&g.regions, fd, &map), 0);
	add_rows(&g, 1, 0);
	target(&g, 0, &t);
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "can be written");
	rig_deinit(&g);
	close(fd);
}

/* --- What the backend does ---------------------------------------------------------------- */

Test(executor, unwanted_outputs_are_not_sent)
{
	uint32_t want[] = {1};
	uint32_t beyond[] = {2};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 2, MODELD_DTYPE_I32, 4, 8);
	add_rows(&g, 1, 0);
	g.items[0].outputs = want;
	g.items[0].n_outputs = 1;
	execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_eq(g.done.results[0].outputs[0].index, 1);
	g.items[0].outputs = beyond;
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "output 2 is wanted");
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
	add_rows(&g, 1, 0);
	g.items[0].outputs = want;
	g.items[0].n_outputs = 1;
	execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 1);
	release(&g);
	cr_assert_eq(used(&g), 0);
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
	add_rows(&g, 1, 3);
	execute(&g);
	expect_rows(&g, 0, 1, 3);
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
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		execute(&g);
		expect_error(&g, 0, GRPC_INTERNAL, "declared");
		expect_error(&g, 1, GRPC_INTERNAL, "declared");
		cr_assert_eq(g.fake.n_runs, 3 * (i + 1), "joined, then each alone");
		cr_assert_eq(used(&g), 0);
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
	release(g);
	promise.written = 64;
	promise.writes_all = 1;
	execute(g);
	cr_assert_eq(g->done.results[0].code, 0);
	release(g);
	promise.written = written;
	promise.writes_all = writes_all;
	execute(g);
}

Test(executor, what_a_backend_does_not_write_is_nobody_elses)
{
	static const char zeroes[64];
	const char *out;
	struct rig g;

	rig_init(&g, ARENA_BYTES, 4096);
	g.fake.run = write_some;
	add_rows(&g, 4, 0);
	run_after_another(&g, 0, 0);
	cr_assert_arr_eq(output_of(&g, 0, 0), zeroes, 64);
	run_after_another(&g, 32, 0);
	out = output_of(&g, 0, 0);
	cr_assert_eq(out[31], 0x5a);
	cr_assert_arr_eq(out + 32, zeroes, 32);
	run_after_another(&g, 0, 1);
	expect_error(&g, 0, GRPC_INTERNAL, "did not");
	run_after_another(&g, 32, 1);
	expect_error(&g, 0, GRPC_INTERNAL, "did not");
	run_after_another(&g, 64, 1);
	out = output_of(&g, 0, 0);
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
	add_rows(&g, 1, 0);
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "gave no output 'out0'");
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
	add_rows(&g, 1, 1);
	add_rows(&g, 1, -1);
	add_rows(&g, 1, 9);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 4);
	expect_rows(&g, 0, 1, 1);
	expect_error(&g, 1, GRPC_INVALID_ARGUMENT, "negative value");
	expect_rows(&g, 2, 1, 9);
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
		add_rows(&g, 1, 1);
		add_rows(&g, 1, 9);
		execute(&g);
		cr_assert_eq(g.fake.n_runs, 3);
		expect_rows(&g, 0, 1, 1);
		expect_rows(&g, 1, 1, 9);
		rig_deinit(&g);
	}
}

/* --- Nobody waits any more -------------------------------------------------------------- */

Test(executor, what_nobody_waits_for_is_not_run)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 4);
	atomic_store(&g.fake.lane.cancelled, g.run.batch);
	execute(&g);
	cr_assert_eq(g.fake.n_runs, 0);
	for (size_t i = 0; i < 2; i++)
		expect_error(&g, i, GRPC_CANCELLED, "nobody waits");
	cr_assert_eq(used(&g), 0);
	g.run.batch++;
	execute(&g);
	expect_rows(&g, 0, 1, 0);
	release(&g);
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
		add_rows(&g, 1, 0);
		add_rows(&g, 1, 4);
		execute(&g);
		cr_assert_eq(g.fake.n_runs, 1);
		expect_error(&g, 0, GRPC_CANCELLED, "in the middle");
		expect_error(&g, 1, GRPC_CANCELLED, joined ? "in the middle" : "nobody waits");
		cr_assert_eq(used(&g), 0);
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
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	for (size_t i = 0; i < 4; i++) {
		strange_code = given[i];
		execute(&g);
		expect_error(&g, 0, codes[i], "the backend gave no reason");
		expect_error(&g, 1, codes[i], "the backend gave no reason");
		cr_assert_eq(used(&g), 0);
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
	add_rows(&g, 1, 4);
	for (int i = 0; i < 50; i++) {
		execute(&g);
		pthread_join(late_thread, NULL);
		expect_rows(&g, 0, 1, 4);
		release(&g);
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
	add_rows(&g, 1, 4);
	execute(&g);
	expect_error(&g, 0, GRPC_INVALID_ARGUMENT, "it is bad");
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
	add_rows(&g, 1, 4);
	add_rows(&g, 1, 8);
	cr_assert_eq(executor_run(g.executor, &g.fake.lane, &g.run, &g.done), EXECUTOR_E_FATAL);
	cr_assert_str_eq(executor_fatal(g.executor), "the device is lost");
	cr_assert_eq(g.fake.n_runs, 2, "nothing is run after it");
	cr_assert_eq(used(&g), 0);
	g.fake.run = fake_echo;
	execute(&g);
	expect_rows(&g, 1, 1, 8);
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
	add_rows(&g, 1, 4);
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "in device memory");
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "a size of 8");
	rig_deinit(&g);
}

Test(executor, declared_inputs_are_checked)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	g.tensors[0][0].dtype = DTYPE_F32;
	g.dims[1][0][1] = 3;
	g.tensors[2][0].index = 1;
	g.items[3].n_inputs = 0;
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "not what the model declares");
	expect_error(&g, 1, GRPC_INTERNAL, "not what the model declares");
	expect_error(&g, 2, GRPC_INTERNAL, "wrong order");
	expect_error(&g, 3, GRPC_INTERNAL, "0 inputs came");
	cr_assert_eq(g.fake.n_runs, 0);
	rig_deinit(&g);
}

/* --- Memory ------------------------------------------------------------------------------- */

Test(executor, full_output_arena)
{
	struct rig g;
	uint64_t size;

	rig_init(&g, 4096, ARENA_BYTES);
	size = arena_limit(outputs_arena(g.outputs));
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	for (int i = 0; i < 4; i++) {
		struct span s;

		cr_assert_eq(segment_alloc(g.input, 2048, &s), 0);
		add_span(&g, DTYPE_I32, 1, 512, s);
	}
	g.fake.model.max_batch_size = 1;
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[1].code, 0);
	cr_assert_eq(used(&g), size);
	expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "2048 bytes");
	release(&g);
	cr_assert_eq(used(&g), 0);
	/* Together they are more than there is; what has room one by one gets it. */
	g.fake.model.max_batch_size = 8;
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[1].code, 0);
	expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	rig_deinit(&g);
}

Test(executor, an_output_larger_than_the_output_arena)
{
	struct span s;
	struct rig g;

	rig_init(&g, 4096, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	cr_assert_eq(segment_alloc(g.input, 8192, &s), 0);
	add_span(&g, DTYPE_I32, 4, 512, s);
	execute(&g);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "more than the worker's output memory");
	rig_deinit(&g);
}

Test(executor, items_have_a_hold_each_unless_they_ran_as_one)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int i = 0; i < 3; i++)
		add_rows(&g, 1, i);
	execute(&g);
	cr_assert_neq(g.done.results[0].hold, 0);
	cr_assert_eq(g.done.results[0].hold, g.done.results[2].hold);
	release(&g);
	g.fake.model.max_batch_size = 1;
	execute(&g);
	for (int i = 1; i < 3; i++)
		cr_assert_gt(g.done.results[i].hold, g.done.results[i - 1].hold);
	cr_assert_eq(outputs_release(g.outputs, g.done.results[1].hold), 0);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 2, "of the others");
	rig_deinit(&g);
}

Test(executor, more_holds_than_may_be)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	g.fake.model.max_batch_size = 1;
	add_rows(&g, 1, 0);
	for (int i = 0; i < 64; i++)
		execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	execute(&g);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "[worker] max_holds");
	cr_assert_eq(g.done.results[0].hold, 0);
	cr_assert_eq(outputs_release(g.outputs, 7), 0);
	execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	rig_deinit(&g);
}

Test(executor, refused_batch_holds_nothing)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_rows(&g, 1, 0);
	execute(&g);
	cr_assert_gt(used(&g), 0);
	executor_refuse(g.executor, &g.done);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "max_batch_size");
	expect_error(&g, 1, GRPC_RESOURCE_EXHAUSTED, "max_batch_size");
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

Test(executor, steady_state_allocates_nothing)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_gap(&g);
	add_rows(&g, 2, 0);
	execute(&g);
	release(&g);
	failalloc_arm(FAIL_ALL, FAIL_TRANSIENT, 0);
	for (int i = 0; i < 100; i++) {
		execute(&g);
		release(&g);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	rig_deinit(&g);
}

/* Whatever fails: each item has a result, and no output is lost. */
static int run_under_fire(void *arg)
{
	struct rig *g = arg;
	struct executor_parts parts = {
		&g->regions, g->outputs, &g->memory, ARENA_BYTES, NULL, say_partial, flush, g, 0};
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
	release(g);
	cr_assert_eq(used(g), 0);
	return worst ? -1 : 0;
}

Test(executor, faults)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	add_rows(&g, 1, 0);
	add_gap(&g);
	add_rows(&g, 2, 0);
	FAULT_LOOP(run_under_fire, &g);
	add_span(&g, DTYPE_I32, 1, 4, in_region(4, 16));
	g.tensors[2][0].dims = g.dims[2][0];
	g.fake.model.max_batch_size = 1;
	FAULT_LOOP(run_under_fire, &g);
	rig_deinit(&g);
}

/* --- Answers in part ---------------------------------------------------------------------- */

static int say_partial(void *data, struct wire_partial *partial, struct hold *hold)
{
	struct rig *g = data;
	struct span span = partial->outputs[0].span;

	if (g->say_error)
		return g->say_error;
	cr_assert_eq(partial->batch, g->run.batch);
	cr_assert_eq(partial->n_outputs, 1);
	memcpy(&g->last_value, segment_data(g->made, &span), sizeof(g->last_value));
	g->last_hold = outputs_number(g->outputs, hold);
	g->n_partial++;
	return 0;
}

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
	add_rows(g, 1, 4);
}

Test(executor, answers_in_part_and_an_empty_last)
{
	struct rig g;

	rig_decoupled(&g);
	execute(&g);
	cr_assert_eq(g.n_partial, 2);
	cr_assert_eq(g.last_value, 2);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[0].n_outputs, 0);
	cr_assert_eq(g.done.results[0].hold, 0);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 2, "the daemon's");
	cr_assert_eq(outputs_release(g.outputs, g.last_hold - 1), 0);
	cr_assert_eq(outputs_release(g.outputs, g.last_hold), 0);
	cr_assert_eq(used(&g), 0);
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

Test(executor, a_last_answer_with_outputs_or_with_an_error)
{
	struct rig g;

	rig_decoupled(&g);
	end_after_two = end_with_a_row;
	execute(&g);
	cr_assert_eq(g.done.results[0].n_outputs, 1);
	cr_assert_gt(g.done.results[0].hold, g.last_hold);
	end_after_two = end_badly;
	execute(&g);
	expect_error(&g, 0, GRPC_INVALID_ARGUMENT, "no more");
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

Test(executor, no_answer_in_part_for_nobody)
{
	struct rig g;

	rig_decoupled(&g);
	g.fake.run = answer_until_told;
	execute(&g);
	cr_assert_eq(g.n_partial, 1);
	expect_error(&g, 0, GRPC_CANCELLED, "nobody waits");
	rig_deinit(&g);
}

Test(executor, answers_in_part_that_are_not_as_they_must_be)
{
	struct rig g;

	rig_decoupled(&g);
	g.fake.model.info.decoupled = 0;
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "did not declare the model decoupled");
	g.fake.model.info.decoupled = 1;
	g.fake.run = answer_without_outputs;
	execute(&g);
	expect_error(&g, 0, GRPC_INTERNAL, "gave no output");
	g.fake.run = answer_twice;
	g.say_error = -EMSGSIZE;
	execute(&g);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	cr_assert_eq(g.n_partial, 0);
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

/* --- Output memory that is full ------------------------------------------------------------- */

/* As the daemon, with clients that take what they are given. */
static int flush(void *data)
{
	struct rig *g = data;

	g->n_flushed++;
	while (g->releases && g->last_hold > 0 && outputs_release(g->outputs, g->last_hold) == 0)
		g->last_hold--;
	return 0;
}

/* Items of 2048 bytes each; two fit. */
static void rig_narrow(struct rig *g, size_t n_items)
{
	rig_init(g, 4096, ARENA_BYTES);
	g->executor = executor_free(g->executor);
	cr_assert_eq(executor_new(&g->executor,
			     &(struct executor_parts){&g->regions, g->outputs, &g->memory,
				     ARENA_BYTES, NULL, say_partial, flush, g, WAIT_NS}),
		0);
	fake_backend_init(&g->fake, 1, 1, MODELD_DTYPE_I32, 512, 8);
	for (size_t i = 0; i < n_items; i++) {
		struct span s;

		cr_assert_eq(segment_alloc(g->input, 2048, &s), 0);
		*(int32_t *)segment_data(g->input, &s) = (int32_t)i;
		add_span(g, DTYPE_I32, 1, 512, s);
	}
}

static void expect_narrow(struct rig *g, size_t i)
{
	cr_assert_eq(*(const int32_t *)output_of(g, i, 0), (int32_t)i);
}

Test(executor, items_that_fit_one_by_one_are_answered_ahead_of_the_batch)
{
	struct rig g;

	rig_narrow(&g, 5);
	g.releases = true;
	execute(&g);
	cr_assert_eq(g.n_partial, 4, "two when the third waits, two when the fifth does");
	cr_assert_eq(g.n_flushed, 2);
	cr_assert_eq(g.last_value, 3);
	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(g.done.results[i].code, 0);
		cr_assert_eq(g.done.results[i].n_outputs, 0);
		cr_assert_eq(g.done.results[i].hold, 0);
	}
	expect_narrow(&g, 4);
	release(&g);
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

Test(executor, nobody_takes_what_is_in_the_way)
{
	struct rig g;

	rig_narrow(&g, 4);
	execute(&g);
	cr_assert_eq(g.n_partial, 2);
	expect_error(&g, 2, GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
	expect_error(&g, 3, GRPC_RESOURCE_EXHAUSTED, "2048 bytes");
	cr_assert_eq(outputs_release(g.outputs, 1), 0);
	cr_assert_eq(outputs_release(g.outputs, 2), 0);
	g.run.n_items = 1;
	execute(&g);
	expect_narrow(&g, 0);
	rig_deinit(&g);
}

Test(executor, an_early_answer_that_does_not_fit_a_message)
{
	struct rig g;

	rig_narrow(&g, 3);
	g.say_error = -EMSGSIZE;
	execute(&g);
	expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	expect_error(&g, 1, GRPC_RESOURCE_EXHAUSTED, "does not fit a message");
	expect_narrow(&g, 2);
	release(&g);
	cr_assert_eq(used(&g), 0);
	rig_deinit(&g);
}

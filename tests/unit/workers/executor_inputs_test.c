/* executor_inputs_test.c: where inputs lie, and what of them is copied. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_executor.h"

Test(executor_inputs, one_item_is_not_copied)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 2, 10);
	rig_execute(&g);
	rig_expect_rows(&g, 0, 2, 10);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, 1), &g.tensors[0][0].span));
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	rig_deinit(&g);
}

Test(executor_inputs, contiguous_items_are_joined_where_they_lie)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	/* Four rows are a granule: allocated in turn they follow each other. */
	rig_add_rows(&g, 4, 0);
	rig_add_rows(&g, 4, 100);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.fake.runs[0].rows, 8);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, 1), &g.tensors[0][0].span));
	rig_expect_rows(&g, 0, 4, 0);
	rig_expect_rows(&g, 1, 4, 100);
	rig_deinit(&g);
}

Test(executor_inputs, scattered_items_are_gathered_aligned)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 0);
	rig_add_gap(&g);
	rig_add_rows(&g, 3, 50);
	rig_add_rows(&g, 2, 90);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.fake.runs[0].rows, 6);
	cr_assert_eq((uintptr_t)g.fake.runs[0].data[0] % 64, 0);
	rig_expect_rows(&g, 0, 1, 0);
	rig_expect_rows(&g, 1, 3, 50);
	rig_expect_rows(&g, 2, 2, 90);
	cr_assert_eq(arena_n_spans(outputs_arena(g.outputs)), 1, "one output, dealt out in slices");
	rig_deinit(&g);
}

Test(executor_inputs, what_cannot_be_gathered_runs_alone)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	rig_add_rows(&g, 1, 0);
	rig_add_gap(&g);
	rig_add_rows(&g, 1, 50);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 2);
	rig_expect_rows(&g, 0, 1, 0);
	rig_expect_rows(&g, 1, 1, 50);
	rig_deinit(&g);
}

Test(executor_inputs, different_items_run_alone)
{
	struct wire_pair pair = {"key", "value"};
	uint32_t first = 0;
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_I32, -1, 8);
	rig_add_rows(&g, 1, 0);
	rig_add_rows(&g, 2, 0);
	g.dims[1][0][0] = 1; /* [1, 8] */
	g.dims[1][0][1] = 8;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 2, "another shape");
	g.dims[1][0][0] = 2;
	g.dims[1][0][1] = 4;
	g.items[1].parameters = &pair;
	g.items[1].n_parameters = 1;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 4, "parameters");
	cr_assert_str_eq(g.fake.runs[2].parameter, "");
	cr_assert_str_eq(g.fake.runs[3].parameter, "value");
	g.items[1].n_parameters = 0;
	g.items[1].outputs = &first;
	g.items[1].n_outputs = 1;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 6, "other outputs");
	g.items[1].n_outputs = 0;
	g.fake.model.max_batch_size = 2;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 8, "too many rows");
	g.fake.model.max_batch_size = 0;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 10, "a model that does not batch");
	g.fake.model.max_batch_size = 3;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 11, "nothing is in the way");
	rig_deinit(&g);
}

Test(executor_inputs, two_inputs_with_different_rows_run_alone)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 2, 1, MODELD_DTYPE_I32, 4, 8);
	for (int i = 0; i < 2; i++) {
		rig_add_rows(&g, 2, 0);
		g.dims[i][1][0] = 1;
		g.dims[i][1][1] = 4;
		g.tensors[i][1] = (struct wire_tensor){
			1, DTYPE_I32, 2, g.dims[i][1], span_slice(g.tensors[i][0].span, 0, 16)};
		g.items[i].n_inputs = 2;
	}
	rig_execute(&g);
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

Test(executor_inputs, bytes_are_joined_and_split_by_element)
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
		rig_put(&g, data, n, &s);
		rig_add_span(&g, DTYPE_BYTES, rows[i], 2, s);
	}
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	for (size_t i = 0; i < 3; i++) {
		const struct wire_tensor *in = &g.tensors[i][0];
		const struct wire_tensor *out = &g.done.results[i].outputs[0];

		cr_assert_eq(out->span.length, in->span.length);
		cr_assert_eq(out->dims[0], rows[i]);
		cr_assert_eq(memcmp(rig_output(&g, i, 0), segment_data(g.input, &in->span),
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

Test(executor_inputs, malformed_bytes_of_a_backend_are_its_fault)
{
	char data[64];
	struct span s;
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, 1, 8);
	g.fake.run = give_malformed;
	rig_put(&g, data, bytes_element(data, "x"), &s);
	rig_add_span(&g, DTYPE_BYTES, 1, 1, s);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "malformed bytes");
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

/* --- Regions ------------------------------------------------------------------------------ */

Test(executor_inputs, aligned_region_input_is_not_copied)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 0);
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(128, 16));
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.fake.runs[0].shared[0], 1);
	cr_assert_eq(g.fake.runs[0].data[0],
		view_data(regions_find(&g.regions, REGION), &g.tensors[0][0].span));
	rig_deinit(&g);
}

Test(executor_inputs, unaligned_region_input_is_copied)
{
	struct rig g;
	int32_t values[] = {1, 2, 3, 4};

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	memcpy(g.region + 4, values, sizeof(values));
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(4, 16));
	rig_execute(&g);
	rig_expect_rows(&g, 0, 1, 1);
	cr_assert_eq((uintptr_t)g.fake.runs[0].data[0] % 64, 0);
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	rig_deinit(&g);
}

Test(executor_inputs, region_bytes_are_checked_on_a_private_copy)
{
	struct rig g;
	size_t n;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, 1, 8);
	n = bytes_element(g.region, "word");
	rig_add_span(&g, DTYPE_BYTES, 1, 1, rig_in_region(0, n));
	rig_add_span(&g, DTYPE_BYTES, 1, 1, rig_in_region(0, n - 1));
	rig_add_span(&g, DTYPE_BYTES, 1, 1, rig_in_region(0, 0));
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.fake.n_runs, 1, "the others did not get as far");
	cr_assert_eq(g.fake.runs[0].shared[0], 0);
	rig_expect_error(&g, 1, GRPC_INVALID_ARGUMENT, "malformed bytes tensor");
	rig_expect_error(&g, 2, GRPC_INVALID_ARGUMENT, "malformed bytes tensor");
	rig_deinit(&g);
}

/* The daemon does not look at so many: one that does not add up keeps none of the others from its answer. */
Test(executor_inputs, bytes_of_many_elements_are_checked_here)
{
	static const char zeroes[4 * (WIRE_BYTES_CHECKED_MAX + 1)];
	const int64_t many = WIRE_BYTES_CHECKED_MAX + 1;
	struct span span;
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	fake_backend_init(&g.fake, 1, 1, MODELD_DTYPE_BYTES, many, 8);
	for (unsigned cut = 0; cut < 2; cut++) {
		rig_put(&g, zeroes, sizeof(zeroes), &span);
		rig_add_span(&g, DTYPE_BYTES, 1, many, span_slice(span, 0, sizeof(zeroes) - cut));
	}
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0, "%s", g.done.results[0].message);
	rig_expect_error(&g, 1, GRPC_INVALID_ARGUMENT, "malformed bytes tensor");
	rig_deinit(&g);
}

Test(executor_inputs, copies_have_a_limit)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, 64);
	rig_add_span(&g, DTYPE_I32, 8, 4, rig_in_region(4, 128));
	rig_add_span(&g, DTYPE_I32, 4, 4, rig_in_region(4, 64));
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "[memory] input_arena_bytes");
	cr_assert_eq(g.done.results[1].code, 0);
	rig_deinit(&g);
}

Test(executor_inputs, spans_outside_are_refused)
{
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(REGION_SIZE - 8, 16));
	rig_add_span(
		&g, DTYPE_I32, 1, 4, (struct span){.arena = REGION + 1, .offset = 0, .length = 16});
	rig_add_span(
		&g, DTYPE_I32, 1, 4, (struct span){.arena = 1, .offset = ~0ull - 7, .length = 16});
	rig_add_span(&g, DTYPE_I32, 1, 4, (struct span){.arena = 2, .offset = 0, .length = 16});
	rig_add_rows(&g, 1, 5);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "outside of its memory");
	rig_expect_error(&g, 1, GRPC_INTERNAL, "not mapped");
	rig_expect_error(&g, 2, GRPC_INTERNAL, "outside of its memory");
	rig_expect_error(&g, 3, GRPC_INTERNAL, "not mapped");
	rig_expect_rows(&g, 4, 1, 5);
	rig_deinit(&g);
}

/* modeld_result_test.c: outputs that make sense, and others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "clients/c/modeld_private.h"

#define REGION_BYTES 4096u

static uint8_t memory[REGION_BYTES];
static struct modeld connection;
static struct modeld_region region = {
	.m = &connection, .base = memory, .bytes = REGION_BYTES, .number = 5};
static struct use target = {.region = &region, .offset = 64, .bytes = 64};
static struct modeld_call call = {.m = &connection, .n_targets = 1, .targets = &target};

/* An answer with one output, f32[2], where its target is. */
static int64_t dims[TENSOR_RANK_MAX];
static struct handoff_tensor output;

static void set_up(void)
{
	list_init(&connection.results);
	list_init(&connection.idle_results);
	dims[0] = 2;
	output = (struct handoff_tensor){.name = "out",
		.dtype = DTYPE_F32,
		.rank = 1,
		.dims = dims,
		.region = 5,
		.offset = 64,
		.length = 8};
}

TestSuite(modeld_result, .init = set_up);

static int take(struct modeld_result **ret_result)
{
	const struct handoff_inferred answer = {
		.outputs = &output, .n_outputs = 1, .queue_ns = 1, .compute_ns = 2, .total_ns = 3};

	return result_new(ret_result, &call, &answer);
}

static void refused(void)
{
	struct modeld_result *r = NULL;

	cr_assert_eq(take(&r), -EPROTO);
	cr_assert_null(r);
}

static void inline_data(const char *data, size_t n)
{
	output.region = 0;
	output.data = n > 0 ? (const uint8_t *)data : NULL;
	output.n_data = n;
}

Test(modeld_result, in_a_region)
{
	const struct modeld_tensor *t;
	struct modeld_result *r;
	uint64_t queue_ns, compute_ns, total_ns;

	cr_assert_eq(take(&r), 0);
	t = modeld_result_find(r, "out");
	cr_assert_eq(modeld_result_output(r, 0), t);
	cr_assert_eq(t->region, &region);
	cr_assert_eq(t->data, memory + 64);
	cr_assert_eq(t->offset, 64);
	cr_assert_eq(t->bytes, 8);
	cr_assert_eq(t->dims[0], 2);
	modeld_result_times(r, &queue_ns, &compute_ns, &total_ns);
	cr_assert(queue_ns == 1 && compute_ns == 2 && total_ns == 3);
	result_drop(r);
}

Test(modeld_result, inline)
{
	const struct modeld_tensor *t;
	struct modeld_result *r;

	inline_data("8 bytes", 8);
	cr_assert_eq(take(&r), 0);
	t = modeld_result_output(r, 0);
	cr_assert_null(t->region);
	cr_assert_eq(t->bytes, 8);
	cr_assert_eq(t->offset, 0, "nothing for an inline output");
	cr_assert_arr_eq(t->data, "8 bytes", 8);
	cr_assert_neq(t->data, output.data, "a copy");
	result_drop(r);
	dims[0] = 0;
	inline_data(NULL, 0);
	cr_assert_eq(take(&r), 0, "of no elements");
	result_drop(r);
}

Test(modeld_result, places_that_are_no_target)
{
	output.region = 6;
	refused();
	output.region = 5;
	output.offset = 0;
	refused();
	output.offset = 64;
	dims[0] = 17;
	output.length = 68;
	refused();
}

Test(modeld_result, bytes_that_do_not_fit_the_shape)
{
	struct modeld_result *r;

	output.length = 9;
	refused();
	output.length = 7;
	refused();
	output.length = 8;
	output.rank = 3;
	dims[0] = dims[1] = dims[2] = INT64_MAX;
	refused();
	output.rank = 1;
	dims[0] = -2;
	refused();
	dims[0] = 2;
	output.dtype = DTYPE_BYTES;
	cr_assert_eq(take(&r), 0, "those in a region are not looked at");
	result_drop(r);
	dims[0] = 1;
	inline_data("\xff\0\0\0abcd", 8);
	refused();
	inline_data("\x04\0\0\0abcd", 8);
	cr_assert_eq(take(&r), 0);
	result_drop(r);
	inline_data(NULL, 0);
	refused();
}

Test(modeld_result, not_wanted_any_more)
{
	struct modeld_result *r = NULL;

	call.released = true;
	output.length = 9;
	cr_assert_eq(take(&r), 0);
	cr_assert_null(r);
}

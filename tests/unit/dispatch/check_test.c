/* Tests of check.c: what a request may say about its tensors; each refusal's whole text. */
#include "dispatch/check.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static struct answer answer;
static struct request *r;

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	request_unref(r);
	bed_close(&bed);
}

TestSuite(check, .init = setup, .fini = teardown);

static void begin(struct version *m)
{
	cr_assert_eq(request_new(&r, m, &bed.origin, bed_on_done, &answer), 0);
}

static void fill(uint32_t index, enum dtype dtype, uint32_t rank, const int64_t *dims, uint64_t n)
{
	cr_assert_eq(bed_fill(&bed, r, index, dtype, rank, dims, n), 0);
}

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static void refused(const char *text)
{
	cr_assert_eq(check_request(r), DISPATCH_E_REFUSED);
	cr_expect_eq(request_status(r), GRPC_INVALID_ARGUMENT);
	cr_expect_str_eq(request_message(r), text);
}

Test(check, a_good_request)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(3, 4), 48);
	cr_assert_eq(check_request(r), 0);
	cr_expect_eq(r->rows, 3);
	cr_expect(r->joinable);
	cr_expect_eq(r->item.n_inputs, 1);
	cr_expect_eq(r->tensors[0].dtype, DTYPE_I32);
	cr_expect_eq(r->tensors[0].span.length, 48);
	cr_expect_eq(r->tensors[0].span.offset, lease_span(r->inputs[0].lease).offset);
	cr_expect(r->bound >= 48 / 4);
}

Test(check, less_than_the_lease_is_used)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(1, 4), 64);
	r->inputs[0].length = 16;
	cr_assert_eq(check_request(r), 0);
	cr_expect_eq(r->tensors[0].span.length, 16);
}

Test(check, inputs_that_share_a_lease)
{
	struct lease *l = NULL;

	begin(bed.gamma);
	cr_assert_eq(lease_new(&l, dispatch_desk(bed.d), bed.client, 200, 0), 0);
	memcpy(lease_at(l, 64), "\1\0\0\0a\0\0\0", 9);
	*r->inputs = (struct request_input){.dtype = DTYPE_BYTES,
		.rank = 1,
		.dims = {2},
		.lease = l,
		.offset = 64,
		.length = 9};
	r->inputs[1] = (struct request_input){.dtype = DTYPE_F32,
		.rank = 2,
		.dims = {2, 1},
		.lease = lease_ref(l),
		.offset = 128,
		.length = 8};
	cr_assert_eq(check_request(r), 0, "%s", request_message(r));
	cr_expect_eq(r->tensors[0].span.offset, lease_span(l).offset + 64);
	cr_expect_eq(r->tensors[0].span.length, 9);
	cr_expect_eq(r->tensors[1].span.offset, lease_span(l).offset + 128);
}

Test(check, missing_input)
{
	begin(bed.alpha);
	refused("model 'alpha': missing input 'x'");
}

Test(check, missing_inputs)
{
	begin(bed.gamma);
	refused("model 'gamma': missing inputs 'a', 'b'");
}

Test(check, no_dtype)
{
	begin(bed.alpha);
	fill(0, DTYPE_INVALID, 2, DIMS(1, 4), 16);
	refused("model 'alpha' input 'x': no dtype given");
}

Test(check, wrong_dtype)
{
	begin(bed.alpha);
	fill(0, DTYPE_F32, 2, DIMS(1, 4), 16);
	refused("model 'alpha' input 'x': expected i32 [-1,4], got f32 [1,4]");
}

Test(check, wrong_rank)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 1, DIMS(4), 16);
	refused("model 'alpha' input 'x': expected i32 [-1,4], got i32 [4]");
}

Test(check, wrong_dimension)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(1, 5), 20);
	refused("model 'alpha' input 'x': expected i32 [-1,4], got i32 [1,5]");
}

Test(check, rank_above_the_limit)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(1, 4), 16);
	r->inputs[0].rank = 17;
	refused("model 'alpha' input 'x': rank 17 exceeds 16");
}

Test(check, wrong_size)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(2, 4), 31);
	refused("model 'alpha' input 'x': 32 bytes expected for i32 [2,4], got 31");
}

Test(check, negative_dimension)
{
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(-1, 4), 16);
	refused("model 'alpha' input 'x': invalid shape [-1,4]");
}

Test(check, product_that_overflows)
{
	begin(bed.gamma);
	fill(0, DTYPE_U8, 2, DIMS(INT64_MAX, 3), 16);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'a': invalid shape [9223372036854775807,3]");
}

Test(check, bytes_that_overflow)
{
	begin(bed.gamma);
	fill(0, DTYPE_F64, 1, DIMS(INT64_MAX), 16);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'a': invalid shape [9223372036854775807]");
}

Test(check, any_shape_and_dtype)
{
	begin(bed.gamma);
	fill(0, DTYPE_BOOL, 0, NULL, 1);
	fill(1, DTYPE_F32, 2, DIMS(2, 0), 0);
	cr_assert_eq(check_request(r), 0);
	cr_expect_eq(r->rows, 1, "not batched");
	cr_expect_not(r->joinable);
}

Test(check, malformed_bytes)
{
	begin(bed.gamma);
	fill(0, DTYPE_BYTES, 1, DIMS(2), 9);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'a': malformed bytes tensor: 9 bytes are not 2 elements of a "
		"length and so many bytes each");
}

Test(check, well_formed_bytes)
{
	begin(bed.gamma);
	fill(0, DTYPE_BYTES, 1, DIMS(2), 9);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	memcpy(lease_data(r->inputs[0].lease), "\1\0\0\0a\0\0\0", 9);
	cr_expect_eq(check_request(r), 0);
	cr_expect_not(r->joinable);
}

Test(check, no_rows)
{
	bed.alpha->settings.max_batch_size = 8;
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(0, 4), 0);
	refused("batch of 0 rows for model 'alpha'");
}

Test(check, too_many_rows)
{
	bed.alpha->settings.max_batch_size = 8;
	begin(bed.alpha);
	fill(0, DTYPE_I32, 2, DIMS(9, 4), 144);
	refused("batch of 9 rows exceeds max_batch_size 8 of model 'alpha' ([model] of its "
		"model.conf)");
}

/* gamma, as if it batched. */
static struct wire_loaded batching;

static void make_gamma_batch(void)
{
	batching = *bed.pool->loaded[2];
	batching.max_batch_size = 8;
	bed.pool->loaded[2] = &batching;
}

/* Its configuration says so. */
static void configure_gamma_batch(void)
{
	make_gamma_batch();
	bed.gamma->settings.max_batch_size = 8;
}

Test(check, a_batched_model_needs_a_first_dimension)
{
	configure_gamma_batch();
	begin(bed.gamma);
	fill(0, DTYPE_BOOL, 0, NULL, 1);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'a': the first dimension must be the batch's, got []");
}

Test(check, rows_of_all_inputs_agree)
{
	configure_gamma_batch();
	begin(bed.gamma);
	fill(0, DTYPE_BOOL, 1, DIMS(3), 3);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'b': batch of 2 rows, but the first input has 3");
}

/* Where nobody said how many rows there may be, the limit is one of joining. */
Test(check, without_a_configuration_any_rows_run_alone)
{
	static const struct {
		int64_t rows;
		bool joinable;
	} cases[] = {{1, true}, {8, true}, {9, false}, {150, false}, {0, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t rows = cases[i].rows;

		begin(bed.alpha);
		fill(0, DTYPE_I32, 2, DIMS(rows, 4), (uint64_t)rows * 16);
		cr_assert_eq(check_request(r), 0, "case %zu", i);
		cr_expect_eq(r->joinable, cases[i].joinable, "case %zu", i);
		cr_expect_eq(r->rows, cases[i].joinable ? (uint64_t)rows : 1, "case %zu", i);
		request_unref(r);
	}
	make_gamma_batch();
	begin(bed.gamma);
	fill(0, DTYPE_BOOL, 1, DIMS(3), 3);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	cr_assert_eq(check_request(r), 0, "different rows");
	cr_expect_not(r->joinable);
	request_unref(r);
	begin(bed.gamma);
	fill(0, DTYPE_BOOL, 0, NULL, 1);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	cr_assert_eq(check_request(r), 0);
	cr_expect_not(r->joinable);
}

/* --- What can be joined ----------------------------------------------------------------------- */

static struct request *other(enum dtype dtype, int64_t rows, int64_t columns)
{
	struct request *o;
	const int64_t dims[] = {rows, columns};
	const int64_t b_dims[] = {2, 1};

	cr_assert_eq(request_new(&o, bed.gamma, &bed.origin, bed_on_done, &answer), 0);
	cr_assert_eq(bed_fill(&bed, o, 0, dtype, 2, dims,
			     (uint64_t)(rows * columns) * dtype_size(dtype)),
		0);
	cr_assert_eq(bed_fill(&bed, o, 1, DTYPE_F32, 2, b_dims, 8), 0);
	return o;
}

Test(check, joins_the_same_shape_whatever_the_rows)
{
	struct request *o;

	make_gamma_batch();
	r = other(DTYPE_U8, 2, 3);
	o = other(DTYPE_U8, 2, 3);
	cr_assert_eq(check_request(r), 0);
	cr_assert_eq(check_request(o), 0);
	cr_expect(request_joins(r, o));
	request_unref(o);
}

Test(check, joins_no_other_shape_dtype_or_outputs)
{
	struct request *o[3];

	make_gamma_batch();
	r = other(DTYPE_U8, 2, 4);
	o[0] = other(DTYPE_U8, 2, 8);
	o[1] = other(DTYPE_I8, 2, 4);
	o[2] = other(DTYPE_U8, 2, 4);
	cr_assert_eq(request_want_output(o[2], 1), 0);
	cr_assert_eq(check_request(r), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(check_request(o[i]), 0);
		cr_expect_not(request_joins(r, o[i]), "%d", i);
		o[i]->key = r->key; /* a collision */
		cr_expect_not(request_joins(r, o[i]), "%d", i);
		request_unref(o[i]);
	}
}

Test(check, parameters_keep_a_request_alone)
{
	make_gamma_batch();
	r = other(DTYPE_U8, 2, 4);
	cr_assert_eq(request_add_parameter(r, "temperature", "0.5"), 0);
	cr_assert_eq(check_request(r), 0);
	cr_expect_not(r->joinable);
	cr_expect_eq(r->item.n_parameters, 1);
	cr_expect_str_eq(r->item.parameters[0].value, "0.5");
}

Test(check, bytes_of_many_elements_are_left_to_the_worker)
{
	const int64_t many = WIRE_BYTES_CHECKED_MAX + 1;

	begin(bed.gamma);
	fill(0, DTYPE_BYTES, 1, DIMS(many - 1), 9);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	refused("model 'gamma' input 'a': malformed bytes tensor: 9 bytes are not 4096 elements of "
		"a "
		"length and so many bytes each");
	request_unref(r);
	begin(bed.gamma);
	fill(0, DTYPE_BYTES, 1, DIMS(many), 9);
	fill(1, DTYPE_F32, 2, DIMS(2, 1), 8);
	cr_expect_eq(check_request(r), 0);
}

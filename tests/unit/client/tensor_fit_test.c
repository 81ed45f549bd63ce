/* tensor_fit_test.c: what a file has, what the user asks for, and what a model declares. */
#include "clients/modelctl/tensor_fit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failalloc.h"

static char text[256];

static int fit_want(struct tensor *t, const struct tensor_want *want)
{
	static const struct tensor nothing;

	return tensor_fit(t, &nothing, want, text, sizeof(text));
}

static int fit(struct tensor *t, enum dtype d, const int64_t *dims, size_t rank)
{
	return fit_want(t, &(struct tensor_want){.dtype = d, .dims = dims, .rank = rank});
}

static struct tensor with(enum tensor_form form, const void *data, size_t n)
{
	struct tensor t = {.form = form, .data = malloc(n + 1), .n = n};

	memcpy(t.data, data, n);
	return t;
}

Test(tensor_shape, text)
{
	static const char *const wrong[] = {"x", "1,", ",1", "1,,2", "-1", "1 2", "1x",
		"99999999999999999999", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
	struct tensor t = {0};

	cr_assert_eq(tensor_parse_shape(&t, "1,28,0"), 0);
	cr_assert_eq(t.rank, 3);
	cr_assert_eq(t.dims[1], 28);
	cr_assert_eq(tensor_parse_shape(&t, ""), 0);
	cr_assert_eq(t.rank, 0);
	cr_assert_eq(tensor_parse_shape(&t, "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(tensor_parse_shape(&t, wrong[i]), -EINVAL, "%s", wrong[i]);
}

Test(tensor_fit, the_free_dimension_follows_from_the_bytes)
{
	static uint8_t data[64];
	const int64_t dims[] = {-1, 4, -1};
	struct tensor t = {.data = data, .n = 64};

	cr_assert_eq(fit(&t, DTYPE_F32, dims, 3), 0, "%s", text);
	cr_assert_eq((int)t.dtype, DTYPE_F32);
	cr_assert_eq(t.rank, 3);
	cr_assert_eq(t.dims[0], 1, "a batch of one");
	cr_assert_eq(t.dims[1], 4);
	cr_assert_eq(t.dims[2], 4);
	t = (struct tensor){.data = data, .n = 63};
	cr_assert_eq(fit(&t, DTYPE_F32, dims, 3), -EINVAL);
	cr_assert_str_eq(text, "f32[1,4,3] is 48 bytes, there are 63");
}

Test(tensor_fit, the_batch_dimension_is_added)
{
	static uint8_t data[28];
	const int64_t dims[] = {-1, 28}, fixed[] = {5, 28};
	struct tensor t = {.form = TENSOR_TYPED,
		.dtype = DTYPE_U8,
		.has_shape = true,
		.rank = 1,
		.dims = {28},
		.data = data,
		.n = 28};

	cr_assert_eq(fit(&t, DTYPE_F32, dims, 2), -EINVAL);
	cr_assert_str_eq(text, "it is u8, the model takes f32");
	cr_assert_eq(fit(&t, DTYPE_U8, dims, 2), 0, "%s", text);
	cr_assert_eq(t.rank, 2);
	cr_assert_eq(t.dims[0], 1);
	cr_assert_eq(t.dims[1], 28);
	t.rank = 1;
	t.dims[0] = 28;
	cr_assert_eq(fit(&t, DTYPE_U8, fixed, 2), -EINVAL);
	cr_assert_str_eq(text, "it is u8[28], the model takes u8[5,28]");
}

Test(tensor_fit, any_shape)
{
	static uint8_t data[12] = {8};
	const int64_t any[] = {-1};
	struct tensor_want want = {.dtype = DTYPE_F32, .any_shape = true, .dims = any, .rank = 1};
	struct tensor t = {.data = data, .n = 12};

	cr_assert_eq(fit_want(&t, &want), 0);
	cr_assert_eq(t.rank, 1);
	cr_assert_eq(t.dims[0], 3);
	t = (struct tensor){.data = data, .n = 12};
	want.dtype = DTYPE_BYTES;
	cr_assert_eq(fit_want(&t, &want), 0, "%s", text);
	cr_assert_eq(t.dims[0], 1);
	t = (struct tensor){.data = data, .n = 12};
	want.dtype = DTYPE_INVALID;
	cr_assert_eq(fit_want(&t, &want), 0);
	cr_assert_eq((int)t.dtype, DTYPE_U8);
	t = (struct tensor){0};
	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), -EINVAL);
	cr_assert(strstr(text, "--shape"), "%s", text);
}

/* A declaration comes from the network. */
Test(tensor_fit, a_declaration_beyond_the_limits)
{
	static const int64_t dims[40] = {INT64_MAX, INT64_MAX, -1};
	struct tensor_want want = {.dtype = DTYPE_F32, .dims = dims, .rank = 17};
	struct tensor t = {0};

	cr_assert_eq(fit(&t, DTYPE_F32, dims, 17), -EINVAL);
	cr_assert(strstr(text, "rank of 17, the limit is 16"), "%s", text);
	cr_assert_eq(fit(&t, DTYPE_F32, dims, 3), -EINVAL);
	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), -EINVAL);
	want.rank = 3;
	t = (struct tensor){0};
	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), 0);
	cr_assert_eq(tensor_fill(&t, 0, false, text, sizeof(text)), -EINVAL);
	cr_assert(strstr(text, "4 GiB"), "%s", text);
}

Test(tensor_fit, made_up)
{
	const int64_t dims[] = {-1, 4};
	const struct tensor_want want = {.dtype = DTYPE_F32, .dims = dims, .rank = 2};
	struct tensor t = {0};

	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), 0);
	cr_assert_eq(t.dims[0], 1, "nothing to go by");
	t = (struct tensor){.dtype = DTYPE_U8};
	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), -EINVAL);
	cr_assert_str_eq(text, "it is to be u8, the model takes f32");
	t = (struct tensor){.has_shape = true, .rank = 1, .dims = {5}};
	cr_assert_eq(tensor_fit_empty(&t, &want, text, sizeof(text)), -EINVAL);
	cr_assert(strstr(text, "the model takes f32[-1,4]"), "%s", text);
}

Test(tensor_fit, lines)
{
	const int64_t rows[] = {-1, 1}, many[] = {-1, 2};
	struct tensor t = with(TENSOR_TEXT, "one\n\nthree", 10);

	cr_assert_eq(fit(&t, DTYPE_BYTES, rows, 2), 0, "%s", text);
	cr_assert_eq(t.dims[0], 3);
	cr_assert_eq(t.dims[1], 1);
	cr_assert_eq(t.n, 20);
	cr_assert_arr_eq(t.data, "\3\0\0\0one\0\0\0\0\5\0\0\0three", 20);
	tensor_release(&t);
	t = with(TENSOR_TEXT, "a\nb\n", 4);
	cr_assert_eq(fit(&t, DTYPE_BYTES, many, 2), 0, "%s", text);
	cr_assert_eq(t.dims[0], 1);
	cr_assert_eq(t.dims[1], 2);
	tensor_release(&t);
	t = with(TENSOR_TEXT, "1.5", 3);
	cr_assert_eq(fit(&t, DTYPE_F32, rows, 2), -EINVAL);
	cr_assert_str_eq(text, "it is text, the model takes f32");
	tensor_release(&t);
	t = with(TENSOR_PLAIN, "abcd", 4);
	cr_assert_eq(fit(&t, DTYPE_F32, rows, 2), 0, "from standard input: %s", text);
	tensor_release(&t);
}

Test(tensor_fit, json_of_any_type)
{
	const int64_t any[] = {-1};
	const struct tensor_want want = {.any_shape = true, .dims = any, .rank = 1};
	struct tensor t = with(TENSOR_JSON, "[[\"a\"]]", 7);

	cr_assert_eq(fit_want(&t, &want), 0, "%s", text);
	cr_assert_eq((int)t.dtype, DTYPE_BYTES);
	cr_assert_eq(t.rank, 2);
	tensor_release(&t);
	t = with(TENSOR_JSON, "[[1]]", 5);
	cr_assert_eq(fit_want(&t, &want), -EINVAL);
	cr_assert(strstr(text, "--dtype"), "%s", text);
	tensor_release(&t);
	t = with(TENSOR_JSON, "[1] 2", 5);
	cr_assert_eq(fit(&t, DTYPE_F32, any, 1), -EINVAL);
	cr_assert_str_eq(text, "malformed JSON in line 1");
	tensor_release(&t);
}

Test(tensor_fit, another_shape_is_asked_for)
{
	const int64_t dims[] = {2, 3};
	const struct tensor_want want = {.dtype = DTYPE_U8, .dims = dims, .rank = 2};
	struct tensor asked = {.has_shape = true, .rank = 2, .dims = {2, 3}};
	struct tensor t = with(TENSOR_TYPED, "abcdef", 6);

	t.dtype = DTYPE_U8;
	t.has_shape = true;
	t.rank = 1;
	t.dims[0] = 6;
	cr_assert_eq(tensor_fit(&t, &asked, &want, text, sizeof(text)), 0, "%s", text);
	cr_assert_eq(t.rank, 2);
	asked.dims[1] = 4;
	cr_assert_eq(tensor_fit(&t, &asked, &want, text, sizeof(text)), -EINVAL);
	cr_assert_str_eq(text, "u8[2,4] is 8 bytes, there are 6");
	tensor_release(&t);
}

static int fit_texts(void *unused)
{
	const int64_t any[] = {-1};
	struct tensor t = {.form = TENSOR_TEXT, .data = calloc(1, 5), .n = 4};
	int r = t.data ? fit(&t, DTYPE_BYTES, any, 1) : -ENOMEM;

	(void)unused;
	tensor_release(&t);
	if (r)
		return r;
	t = (struct tensor){.form = TENSOR_JSON, .data = calloc(1, 8), .n = 7};
	if (!t.data)
		return -ENOMEM;
	memcpy(t.data, "[1,2,3]", 7);
	r = fit(&t, DTYPE_F64, any, 1);
	tensor_release(&t);
	return r;
}

Test(tensor_fit, fault_loop)
{
	FAULT_LOOP(fit_texts, NULL);
}

/* npy_test.c: what is written as .npy is read as what it was. */
#include "clients/modelctl/npy.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/modelctl/tensor_parse.h"
#include "tests/support/failalloc.h"

static int there_and_back(const struct tensor *t, struct tensor *ret)
{
	struct npy x;
	uint8_t *whole;
	int r = npy_make(&x, t);

	if (!r) {
		cr_assert_eq(x.n_header % 64, 0);
		whole = malloc(x.n_header + x.n + 1);
		r = whole ? 0 : -ENOMEM;
		if (!r) {
			memcpy(whole, x.header, x.n_header);
			memcpy(whole + x.n_header, x.data, x.n);
			r = tensor_parse_npy(ret, whole, x.n_header + x.n);
			free(whole);
		}
	}
	npy_release(&x);
	return r;
}

Test(npy_write, every_type)
{
	static uint8_t data[48];

	for (unsigned d = DTYPE_BOOL; d < DTYPE_BYTES; d++) {
		struct tensor t = {.dtype = (enum dtype)d, .rank = 2, .dims = {2, 3}, .data = data};
		struct tensor back = {0};

		t.n = 6 * dtype_size(t.dtype);
		if (d == DTYPE_BF16) {
			cr_assert_eq(there_and_back(&t, &back), -ENOTSUP);
			continue;
		}
		cr_assert_eq(there_and_back(&t, &back), 0, "%s", dtype_name(t.dtype));
		cr_assert_eq(back.dtype, t.dtype);
		cr_assert_eq(back.rank, 2);
		cr_assert_eq(back.dims[1], 3);
		tensor_release(&back);
	}
}

Test(npy_write, the_largest_header_and_the_smallest)
{
	uint8_t one[8] = {0};
	struct tensor t = {.dtype = DTYPE_U8, .rank = TENSOR_RANK_MAX, .data = one, .n = 0};
	struct tensor back = {0};

	for (unsigned i = 1; i < TENSOR_RANK_MAX; i++)
		t.dims[i] = INT64_MAX;
	cr_assert_eq(there_and_back(&t, &back), 0);
	cr_assert_eq(back.dims[15], INT64_MAX);
	tensor_release(&back);
	t = (struct tensor){.dtype = DTYPE_F64, .data = one, .n = 8};
	cr_assert_eq(there_and_back(&t, &back), 0);
	cr_assert_eq(back.rank, 0);
	tensor_release(&back);
}

static struct tensor texts(void)
{
	static uint8_t data[] = "\1\0\0\0a\0\0\0\0\3\0\0\0b\0c";

	return (struct tensor){.dtype = DTYPE_BYTES, .rank = 1, .dims = {3}, .data = data, .n = 16};
}

Test(npy_write, texts)
{
	static uint8_t zero[] = "\1\0\0\0\0";
	struct tensor t = texts(), back = {0};

	cr_assert_eq(there_and_back(&t, &back), 0);
	cr_assert_eq((int)back.dtype, DTYPE_BYTES);
	cr_assert_eq(back.n, t.n);
	cr_assert_arr_eq(back.data, t.data, t.n);
	tensor_release(&back);
	t = (struct tensor){.dtype = DTYPE_BYTES, .rank = 1, .dims = {1}, .data = zero, .n = 5};
	cr_assert_eq(there_and_back(&t, &back), -ENOTSUP);
	t = (struct tensor){.dtype = DTYPE_BYTES, .rank = 1, .dims = {0}, .data = zero, .n = 0};
	cr_assert_eq(there_and_back(&t, &back), 0);
	cr_assert_eq(back.n, 0);
	tensor_release(&back);
}

static int write_texts(void *unused)
{
	struct tensor t = texts(), back = {0};
	int r = there_and_back(&t, &back);

	(void)unused;
	tensor_release(&back);
	return r;
}

Test(npy_write, fault_loop)
{
	FAULT_LOOP(write_texts, NULL);
}

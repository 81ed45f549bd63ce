/* picture_test.c: pixels in the types and places that models declare. */
#include "clients/modelctl/picture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "clients/modelctl/tensor_parse.h"
#include "tests/support/failalloc.h"

static char text[256];

/* Two columns, one row: 1 2 3 and 4 5 6. */
static struct tensor colours(void)
{
	static const char ppm[] = "P3 2 1 255 1 2 3 4 5 6";
	struct tensor t = {0};

	cr_assert_eq(tensor_parse_picture(&t, (const uint8_t *)ppm, sizeof(ppm) - 1), 0);
	cr_assert_eq(t.picture.channels, 3);
	return t;
}

static int place(struct tensor *t, const int64_t *dims, size_t rank)
{
	const struct tensor_want want = {.dtype = t->dtype, .dims = dims, .rank = rank};

	return picture_place(t, &want, text, sizeof(text));
}

Test(picture, channels_last_and_first)
{
	struct tensor t = colours();

	cr_assert_eq(picture_convert(&t, DTYPE_U8, text, sizeof(text)), 0);
	cr_assert_eq(t.n, 6);
	cr_assert_eq(place(&t, (const int64_t[]){-1, 1, 2, 3}, 4), 0);
	cr_assert_eq(t.rank, 3);
	cr_assert_arr_eq(t.data, "\1\2\3\4\5\6", 6);
	cr_assert_eq(place(&t, (const int64_t[]){6}, 1), 0);
	cr_assert_eq(t.rank, 1);
	cr_assert_eq(place(&t, (const int64_t[]){3, -1, -1}, 3), 0);
	cr_assert_eq(t.dims[2], 2);
	cr_assert_arr_eq(t.data, "\1\4\2\5\3\6", 6);
	tensor_release(&t);
}

Test(picture, other_sides_are_refused)
{
	struct tensor t = colours();

	cr_assert_eq(place(&t, (const int64_t[]){-1, 8, 8}, 3), -EINVAL);
	cr_assert_str_eq(text, "it is a picture of 2 columns and 1 rows in 3 colours, the model "
			       "takes f32[-1,8,8]");
	cr_assert_eq(place(&t, (const int64_t[]){-1, 1, 2}, 3), -EINVAL, "colours are no batch");
	cr_assert_eq(picture_convert(&t, DTYPE_BYTES, text, sizeof(text)), -EINVAL);
	cr_assert_eq(picture_convert(&t, DTYPE_I8, text, sizeof(text)), -EINVAL);
	tensor_release(&t);
}

static int convert_and_place(void *unused)
{
	static const char ppm[] = "P3 2 1 255 1 2 3 4 5 6";
	struct tensor t = {0};
	int r = tensor_parse_picture(&t, (const uint8_t *)ppm, sizeof(ppm) - 1);

	(void)unused;
	if (!r)
		r = picture_convert(&t, DTYPE_I32, text, sizeof(text));
	if (!r)
		r = place(&t, (const int64_t[]){3, 1, 2}, 3);
	tensor_release(&t);
	return r;
}

Test(picture, fault_loop)
{
	FAULT_LOOP(convert_and_place, NULL);
}

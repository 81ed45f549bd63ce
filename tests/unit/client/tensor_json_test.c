/* tensor_json_test.c: lists of lists become elements, or words. */
#include "clients/modelctl/tensor_json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

static char text[256];

static int parse(struct tensor *t, enum dtype d, const char *json)
{
	struct json_reader r = {json, strlen(json), 0};

	*t = (struct tensor){.dtype = d};
	return tensor_from_json(t, &r, text, sizeof(text));
}

Test(tensor_json, shapes)
{
	struct tensor t;

	cr_assert_eq(parse(&t, DTYPE_U8, "[[1,2,3],[4,5,6]]"), 0, "%s", text);
	cr_assert_eq(t.rank, 2);
	cr_assert_eq(t.dims[0], 2);
	cr_assert_eq(t.dims[1], 3);
	cr_assert_arr_eq(t.data, "\1\2\3\4\5\6", 6);
	tensor_release(&t);
	cr_assert_eq(parse(&t, DTYPE_U8, "7"), 0);
	cr_assert_eq(t.rank, 0);
	cr_assert_eq(t.n, 1);
	tensor_release(&t);
	cr_assert_eq(parse(&t, DTYPE_F32, "[[],[]]"), 0);
	cr_assert_eq(t.rank, 2);
	cr_assert_eq(t.dims[1], 0);
	cr_assert_eq(t.n, 0);
	cr_assert_not_null(t.data);
	tensor_release(&t);
	cr_assert_eq(parse(&t, DTYPE_BYTES, "[\"ab\", \"\"]"), 0);
	cr_assert_eq(t.n, 10);
	cr_assert_arr_eq(t.data, "\2\0\0\0ab\0\0\0\0", 10);
	tensor_release(&t);
}

Test(tensor_json, what_does_not_fit)
{
	static const struct {
		enum dtype d;
		const char *json, *words;
	} rows[] = {
		{DTYPE_U8, "[1,300]",
			"element 1: 300 is not what u8 holds: a whole number from 0 to 255"},
		{DTYPE_BYTES, "[1]", "element 0: 1 is not what bytes holds: a text"},
		{DTYPE_F32, "[\"x\"]", "element 0: a text is not what f32 holds"},
		{DTYPE_F32, "[{}]", "an object"},
		{DTYPE_F32, "[[1,2],[3]]", "of no one shape: a list of another length"},
		{DTYPE_F32, "[[1],2]", "an element among lists"},
		{DTYPE_F32, "[1,[2]]", "a list among elements"},
		{DTYPE_F32, "[[],[[]]]", "a list among elements"},
		{DTYPE_F32, "[[[]],[]]", "an element among lists"},
		{DTYPE_F32, "[1,\n", "malformed JSON in line 2"},
		{DTYPE_F32, "[1;2]", "malformed JSON in line 1"},
		{DTYPE_F32, "", "malformed JSON"},
		{DTYPE_F32, "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "nested deeper than 16"},
		{DTYPE_BYTES, "[\"x]", "malformed JSON"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tensor t;

		cr_assert_eq(parse(&t, rows[i].d, rows[i].json), -EINVAL, "%s", rows[i].json);
		cr_assert(strstr(text, rows[i].words), "%s: %s", rows[i].json, text);
		cr_assert_null(t.data);
	}
}

static int parse_both(void *unused)
{
	struct tensor t;
	int r = parse(&t, DTYPE_I16, "[[1,2],[3,4]]");

	(void)unused;
	tensor_release(&t);
	if (!r)
		r = parse(&t, DTYPE_BYTES, "[\"a\\n\"]");
	tensor_release(&t);
	return r;
}

Test(tensor_json, fault_loop)
{
	FAULT_LOOP(parse_both, NULL);
}

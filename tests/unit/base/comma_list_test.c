/* comma_list_test.c: whole words, wherever they stand. */
#include "base/comma_list.h"

#include <criterion/criterion.h>

Test(comma_list, whole_words)
{
	cr_expect(comma_list_has("cpu:0", "cpu:0"));
	cr_expect(comma_list_has("cpu:0,cpu:1", "cpu:0"));
	cr_expect(comma_list_has("cpu:0,cpu:1", "cpu:1"));
	cr_expect(comma_list_has("a,cpu:0,b", "cpu:0"));
	cr_expect_not(comma_list_has("cpu:10,cpu:1", "cpu:0"));
	cr_expect_not(comma_list_has("xcpu:0", "cpu:0"));
	cr_expect_not(comma_list_has("cpu:00", "cpu:0"));
	cr_expect_not(comma_list_has("cpu", "cpu:0"));
	/* The first that looks like it is not the one. */
	cr_expect(comma_list_has("cpu:10,cpu:1", "cpu:1"));
}

Test(comma_list, blanks_around_words_do_not_count)
{
	cr_expect(comma_list_has("cpu:0, cpu:1", "cpu:1"));
	cr_expect(comma_list_has("cpu:0 ,cpu:1", "cpu:0"));
	cr_expect(comma_list_has("\tcpu:0\t , cpu:1 ", "cpu:0"));
	cr_expect(comma_list_has("\tcpu:0\t , cpu:1 ", "cpu:1"));
	cr_expect_not(comma_list_has("cpu:0 cpu:1", "cpu:0"));
	cr_expect_not(comma_list_has("cpu:0 cpu:1", "cpu:1"));
	cr_expect_not(comma_list_has("cpu: 0", "cpu:0"));
}

Test(comma_list, nothing_has_nothing)
{
	cr_expect_not(comma_list_has("", "a"));
	cr_expect_not(comma_list_has(",", "a"));
	cr_expect_not(comma_list_has(" , ,", "a"));
	cr_expect(comma_list_has(",,a", "a"));
}

Test(comma_list, numbers_behind_words)
{
	static const char *const wrong[] = {"cpu:0x2", "cpu:0 x", "cpu:0 x0", "cpu:0 2",
		"cpu:0 x2 3", "cpu:0 x4294967296", "cpu:0 x99999999999999999999", "cpu:0 x2x",
		"cpu:01 x2", "xcpu:0 x2"};
	uint32_t n = 7;

	cr_assert(comma_list_find("cuda:0 x2, cpu:0", "cpu:0", &n));
	cr_expect_eq(n, 0);
	cr_assert(comma_list_find("cuda:0 x2, cpu:0", "cuda:0", &n));
	cr_expect_eq(n, 2);
	cr_assert(comma_list_find("cpu:10 x3 ,\tcpu:1 \t x4294967295 ", "cpu:1", &n));
	cr_expect_eq(n, UINT32_MAX);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_not(comma_list_find(wrong[i], "cpu:0", &n), "%s", wrong[i]);
}

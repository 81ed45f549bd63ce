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

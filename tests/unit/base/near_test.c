/* near_test.c: words that are alike, and some that are not. */
#include "base/near.h"

#include <criterion/criterion.h>
#include <string.h>

Test(near, letters_that_differ)
{
	static const struct {
		const char *a, *b;
		size_t n;
	} cases[] = {{"", "", 0}, {"listen", "listen", 0}, {"lissten", "listen", 1},
		{"listn", "listen", 1}, {"lisen", "listen", 1}, {"lisetn", "listen", 2},
		{"", "abc", 3}, {"kitten", "sitting", 3}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(near_distance(cases[i].a, cases[i].b), cases[i].n, "%s", cases[i].a);
		cr_expect_eq(near_distance(cases[i].b, cases[i].a), cases[i].n, "%s", cases[i].a);
	}
}

Test(near, long_words_are_far_from_all)
{
	char word[NEAR_MAX + 1];

	memset(word, 'a', NEAR_MAX);
	word[NEAR_MAX] = 0;
	cr_expect_eq(near_distance(word, word), NEAR_MAX);
	word[NEAR_MAX - 1] = 0;
	cr_expect_eq(near_distance(word, word), 0);
	cr_expect_eq(near_distance(word, ""), NEAR_MAX - 1);
}

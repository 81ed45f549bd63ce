/* Tests of spare.c: last in first out, and no more than so many. */
#include "dispatch/spare.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(spare, empty)
{
	struct spare s = {0};

	cr_expect_null(spare_take(&s));
	spare_clear(&s);
}

Test(spare, the_last_comes_first)
{
	struct spare s = {0};
	void *a = malloc(32);
	void *b = malloc(32);

	spare_give(&s, a, 2);
	spare_give(&s, b, 2);
	cr_expect_eq(s.n, 2);
	cr_expect_eq(spare_take(&s), b);
	cr_expect_eq(spare_take(&s), a);
	cr_expect_null(spare_take(&s));
	cr_expect_eq(s.n, 0);
	free(a);
	free(b);
}

Test(spare, no_more_than_so_many)
{
	struct spare s = {0};

	for (int i = 0; i < 5; i++)
		spare_give(&s, malloc(32), 3);
	cr_expect_eq(s.n, 3);
	spare_clear(&s);
	cr_expect_eq(s.n, 0);
	cr_expect_null(s.first);
}

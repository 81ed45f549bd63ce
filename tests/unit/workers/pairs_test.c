/* pairs_test.c: copies of keys and values. */
#include "workers/pairs.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(pairs, copies_outlive_what_they_were_copied_from)
{
	char key[] = "key", value[] = "value";
	const struct wire_pair from[] = {{key, value}, {"twice", "1"}, {"twice", "2"}};
	struct pairs p = {0};

	cr_assert_eq(pairs_copy(&p, from, 3), 0);
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	cr_assert_str_eq(pairs_find(p.items, p.n, "key"), "value");
	cr_assert_str_eq(pairs_find(p.items, p.n, "twice"), "2", "the last one holds");
	cr_assert_null(pairs_find(p.items, p.n, "ke"));
	pairs_deinit(&p);
	cr_assert_null(pairs_find(p.items, p.n, "key"));
	cr_assert_eq(pairs_copy(&p, NULL, 0), 0);
	pairs_deinit(&p);
}

static int work(void *arg)
{
	const struct wire_pair from[] = {{"a", "1"}, {"b", "2"}};
	struct pairs p = {0};
	int r = pairs_copy(&p, from, 2);

	pairs_deinit(&p);
	return r;
}

Test(pairs, faults)
{
	FAULT_LOOP(work, NULL);
}

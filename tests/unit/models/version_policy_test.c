/* Tests of version_policy.c: what is written, and which versions it means. */
#include "models/version_policy.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/failalloc.h"

static struct version_policy p;

static void release(void)
{
	version_policy_release(&p);
}

TestSuite(version_policy, .fini = release);

Test(version_policy, zeroed_it_is_the_highest)
{
	cr_expect(version_policy_has(&p, 7, 0));
	cr_expect_not(version_policy_has(&p, 6, 1));
}

Test(version_policy, latest)
{
	cr_assert_eq(version_policy_parse(&p, "latest 2"), 0);
	cr_expect(version_policy_has(&p, 7, 0));
	cr_expect(version_policy_has(&p, 6, 1));
	cr_expect_not(version_policy_has(&p, 5, 2));
	cr_assert_eq(version_policy_parse(&p, "latest"), 0);
	cr_expect_not(version_policy_has(&p, 6, 1));
}

Test(version_policy, all)
{
	cr_assert_eq(version_policy_parse(&p, "all"), 0);
	cr_expect(version_policy_has(&p, 1, 1000));
}

Test(version_policy, numbers)
{
	cr_assert_eq(version_policy_parse(&p, " 1 ,3,9223372036854775807"), 0);
	cr_expect_eq(p.n_numbers, 3);
	cr_expect(version_policy_has(&p, 1, 5));
	cr_expect(version_policy_has(&p, INT64_MAX, 0));
	cr_expect_not(version_policy_has(&p, 2, 0));
}

Test(version_policy, what_is_none_leaves_it_as_it_was)
{
	static const char *const bad[] = {"", "0", "-1", "01", "1,", ",1", "1,,2", "1 2",
		"latest 0", "latest x", "latestx", "latest 1 2", "ALL", "all 2",
		"9223372036854775808", "1;2"};

	cr_assert_eq(version_policy_parse(&p, "3"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(
			version_policy_parse(&p, bad[i]), VERSION_POLICY_E_INVALID, "'%s'", bad[i]);
	cr_expect_eq(p.n_numbers, 1);
}

static int life(void *arg)
{
	struct version_policy own = {0};
	int r = version_policy_parse(&own, arg);

	version_policy_release(&own);
	return r;
}

Test(version_policy, every_failure_leaves_nothing_behind)
{
	char text[] = "1, 2, 3";

	FAULT_LOOP_KINDS(life, text, FAIL_ALLOCATIONS);
}

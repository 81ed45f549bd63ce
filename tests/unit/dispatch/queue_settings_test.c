/* Tests of queue_settings.c: copied and compared; which level, which timeout, which size. */
#include "dispatch/queue_settings.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/failalloc.h"

static const struct queue_settings three = {.n_levels = 3,
	.default_level = 1,
	.n_preferred = 2,
	.preferred = {4, 8},
	.policies = {{.timeout_us = 100}, {.timeout_us = 100, .allow_override = true},
		{.allow_override = true}}};

Test(queue_settings, a_copy_is_equal_until_something_changes)
{
	struct queue_settings *a = queue_settings_new(), *b = NULL, *none = a;

	cr_assert(a);
	cr_expect_eq(a->n_levels, 1);
	cr_assert_eq(queue_settings_copy(&b, a), 0);
	cr_expect(queue_settings_equal(a, b));
	cr_assert_eq(queue_settings_copy(&none, NULL), 0);
	cr_expect_null(none);
	cr_expect(queue_settings_equal(NULL, NULL));
	cr_expect_not(queue_settings_equal(a, NULL));
	cr_expect_not(queue_settings_equal(NULL, a));
	free(a);
	free(b);
}

#define DIFFERS(change)                                                                            \
	do {                                                                                       \
		struct queue_settings a = three, b = three;                                        \
		b.change;                                                                          \
		cr_expect_not(queue_settings_equal(&a, &b), #change);                              \
		cr_expect_not(queue_settings_equal(&b, &a), #change);                              \
	} while (0)

Test(queue_settings, every_difference_counts)
{
	DIFFERS(n_levels = 2);
	DIFFERS(default_level = 2);
	DIFFERS(n_preferred = 1);
	DIFFERS(preferred[1] = 7);
	DIFFERS(keep_order = true);
	DIFFERS(policies[2].action = QUEUE_DELAY);
	DIFFERS(policies[0].timeout_us = 101);
	DIFFERS(policies[1].allow_override = false);
	DIFFERS(policies[2].max_requests = 1);
}

Test(queue_settings, an_order_excludes_another_one)
{
	struct queue_settings q = {.n_levels = 2};

	q.policies[0].action = QUEUE_DELAY;
	cr_expect_eq(queue_settings_check_order(&q), 0);
	q.keep_order = true;
	cr_expect_eq(queue_settings_check_order(&q), QUEUE_SETTINGS_E_LEVELS);
	q.n_levels = 1;
	cr_expect_eq(queue_settings_check_order(&q), QUEUE_SETTINGS_E_DELAY);
	q.policies[0].action = QUEUE_REJECT;
	cr_expect_eq(queue_settings_check_order(&q), 0);
}

Test(queue_settings, a_priority_that_there_is_not_is_the_default)
{
	cr_expect_eq(queue_settings_level(&three, 0), 1);
	cr_expect_eq(queue_settings_level(&three, 1), 0);
	cr_expect_eq(queue_settings_level(&three, 3), 2);
	cr_expect_eq(queue_settings_level(&three, 4), 1);
	cr_expect_eq(queue_settings_level(&three, UINT64_MAX), 1);
	cr_expect_eq(queue_settings_level(NULL, 7), 0);
}

Test(queue_settings, a_timeout_may_only_be_made_shorter)
{
	cr_expect_eq(queue_settings_timeout(&three, 0, 50), 100, "not where that is not allowed");
	cr_expect_eq(queue_settings_timeout(&three, 1, 0), 100);
	cr_expect_eq(queue_settings_timeout(&three, 1, 99), 99);
	cr_expect_eq(queue_settings_timeout(&three, 1, 101), 100);
	cr_expect_eq(queue_settings_timeout(&three, 2, 50), 0, "there is none to be made shorter");
	cr_expect_eq(queue_settings_timeout(NULL, 0, 50), 0);
}

Test(queue_settings, preferred_sizes)
{
	struct queue_settings *s = queue_settings_new();

	cr_assert(s);
	cr_expect_eq(queue_settings_preferred(s, UINT64_MAX), 0);
	cr_expect_eq(queue_settings_preferred(NULL, 8), 0);
	cr_expect(queue_settings_prefer(s, 8));
	cr_expect(queue_settings_prefer(s, 4));
	cr_expect(queue_settings_prefer(s, 6));
	cr_expect(queue_settings_prefer(s, 4), "again");
	cr_expect_eq(s->n_preferred, 3);
	cr_expect_eq(queue_settings_preferred(s, 3), 0);
	cr_expect_eq(queue_settings_preferred(s, 4), 4);
	cr_expect_eq(queue_settings_preferred(s, 7), 6);
	cr_expect_eq(queue_settings_preferred(s, UINT64_MAX), 8);
	for (uint32_t i = 0; s->n_preferred < QUEUE_PREFERRED_MAX; i++)
		cr_expect(queue_settings_prefer(s, 100 + i));
	cr_expect_not(queue_settings_prefer(s, 1));
	cr_expect(queue_settings_prefer(s, 8), "it is there");
	free(s);
}

static int make_and_copy(void *arg)
{
	struct queue_settings *a = queue_settings_new(), *b = NULL;
	int r = a ? queue_settings_copy(&b, a) : -1;

	(void)arg;
	free(a);
	free(b);
	return r;
}

Test(queue_settings, faults)
{
	FAULT_LOOP(make_and_copy, NULL);
}

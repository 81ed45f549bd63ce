/* breaker_test.c: every edge of the breaker, on a clock of its own. */
#include "pool/breaker.h"

#include <criterion/criterion.h>

#include "base/clock.h"

#define S NS_PER_S

static int ann;
static int bob;

Test(breaker, opens_after_so_many_within_the_window)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	cr_assert(breaker_admits(&b, &ann));
	cr_assert_not(breaker_crash(&b, 100 * S));
	cr_assert_not(breaker_crash(&b, 110 * S));
	cr_assert_eq(breaker_deadline(&b), CLOCK_NO_DEADLINE);
	cr_assert(breaker_crash(&b, 160 * S));
	cr_assert_eq(b.state, BREAKER_OPEN);
	cr_assert_not(breaker_admits(&b, &ann));
	cr_assert_eq(breaker_deadline(&b), 190 * S);
	/* Another worker that still held it does not make it longer. */
	cr_assert_not(breaker_crash(&b, 161 * S));
	cr_assert_eq(breaker_deadline(&b), 190 * S);
	breaker_deinit(&b);
}

Test(breaker, stays_closed_when_crashes_are_rare)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	for (uint64_t t = 1; t < 100; t++)
		cr_assert_not(breaker_crash(&b, t * 31 * S));
	cr_assert(breaker_admits(&b, &ann));
	breaker_deinit(&b);
}

Test(breaker, forgets_crashes_after_many_good_batches)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	for (unsigned round = 0; round < 10; round++) {
		cr_assert_not(breaker_crash(&b, (100 + 2 * round) * S));
		cr_assert_not(breaker_crash(&b, (101 + 2 * round) * S));
		for (unsigned i = 0; i < BREAKER_GOOD_BATCHES; i++)
			cr_assert_not(breaker_success(&b));
	}
	/* One too few: they are not forgotten. */
	cr_assert_not(breaker_crash(&b, 130 * S));
	cr_assert_not(breaker_crash(&b, 131 * S));
	for (unsigned i = 0; i < BREAKER_GOOD_BATCHES - 1; i++)
		cr_assert_not(breaker_success(&b));
	cr_assert(breaker_crash(&b, 132 * S));
	breaker_deinit(&b);
}

Test(breaker, one_tries_after_the_cool_down)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 1, 60 * S, 30 * S), 0);
	cr_assert(breaker_crash(&b, 100 * S));
	cr_assert_not(breaker_tick(&b, 129 * S));
	cr_assert(breaker_tick(&b, 130 * S));
	cr_assert_not(breaker_tick(&b, 131 * S));
	cr_assert_eq(breaker_deadline(&b), CLOCK_NO_DEADLINE);
	cr_assert(breaker_admits(&b, &ann));
	breaker_try(&b, &ann);
	cr_assert_not(breaker_admits(&b, &bob));
	cr_assert(breaker_admits(&b, &ann));
	/* ann goes for another reason: bob may. */
	breaker_leave(&b, &bob);
	cr_assert_not(breaker_admits(&b, &bob));
	breaker_leave(&b, &ann);
	cr_assert(breaker_admits(&b, &bob));
	breaker_deinit(&b);
}

Test(breaker, a_crash_in_trial_opens_it_again)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 2, 60 * S, 30 * S), 0);
	cr_assert_not(breaker_crash(&b, 100 * S));
	cr_assert(breaker_crash(&b, 101 * S));
	cr_assert(breaker_tick(&b, 1000 * S));
	breaker_try(&b, &ann);
	cr_assert(breaker_crash(&b, 1001 * S));
	cr_assert_not(breaker_admits(&b, &ann));
	cr_assert_eq(breaker_deadline(&b), 1031 * S);
	breaker_deinit(&b);
}

Test(breaker, success_in_trial_closes_it_and_forgets)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 2, 600 * S, 30 * S), 0);
	cr_assert_not(breaker_success(&b));
	cr_assert_not(breaker_crash(&b, 100 * S));
	cr_assert(breaker_crash(&b, 101 * S));
	cr_assert_not(breaker_success(&b));
	cr_assert(breaker_tick(&b, 131 * S));
	breaker_try(&b, &ann);
	cr_assert(breaker_success(&b));
	cr_assert_eq(b.state, BREAKER_CLOSED);
	cr_assert(breaker_admits(&b, &bob));
	cr_assert_not(breaker_crash(&b, 132 * S));
	cr_assert(breaker_crash(&b, 133 * S));
	breaker_deinit(&b);
}

Test(breaker, says_why)
{
	struct breaker b;
	char text[128];

	cr_assert_eq(breaker_init(&b, 5, 60 * S, 60 * S), 0);
	for (uint64_t t = 0; t < 5; t++)
		breaker_crash(&b, (100 + 3 * t) * S);
	cr_assert_str_eq(breaker_format(&b, "cpu:0", 112 * S + 12 * S, text, sizeof(text)),
		"circuit breaker open on cpu:0: 5 crashes in 12 s; next try in 48 s");
	cr_assert_str_eq(breaker_format(&b, "cpu:0", 1000 * S, text, sizeof(text)),
		"circuit breaker open on cpu:0: 5 crashes in 12 s; next try in 0 s");
	breaker_deinit(&b);
}

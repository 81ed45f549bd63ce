/* breaker_test.c: every edge of the breaker, on a clock of its own. */
#include "pool/breaker.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"

#define S NS_PER_S

static int ann;
static int bob;

Test(breaker, opens_after_so_many_within_the_window)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	cr_assert(breaker_admits(&b, &ann));
	cr_assert_not(breaker_crash(&b, &ann, "", 100 * S));
	cr_assert_not(breaker_crash(&b, &ann, "", 110 * S));
	cr_assert_eq(breaker_deadline(&b), CLOCK_NO_DEADLINE);
	cr_assert(breaker_crash(&b, &ann, "", 160 * S));
	cr_assert_eq(b.state, BREAKER_OPEN);
	cr_assert_not(breaker_admits(&b, &ann));
	cr_assert_eq(breaker_deadline(&b), 190 * S);
	/* Another worker that still held it does not make it longer. */
	cr_assert_not(breaker_crash(&b, &ann, "", 161 * S));
	cr_assert_eq(breaker_deadline(&b), 190 * S);
	breaker_deinit(&b);
}

Test(breaker, stays_closed_when_crashes_are_rare)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	for (uint64_t t = 1; t < 100; t++)
		cr_assert_not(breaker_crash(&b, &ann, "", t * 31 * S));
	cr_assert(breaker_admits(&b, &ann));
	breaker_deinit(&b);
}

Test(breaker, forgets_crashes_after_many_good_batches)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 60 * S, 30 * S), 0);
	for (unsigned round = 0; round < 10; round++) {
		cr_assert_not(breaker_crash(&b, &ann, "", (100 + 2 * round) * S));
		cr_assert_not(breaker_crash(&b, &ann, "", (101 + 2 * round) * S));
		for (unsigned i = 0; i < BREAKER_GOOD_BATCHES; i++)
			cr_assert_not(breaker_success(&b));
	}
	/* One too few: they are not forgotten. */
	cr_assert_not(breaker_crash(&b, &ann, "", 130 * S));
	cr_assert_not(breaker_crash(&b, &ann, "", 131 * S));
	for (unsigned i = 0; i < BREAKER_GOOD_BATCHES - 1; i++)
		cr_assert_not(breaker_success(&b));
	cr_assert(breaker_crash(&b, &ann, "", 132 * S));
	breaker_deinit(&b);
}

/* An OPEN one of `limit`, whose cool-down is over, tried by ann in a process of its own. */
static void in_trial(struct breaker *b, uint32_t limit)
{
	cr_assert_eq(breaker_init(b, limit, 600 * S, 30 * S), 0);
	for (uint32_t i = 1; i <= limit; i++)
		cr_assert_eq(breaker_crash(b, &bob, "", 100 * S), i == limit);
	cr_assert_not(breaker_wants_trial(b));
	cr_assert_not(breaker_tick(b, 129 * S));
	cr_assert(breaker_tick(b, 130 * S));
	cr_assert_not(breaker_tick(b, 131 * S));
	cr_assert_eq(breaker_deadline(b), CLOCK_NO_DEADLINE);
	cr_assert(breaker_wants_trial(b));
	breaker_try(b, &ann);
}

Test(breaker, one_tries_alone_after_the_cool_down_then_one_that_serves)
{
	struct breaker b;

	in_trial(&b, 1);
	cr_assert_not(breaker_wants_trial(&b));
	cr_assert_not(breaker_admits(&b, &ann));
	cr_assert_not(breaker_success(&b), "a batch of one that had it before");
	/* ann goes for another reason: once more. */
	breaker_leave(&b, &bob);
	cr_assert_not(breaker_wants_trial(&b));
	breaker_leave(&b, &ann);
	cr_assert(breaker_wants_trial(&b));
	breaker_try(&b, &ann);
	cr_assert(breaker_loaded(&b));
	cr_assert_not(breaker_loaded(&b));
	cr_assert_eq(b.state, BREAKER_PROBATION);
	cr_assert(breaker_admits(&b, &ann));
	breaker_try(&b, &bob);
	cr_assert_not(breaker_admits(&b, &ann));
	cr_assert(breaker_admits(&b, &bob));
	breaker_leave(&b, &bob);
	cr_assert(breaker_admits(&b, &ann));
	breaker_deinit(&b);
}

Test(breaker, a_crash_in_trial_opens_it_again)
{
	struct breaker b;

	in_trial(&b, 2);
	cr_assert(breaker_crash(&b, &ann, "", 1001 * S));
	cr_assert_not(breaker_wants_trial(&b));
	cr_assert_eq(breaker_deadline(&b), 1031 * S);
	cr_assert(breaker_tick(&b, 1031 * S));
	breaker_try(&b, &ann);
	cr_assert(breaker_loaded(&b));
	breaker_try(&b, &bob);
	cr_assert(breaker_crash(&b, &bob, "", 9000 * S), "on probation, too");
	breaker_deinit(&b);
}

Test(breaker, success_on_probation_closes_it_and_forgets)
{
	struct breaker b;

	in_trial(&b, 2);
	cr_assert(breaker_loaded(&b));
	breaker_try(&b, &bob);
	cr_assert(breaker_success(&b));
	cr_assert_eq(b.state, BREAKER_CLOSED);
	cr_assert(breaker_admits(&b, &ann));
	cr_assert_not(breaker_crash(&b, &ann, "", 132 * S));
	cr_assert(breaker_crash(&b, &ann, "", 133 * S));
	breaker_deinit(&b);
}

/* One crash while it was loaded is enough to try it alone; loaded there, it is as it was, crashes and all. */
Test(breaker, a_load_that_ended_a_process_is_suspect)
{
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 3, 600 * S, 30 * S), 0);
	cr_assert_not(breaker_crash(&b, &bob, "", 100 * S));
	cr_assert(breaker_suspect(&b, ""));
	cr_assert_not(breaker_suspect(&b, ""));
	cr_assert_not(breaker_admits(&b, &bob));
	breaker_try(&b, &ann);
	cr_assert_not(breaker_crash(&b, &bob, "", 101 * S), "another one that was loading it");
	cr_assert_eq(b.state, BREAKER_TRIAL);
	cr_assert(breaker_loaded(&b));
	cr_assert_eq(b.state, BREAKER_CLOSED);
	cr_assert(breaker_crash(&b, &bob, "", 102 * S), "the third");
	cr_assert_not(breaker_suspect(&b, ""), "it is open");
	breaker_deinit(&b);
}

Test(breaker, says_why)
{
	struct breaker b;
	char text[128];

	cr_assert_eq(breaker_init(&b, 5, 60 * S, 60 * S), 0);
	cr_assert_str_eq(breaker_why(&b), "");
	for (uint64_t t = 0; t < 5; t++)
		breaker_crash(&b, &ann, "", (100 + 3 * t) * S);
	cr_assert_str_eq(breaker_format(&b, "cpu:0", 112 * S + 12 * S, text, sizeof(text)),
		"circuit breaker open on cpu:0: 5 crashes in 12 s; next try in 48 s");
	cr_assert_str_eq(breaker_format(&b, "cpu:0", 1000 * S, text, sizeof(text)),
		"circuit breaker open on cpu:0: 5 crashes in 12 s; next try in 0 s");
	breaker_deinit(&b);
}

Test(breaker, keeps_why_the_last_crash_was)
{
	char longer[2 * BREAKER_WHY_MAX], text[3 * BREAKER_WHY_MAX];
	struct breaker b;

	cr_assert_eq(breaker_init(&b, 2, 60 * S, 60 * S), 0);
	cr_assert(breaker_suspect(&b, "no answer"));
	cr_assert_str_eq(breaker_why(&b), "no answer");
	breaker_try(&b, &ann);
	cr_assert_not(breaker_crash(&b, &bob, "exit status 3", 100 * S));
	cr_assert(breaker_crash(&b, &ann, "signal 11 (Segmentation fault)", 102 * S));
	cr_assert_str_eq(breaker_format(&b, "cpu:0", 112 * S, text, sizeof(text)),
		"circuit breaker open on cpu:0: 2 crashes in 2 s, the last one: signal 11 "
		"(Segmentation fault); next try in 50 s");
	cr_assert_not(breaker_suspect(&b, "another"), "it is open");
	cr_assert_str_eq(breaker_why(&b), "signal 11 (Segmentation fault)");
	/* No more than so much is kept of it. */
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_not(breaker_crash(&b, &bob, longer, 113 * S));
	cr_assert_eq(strlen(breaker_why(&b)), BREAKER_WHY_MAX);
	/* With the crashes it is forgotten. */
	cr_assert(breaker_tick(&b, 162 * S));
	cr_assert(breaker_loaded(&b));
	cr_assert_eq(strlen(breaker_why(&b)), BREAKER_WHY_MAX);
	for (unsigned i = 0; i < BREAKER_GOOD_BATCHES; i++)
		cr_assert_not(breaker_success(&b));
	cr_assert_str_eq(breaker_why(&b), "");
	breaker_deinit(&b);
}

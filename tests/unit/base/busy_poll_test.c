/* Tests of busy_poll.c: how long it spins, when it gives up, when it begins again. */
#include "base/busy_poll.h"

#include <criterion/criterion.h>

#include "base/clock.h"

#define START (UINT64_C(1000) * NS_PER_S)

Test(busy_poll, off)
{
	struct busy_poll b;

	busy_poll_init(&b, 0);
	busy_poll_work(&b, START);
	cr_expect(!busy_poll_spins(&b, START));
}

Test(busy_poll, spins_for_its_time_after_work)
{
	struct busy_poll b;

	busy_poll_init(&b, 50);
	cr_expect(!busy_poll_spins(&b, START), "nothing was done yet");
	busy_poll_work(&b, START);
	cr_expect(busy_poll_spins(&b, START + 49 * NS_PER_US));
	cr_expect(!busy_poll_spins(&b, START + 50 * NS_PER_US));
}

Test(busy_poll, gives_up_when_it_does_not_pay_and_begins_again)
{
	uint64_t now = START;
	struct busy_poll b;
	unsigned n = 0;

	busy_poll_init(&b, 50);
	do {
		busy_poll_work(&b, now);
		now += NS_PER_S;
	} while (busy_poll_spins(&b, now - NS_PER_S) && ++n < 100);
	cr_expect_eq(n, 7, "%u", n);
	busy_poll_work(&b, now);
	busy_poll_work(&b, now + 10 * NS_PER_US);
	cr_expect(busy_poll_spins(&b, now + 20 * NS_PER_US));
}

static void expect_counts(
	const struct busy_poll *b, uint64_t n_spins, uint64_t n_paid, uint64_t n_vain)
{
	cr_expect(b->n_spins == n_spins && b->n_paid == n_paid && b->n_vain == n_vain,
		"%lu, %lu, %lu", b->n_spins, b->n_paid, b->n_vain);
}

Test(busy_poll, counts_what_it_spun_for)
{
	struct busy_poll b;

	busy_poll_init(&b, 50);
	busy_poll_work(&b, START);
	cr_expect(busy_poll_spins(&b, START));
	busy_poll_work(&b, START + 1);
	cr_expect_eq(b.n_spins, 0, "the first look found work: it would not have slept");
	for (unsigned i = 0; i < 10; i++)
		cr_expect(busy_poll_spins(&b, START + 1 + i));
	busy_poll_work(&b, START + 20 * NS_PER_US);
	expect_counts(&b, 1, 1, 0);
	for (unsigned i = 0; i < 10; i++)
		cr_expect(busy_poll_spins(&b, START + 21 * NS_PER_US + i));
	expect_counts(&b, 2, 1, 0);
	cr_expect(!busy_poll_spins(&b, START + NS_PER_S));
	expect_counts(&b, 2, 1, 1);
	busy_poll_work(&b, START + NS_PER_S);
	expect_counts(&b, 2, 1, 1);
}

Test(busy_poll, what_has_paid_was_never_counted_as_vain)
{
	struct busy_poll b;
	uint64_t n_vain = 0;

	busy_poll_init(&b, 50);
	for (uint64_t i = 0, now = START; i < 100; i++, now += i % 3 ? 1 : 50 * NS_PER_US) {
		busy_poll_work(&b, now);
		cr_expect_geq(b.n_vain, n_vain);
		n_vain = b.n_vain;
		(void)busy_poll_spins(&b, now);
		(void)busy_poll_spins(&b, now);
		cr_expect_eq(b.n_vain, n_vain, "it may pay yet");
	}
	cr_expect(b.n_paid > 0 && n_vain > 0);
	busy_poll_begin(&b, START);
	expect_counts(&b, b.n_paid + b.n_vain, b.n_paid, n_vain + 1);
}

Test(busy_poll, work_that_it_slept_for_has_not_paid)
{
	struct busy_poll b;

	busy_poll_init(&b, 50);
	busy_poll_work(&b, START);
	cr_expect(busy_poll_spins(&b, START) && busy_poll_spins(&b, START));
	busy_poll_gave_way(&b, START, START + NS_PER_MS);
	cr_expect(!busy_poll_spins(&b, START + 40 * NS_PER_US));
	busy_poll_work(&b, START + 45 * NS_PER_US);
	expect_counts(&b, 1, 0, 1);
}

Test(busy_poll, rests_where_others_have_the_processor)
{
	struct busy_poll b;

	busy_poll_init(&b, 50);
	busy_poll_work(&b, START);
	busy_poll_gave_way(&b, START, START + 40 * NS_PER_US);
	cr_expect(busy_poll_spins(&b, START + 40 * NS_PER_US), "that was who is waited for");
	busy_poll_gave_way(&b, START, START + NS_PER_MS);
	busy_poll_work(&b, START + NS_PER_S);
	cr_expect(!busy_poll_spins(&b, START + NS_PER_S));
	busy_poll_work(&b, START + NS_PER_S + NS_PER_MS);
	cr_expect(busy_poll_spins(&b, START + NS_PER_S + NS_PER_MS));
}

Test(busy_poll, what_is_begun_neither_pays_nor_does_not)
{
	struct busy_poll b;

	busy_poll_init(&b, 50);
	for (uint64_t i = 0; i < 20; i++) {
		busy_poll_begin(&b, START + i * NS_PER_S);
		cr_expect(busy_poll_spins(&b, START + i * NS_PER_S));
	}
	cr_expect_eq(b.n_spins, 0);
	cr_expect(busy_poll_give_way(&b) <= clock_ns());
}

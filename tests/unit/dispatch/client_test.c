/* Tests of client.c: references and charges. */
#include "dispatch/client.h"

#include <criterion/criterion.h>
#include <signal.h>

#include "fake_bed.h"

static struct bed bed;

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(client, .init = setup, .fini = teardown);

Test(client, is_counted_until_the_last_reference)
{
	struct client *c;

	cr_assert_eq(client_new(&c, dispatch_tally(bed.d)), 0);
	cr_expect_eq(bed.d->tally.n_clients, 2);
	cr_expect_eq(client_ref(c), c);
	cr_expect_null(client_unref(c));
	cr_expect_eq(bed.d->tally.n_clients, 2);
	client_unref(c);
	cr_expect_eq(bed.d->tally.n_clients, 1);
	cr_expect_null(client_unref(NULL));
}

Test(client, requests)
{
	client_charge_request(bed.client);
	client_charge_request(bed.client);
	cr_expect_eq(client_requests(bed.client), 2);
	client_refund_request(bed.client);
	client_refund_request(bed.client);
	cr_expect_eq(client_requests(bed.client), 0);
}

Test(client, holders_are_those_with_bytes)
{
	uint32_t holders = 0;
	struct client *other;

	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
	client_charge_bytes(bed.client, 64, &holders);
	client_charge_bytes(bed.client, 64, &holders);
	client_charge_bytes(other, 64, &holders);
	cr_expect_eq(holders, 2);
	cr_expect_eq(client_bytes(bed.client), 128);
	client_refund_bytes(bed.client, 64, &holders);
	cr_expect_eq(holders, 2);
	client_refund_bytes(bed.client, 64, &holders);
	client_refund_bytes(other, 64, &holders);
	cr_expect_eq(holders, 0);
	client_unref(other);
}

Test(client, a_charge_that_was_not_refunded_is_noticed, .signal = SIGABRT)
{
	struct client *c;

	cr_assert_eq(client_new(&c, dispatch_tally(bed.d)), 0);
	client_charge_request(c);
	client_unref(c);
}

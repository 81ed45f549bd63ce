/* Tests of user.c: limits of one user, fair shares between several, and that all comes back. */
#include "handoff/user.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "handoff/handoff.h"
#include "tests/support/failalloc.h"

static struct handoff_settings settings;
static struct users users;
static char text[512];

static void setup(void)
{
	settings = (struct handoff_settings){.max_connections = 8,
		.shm_total_bytes = 1000,
		.user_bytes = 900,
		.user_regions = 3,
		.max_regions = 100};
	users_init(&users, &settings);
}

static void teardown(void)
{
	users_deinit(&users);
}

TestSuite(user, .init = setup, .fini = teardown);

static struct user *connect_as(uint32_t uid)
{
	struct user *u = NULL;

	cr_assert_eq(user_connect(&u, &users, uid, text, sizeof(text)), 0, "%s", text);
	return u;
}

static void expect_refused(int r, const char *why)
{
	cr_expect_eq(r, USER_E_LIMIT);
	cr_expect(strstr(text, why), "got: %s", text);
}

Test(user, one_account_for_each_uid)
{
	struct user *a = connect_as(1), *b = connect_as(1), *c = connect_as(2);

	cr_expect_eq(a, b);
	cr_expect_neq(a, c);
	cr_expect_eq(users.connections, 3);
	cr_expect_eq(users.n_connected, 2);
	user_disconnect(a);
	user_disconnect(b);
	user_disconnect(c);
	cr_expect_eq(users.n_connected, 0);
}

Test(user, who_is_alone_may_have_all_that_one_may)
{
	struct user *u = connect_as(1);

	cr_assert_eq(user_charge(u, 800, text, sizeof(text)), 0);
	cr_assert_eq(user_charge(u, 100, text, sizeof(text)), 0);
	expect_refused(user_charge(u, 1, text, sizeof(text)), "user_bytes, 900");
	expect_refused(user_charge(u, UINT64_MAX, text, sizeof(text)), "user_bytes, 900");
	user_refund(u, 100);
	cr_expect_eq(user_charge(u, 100, text, sizeof(text)), 0);
	user_refund(u, 100);
	user_refund(u, 800);
	user_disconnect(u);
}

Test(user, regions_are_counted)
{
	struct user *u = connect_as(1);

	for (int i = 0; i < 3; i++)
		cr_assert_eq(user_charge(u, 1, text, sizeof(text)), 0);
	expect_refused(user_charge(u, 1, text, sizeof(text)), "user_regions");
	for (int i = 0; i < 3; i++)
		user_refund(u, 1);
	user_disconnect(u);
}

Test(user, memory_on_gpus_is_counted_apart)
{
	struct user *u = connect_as(1);

	expect_refused(user_charge_device(u, 1, text, sizeof(text)), "user_device_bytes, 0");
	settings.user_device_bytes = 2000;
	cr_assert_eq(user_charge_device(u, 1500, text, sizeof(text)), 0);
	expect_refused(user_charge_device(u, 501, text, sizeof(text)), "user_device_bytes, 2000");
	expect_refused(user_charge_device(u, UINT64_MAX, text, sizeof(text)), "user_device_bytes");
	cr_assert_eq(user_charge(u, 900, text, sizeof(text)), 0);
	cr_assert_eq(user_charge_device(u, 500, text, sizeof(text)), 0);
	expect_refused(user_charge_device(u, 0, text, sizeof(text)), "user_regions");
	cr_expect_eq(users.device_bytes, 2000);
	user_refund_device(u, 1500);
	user_refund_device(u, 500);
	user_refund(u, 900);
	user_disconnect(u);
}

Test(user, all_regions_are_shared_fairly)
{
	struct user *a = connect_as(1), *b = connect_as(2);

	settings.max_regions = 5;
	for (int i = 0; i < 2; i++)
		cr_assert_eq(user_charge(a, 1, text, sizeof(text)), 0);
	/* Two users: (2 + 1) * 1 fits in what is left, 3, and not in 2. */
	cr_assert_eq(user_charge(b, 1, text, sizeof(text)), 0);
	expect_refused(user_charge(a, 1, text, sizeof(text)), "max_regions, 5");
	for (int i = 0; i < 2; i++)
		user_refund(a, 1);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(user_charge(b, 1, text, sizeof(text)), 0, "alone again");
	for (int i = 0; i < 3; i++)
		user_refund(b, 1);
	user_disconnect(a);
	user_disconnect(b);
}

Test(user, several_share_fairly)
{
	struct user *a = connect_as(1), *b = connect_as(2);

	cr_assert_eq(user_charge(a, 600, text, sizeof(text)), 0);
	/* Two users: (2 + 1) * charge must fit in what is left, 400. */
	expect_refused(user_charge(b, 134, text, sizeof(text)), "fair share");
	cr_expect_eq(user_charge(b, 133, text, sizeof(text)), 0);
	expect_refused(user_charge(a, 1, text, sizeof(text)), "fair share");
	user_refund(a, 600);
	cr_expect_eq(user_charge(b, 700, text, sizeof(text)), 0, "alone again");
	user_refund(b, 700);
	user_refund(b, 133);
	user_disconnect(a);
	user_disconnect(b);
}

Test(user, connections_are_shared_likewise)
{
	struct user *a[5], *b, *c = NULL;

	for (int i = 0; i < 5; i++)
		a[i] = connect_as(1);
	b = connect_as(2);
	expect_refused(user_connect(&c, &users, 1, text, sizeof(text)), "max_connections is 8");
	cr_expect_null(c);
	for (int i = 0; i < 5; i++)
		user_disconnect(a[i]);
	user_disconnect(b);
}

Test(user, the_total_of_connections)
{
	struct user *all[8], *more = NULL;

	for (int i = 0; i < 8; i++)
		all[i] = connect_as(1);
	expect_refused(user_connect(&more, &users, 1, text, sizeof(text)), "max_connections is 8");
	for (int i = 0; i < 8; i++)
		user_disconnect(all[i]);
}

Test(user, a_charge_outlives_the_connection)
{
	struct user *u = connect_as(1);

	cr_assert_eq(user_charge(u, 500, text, sizeof(text)), 0);
	user_disconnect(u);
	cr_expect_eq(users.bytes, 500);
	cr_expect_eq(connect_as(1), u, "still the same account");
	user_disconnect(u);
	user_refund(u, 500);
	cr_expect(list_empty(&users.all));
}

static int come_and_go(void *arg)
{
	struct user *u;
	int r = user_connect(&u, &users, 7, text, sizeof(text));

	if (r)
		return r;
	user_disconnect(u);
	return 0;
}

Test(user, faults)
{
	FAULT_LOOP(come_and_go, NULL);
}

/* user_test.c: which user a worker is told to be. */
#include "pool/user.h"

#include <criterion/criterion.h>

#include "pool/pool.h"

static const char *const sandbox[] = {"MODELD_SANDBOX=on", NULL};

Test(user, none)
{
	const struct pool_settings s = {.sandbox = sandbox};
	struct user_environment e;

	cr_assert_eq(user_environment(&e, s.sandbox, &s.users, 1), sandbox);
}

Test(user, one)
{
	const struct pool_settings s = {.sandbox = sandbox, .users = {1000, 2000, 1}};
	struct user_environment e;
	const char *const *list = user_environment(&e, s.sandbox, &s.users, 7);

	cr_assert_str_eq(list[0], "MODELD_SANDBOX=on");
	cr_assert_str_eq(list[1], "MODELD_SANDBOX_USER=1000:2000");
	cr_assert_null(list[2]);
}

Test(user, one_each)
{
	const struct pool_settings s = {.users = {64000, 64000, 10}};
	struct user_environment e;

	cr_assert_str_eq(
		user_environment(&e, s.sandbox, &s.users, 3)[0], "MODELD_SANDBOX_USER=64003:64000");
	cr_assert_str_eq(user_environment(&e, s.sandbox, &s.users, 13)[0],
		"MODELD_SANDBOX_USER=64003:64000");
}

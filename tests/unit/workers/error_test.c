/* error_test.c: what is said, and cut. */
#include "workers/error.h"

#include <criterion/criterion.h>
#include <string.h>

Test(error, says_why_and_returns_what_it_is_given)
{
	struct modeld_error e;

	cr_expect_eq(
		error_say(&e, MODELD_INVALID, "input '%s' has %d bytes", "a", 7), MODELD_INVALID);
	cr_expect_str_eq(e.text, "input 'a' has 7 bytes");
	cr_expect_eq(error_say(&e, -12, "%s", ""), -12);
	cr_expect_str_eq(e.text, "");
}

Test(error, what_is_too_long_is_cut)
{
	struct modeld_error e;

	memset(&e, 'x', sizeof(e));
	(void)error_say(&e, 0, "%0*d", (int)sizeof(e.text) + 10, 1);
	cr_expect_eq(strlen(e.text), sizeof(e.text) - 1);
}

/* err_test.c: a text for each code, known or not. */
#include "base/err.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>

Test(err, known)
{
	cr_assert_str_eq(err_str(-ENOSPC), "No space left on device");
	cr_assert_str_eq(err_str(-EPIPE), "Broken pipe");
}

Test(err, unknown_codes_have_a_text_too)
{
	const int codes[] = {0, -4095, INT_MIN, INT_MAX};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const char *text = err_str(codes[i]);

		cr_assert(text && text[0], "code %d", codes[i]);
	}
}

Test(err, shortages_pass)
{
	cr_assert(err_is_shortage(-ENOMEM) && err_is_shortage(-EMFILE) && err_is_shortage(-ENFILE));
	cr_assert_not(err_is_shortage(-EACCES) || err_is_shortage(0) || err_is_shortage(EMFILE));
}

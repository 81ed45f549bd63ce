/* config_suggest_test.c: keys that people write. */
#include <criterion/criterion.h>

#include "config_private.h"

static const char *suggest(const char *section, const char *key)
{
	static char text[128];

	config_suggest(section, key, text, sizeof(text));
	return text;
}

Test(config_suggest, which_is_meant)
{
	cr_expect_str_eq(suggest("server", "lissten"), " (is [server] listen meant?)");
	cr_expect_str_eq(suggest("servr", "listen"), " (is [server] listen meant?)");
	cr_expect_str_eq(suggest("", "repository"), " (is [models] repository meant?)");
	cr_expect_str_eq(
		suggest("server", "max_batch_size"), " (is [model] max_batch_size meant?)");
	cr_expect_str_eq(suggest("server", "prt"), "");
	cr_expect_str_eq(suggest("model", "x"), "");
	cr_expect_str_eq(suggest("", "x"), " (it stands before the first [section])");
}

/* Tests of config_environment.c: variables of the environment in values. */
#include "config_environment.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tests/support/failalloc.h"

static char text[256];

static void setup(void)
{
	cr_assert_eq(setenv("MODEL_ID", "digits", 1), 0);
	cr_assert_eq(setenv("EMPTY", "", 1), 0);
	cr_assert_eq(unsetenv("NOBODY"), 0);
	text[0] = 0;
}

TestSuite(environment, .init = setup);

static void good(const char *value, const char *expected)
{
	char *got = NULL;

	cr_assert_eq(config_environment_expand(value, &got, text, sizeof(text)), 0, "%s: %s", value,
		text);
	cr_expect_str_eq(got, expected);
	free(got);
}

static void bad(const char *value, const char *expected)
{
	char *got = NULL;

	cr_assert_eq(config_environment_expand(value, &got, text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect_str_eq(text, expected);
	cr_expect_null(got);
}

Test(environment, what_variables_say)
{
	good("${MODEL_ID}", "digits");
	good("a ${MODEL_ID}, ${MODEL_ID}b", "a digits, digitsb");
	good("${NOBODY:-cpu:0 x2}", "cpu:0 x2");
	good("${EMPTY:-x}", "x");
	good("${EMPTY:-}", "");
	good("${MODEL_ID:-other}", "digits");
}

Test(environment, what_is_no_variable)
{
	good("", "");
	good("$MODEL_ID", "$MODEL_ID");
	good("a$", "a$");
	good("{MODEL_ID}", "{MODEL_ID}");
}

Test(environment, what_cannot_be_meant)
{
	bad("${NOBODY}",
		"the environment has no NOBODY; ${NOBODY:-text} says what is meant without it");
	bad("${EMPTY}",
		"the environment has no EMPTY; ${EMPTY:-text} says what is meant without it");
	bad("${MODEL_ID", "${ has no }");
	bad("${}", "${} is neither ${NAME} nor ${NAME:-text}");
	bad("${1A}", "${1A} is neither ${NAME} nor ${NAME:-text}");
	bad("${A B}", "${A B} is neither ${NAME} nor ${NAME:-text}");
	bad("${MODEL_ID-x}", "${MODEL_ID-x} is neither ${NAME} nor ${NAME:-text}");
}

Test(environment, what_a_file_could_not_hold)
{
	cr_assert_eq(setenv("MODEL_ID", "a\nb", 1), 0);
	bad("${MODEL_ID}", "with its variables it must not contain control characters");
	cr_assert_eq(setenv("MODEL_ID", "${MODEL_ID}", 1), 0);
	bad("${MODEL_ID}", "with its variables it must not contain ${");
	cr_assert_eq(setenv("MODEL_ID", " ", 1), 0);
	bad("${MODEL_ID}", "with its variables it must not begin or end with a space");
	cr_assert_eq(setenv("MODEL_ID", ";x", 1), 0);
	bad("a ${MODEL_ID}", "with its variables it must not contain ' ;', which begins a comment");
}

Test(environment, the_longest_value)
{
	static char long_text[CONFIG_ENVIRONMENT_MAX + 1];

	memset(long_text, 'a', CONFIG_ENVIRONMENT_MAX);
	cr_assert_eq(setenv("MODEL_ID", long_text, 1), 0);
	good("${MODEL_ID}", long_text);
	bad("${MODEL_ID}b", "is longer than 4096 bytes with its variables");
	bad("b${MODEL_ID}", "is longer than 4096 bytes with its variables");
}

static int expand_again(void *arg)
{
	char *got = NULL;
	int r = config_environment_expand(arg, &got, text, sizeof(text));

	free(got);
	return r;
}

Test(environment, out_of_memory)
{
	char value[] = "x${MODEL_ID}";

	FAULT_LOOP(expand_again, value);
}

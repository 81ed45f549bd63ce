/* isolation_test.c: names of where a model lives. */
#include "pool/isolation.h"

#include <criterion/criterion.h>

Test(isolation, names_there_and_back)
{
	enum isolation i = ISOLATION_DEVICE;

	cr_assert(isolation_parse("model", &i));
	cr_expect_eq(i, ISOLATION_MODEL);
	cr_expect_str_eq(isolation_name(i), "model");
	cr_assert(isolation_parse("auto", &i));
	cr_expect_eq(i, ISOLATION_AUTO);
	cr_expect_str_eq(isolation_name(i), "auto");
	cr_assert(isolation_parse("device", &i));
	cr_expect_eq(i, ISOLATION_DEVICE);
	cr_expect_str_eq(isolation_name(i), "device");
}

Test(isolation, others_are_refused)
{
	enum isolation i = ISOLATION_MODEL;

	cr_expect_not(isolation_parse("", &i));
	cr_expect_not(isolation_parse("Model", &i));
	cr_expect_not(isolation_parse("models", &i));
	cr_expect_eq(i, ISOLATION_MODEL);
}

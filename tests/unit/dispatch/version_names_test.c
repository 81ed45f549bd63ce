/* version_names_test.c: lists of names for texts. */
#include <criterion/criterion.h>
#include <string.h>

#include "dispatch/version_names.h"
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

TestSuite(version_names, .init = setup, .fini = teardown);

Test(version_names, one_and_several)
{
	char text[VERSION_NAMES_MAX];

	cr_expect_str_eq(version_list_inputs(bed.alpha, text, sizeof(text)), "; its input is 'x'");
	cr_expect_str_eq(
		version_list_outputs(bed.alpha, text, sizeof(text)), "; its output is 'y'");
	cr_expect_str_eq(
		version_list_inputs(bed.gamma, text, sizeof(text)), "; its inputs are 'a', 'b'");
	cr_expect_str_eq(
		version_list_outputs(bed.gamma, text, sizeof(text)), "; its outputs are 'y', 'z'");
}

Test(version_names, none)
{
	struct wire_loaded nothing = *bed.pool->loaded[2];
	char text[VERSION_NAMES_MAX];

	nothing.n_inputs = 0;
	bed.pool->loaded[2] = &nothing;
	cr_expect_str_eq(version_list_inputs(bed.gamma, text, sizeof(text)), "; it has no inputs");
}

/* What does not fit is left out, and that is shown. */
Test(version_names, no_room)
{
	char text[VERSION_NAMES_MAX];

	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		version_list_inputs(bed.gamma, text, size);
		cr_assert_lt(strlen(text), size);
	}
	cr_expect_str_eq(version_list_inputs(bed.gamma, text, 26), "; its inputs are 'a', ...");
}

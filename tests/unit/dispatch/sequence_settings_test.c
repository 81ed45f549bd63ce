/* Tests of sequence_settings.c: copied and compared whole. */
#include "dispatch/sequence_settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct sequence_settings *make(void)
{
	struct sequence_settings *s = sequence_settings_new(1);

	if (!s)
		return NULL;
	snprintf(s->controls[SEQUENCE_END].name, sizeof(s->controls[SEQUENCE_END].name), "%s",
		"END");
	snprintf(s->states[0].input, sizeof(s->states[0].input), "%s", "in");
	snprintf(s->states[0].output, sizeof(s->states[0].output), "%s", "out");
	return s;
}

Test(sequence_settings, a_copy_is_equal_until_something_changes)
{
	struct sequence_settings *a = make(), *b = NULL, *none = a;

	cr_assert(a);
	cr_assert_eq(sequence_settings_copy(&b, a), 0);
	cr_expect(sequence_settings_equal(a, b));
	b->states[0].dtype = DTYPE_F32;
	cr_expect(!sequence_settings_equal(a, b));
	cr_assert_eq(sequence_settings_copy(&none, NULL), 0);
	cr_expect_null(none);
	cr_expect(sequence_settings_equal(NULL, NULL));
	cr_expect(!sequence_settings_equal(a, NULL));
	cr_expect(!sequence_settings_equal(NULL, a));
	free(a);
	free(b);
}

Test(sequence_settings, another_number_of_states_is_another_model)
{
	struct sequence_settings *a = make(), *b = sequence_settings_new(0);

	cr_assert(a && b);
	cr_expect(!sequence_settings_equal(a, b));
	free(a);
	free(b);
}

Test(sequence_settings, what_clients_neither_give_nor_get)
{
	struct sequence_settings *s = make();

	cr_assert(s);
	cr_expect(sequence_settings_hide_input(s, "END"));
	cr_expect(sequence_settings_hide_input(s, "in"));
	cr_expect(!sequence_settings_hide_input(s, "x"));
	cr_expect(!sequence_settings_hide_input(NULL, "END"));
	cr_expect(sequence_settings_hide_output(s, "out"));
	cr_expect(!sequence_settings_hide_output(s, "in"));
	cr_expect(!sequence_settings_hide_output(NULL, "out"));
	free(s);
}

static int life(void *arg)
{
	struct sequence_settings *a = make(), *b = NULL;
	int r = a ? sequence_settings_copy(&b, a) : -1;

	(void)arg;
	free(a);
	free(b);
	return r;
}

Test(sequence_settings, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}

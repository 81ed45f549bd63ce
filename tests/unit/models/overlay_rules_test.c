/* Tests of overlay_rules.c: what callers may set, and what they may not. */
#include "models/overlay_rules.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(overlay_rules, what_callers_may_set)
{
	cr_expect(overlay_rules_has_key("instances"));
	cr_expect(overlay_rules_has_parameter("intra_op_threads"));
	cr_expect_not(overlay_rules_has_key("intra_op_threads"));
	cr_expect_not(overlay_rules_has_parameter("instances"));
}

/* Code, files, isolation, and what is run twice. */
Test(overlay_rules, what_they_may_not)
{
	static const char *const names[] = {"backend", "isolation", "fallback", "stateful",
		"version", "custom_op_libraries", "interpreter", "handler", "serialized_file",
		"function", "library", "cuda_user_compute_stream", "", "Instances"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(
			!overlay_rules_has_key(names[i]) && !overlay_rules_has_parameter(names[i]),
			"%s", names[i]);
}

static void check(const char *key, const char *good, const char *bad)
{
	cr_expect_null(overlay_rules_check(key, good), "%s = %s", key, good);
	cr_expect_not_null(overlay_rules_check(key, bad), "%s = %s", key, bad);
}

Test(overlay_rules, values)
{
	check("intra_op_threads", "1024", "1025");
	check("inter_op_threads", "0", "-1");
	check("delay_ms", "3600000", "3600001");
	check("spin", "yes", "maybe");
	check("optimization", "extended", "most");
	check("batch", "auto", "");
}

Test(overlay_rules, whose_they_are)
{
	cr_expect(overlay_rules_fits("spin", "onnxruntime"));
	cr_expect_not(overlay_rules_fits("spin", "builtin"));
}

/* All that is named is allowed. */
Test(overlay_rules, names)
{
	char names[512];
	size_t n = 0;

	snprintf(names, sizeof(names), "%s", overlay_rules_names());
	for (char *at = names; at; n++) {
		char *end = strstr(at, ", ");

		if (end)
			*end = '\0';
		cr_expect(overlay_rules_has_key(at) || overlay_rules_has_parameter(at), "%s", at);
		at = end ? end + 2 : NULL;
	}
	cr_expect_eq(n, 18);
}

/* Tests of version_diff.c: what has to be done, in which order. */
#include "models/version_diff.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char trace[512];

static void on_change(
	void *data, enum version_change change, size_t index, const struct version_settings *new)
{
	static const char *const words[] = {"keep", "add", "replace", "remove"};
	const struct version_settings *const *now = data;
	size_t n = strlen(trace);

	if (change == VERSION_ADD)
		snprintf(trace + n, sizeof(trace) - n, "%s %s; ", words[change], new->version);
	else if (change == VERSION_REMOVE)
		snprintf(trace + n, sizeof(trace) - n, "%s %s; ", words[change],
			now[index]->version);
	else
		snprintf(trace + n, sizeof(trace) - n, "%s %s by %s; ", words[change],
			now[index]->version, new->version);
}

/* Versions as digits, "3" or "3'" where its files are others. */
static size_t fill(const char *text, struct version_settings *list,
	const struct version_settings **pointers, char names[8][2])
{
	size_t n = 0;

	for (const char *at = text; *at; at++) {
		if (*at == '\'') {
			list[n - 1].content = 2;
			continue;
		}
		names[n][0] = *at;
		names[n][1] = 0;
		list[n] = (struct version_settings){.name = "m", .version = names[n], .content = 1};
		pointers[n] = &list[n];
		n++;
	}
	return n;
}

static const char *diff(const char *now, const char *wanted)
{
	struct version_settings a[8], b[8];
	const struct version_settings *pa[8], *pb[8];
	char names_a[8][2], names_b[8][2];
	size_t n = fill(now, a, pa, names_a);

	trace[0] = 0;
	version_diff(pa, n, pb, fill(wanted, b, pb, names_b), on_change, (void *)pa);
	return trace;
}

Test(version_diff, one_version)
{
	cr_expect_str_eq(diff("", ""), "");
	cr_expect_str_eq(diff("", "1"), "add 1; ");
	cr_expect_str_eq(diff("1", "1"), "keep 1 by 1; ");
	cr_expect_str_eq(diff("1", "1'"), "replace 1 by 1; ");
	cr_expect_str_eq(diff("1", ""), "remove 1; ");
	cr_expect_str_eq(diff("1", "2"), "replace 1 by 2; ");
}

Test(version_diff, several)
{
	cr_expect_str_eq(diff("1", "21"), "add 2; keep 1 by 1; ");
	cr_expect_str_eq(diff("21", "32"), "replace 1 by 3; keep 2 by 2; ");
	cr_expect_str_eq(diff("321", "4"), "replace 3 by 4; remove 2; remove 1; ");
	cr_expect_str_eq(diff("1", "432"), "replace 1 by 4; add 3; add 2; ");
	cr_expect_str_eq(diff("32", "3'2"), "replace 3 by 3; keep 2 by 2; ");
	cr_expect_str_eq(diff("54", "76"), "replace 5 by 7; replace 4 by 6; ");
}

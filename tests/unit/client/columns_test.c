/* columns_test.c: lines folded at blanks, and those that cannot be. */
#include "clients/modelctl/columns.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect(const char *text, unsigned indent, const char *wanted)
{
	char *got = NULL;
	size_t n;
	FILE *out = open_memstream(&got, &n);

	columns_print(out, text, indent);
	cr_assert_eq(fclose(out), 0);
	cr_expect_str_eq(got, wanted);
	free(got);
}

#define TEN "123456789 "

Test(columns, short_lines_stay)
{
	expect("", 2, "");
	expect("a\n\n  b  c\n", 2, "a\n\n  b  c\n");
	expect(TEN TEN TEN TEN TEN TEN TEN "1234567890\n", 2,
		TEN TEN TEN TEN TEN TEN TEN "1234567890\n");
}

Test(columns, long_ones_go_on)
{
	expect(TEN TEN TEN TEN TEN TEN TEN TEN "123456789\nb\n", 2,
		TEN TEN TEN TEN TEN TEN TEN "123456789\n  123456789\nb\n");
	expect("  x " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "end", 4,
		"  x " TEN TEN TEN TEN TEN TEN "123456789\n"
		"    " TEN TEN TEN TEN TEN TEN "123456789\n"
		"    123456789 end\n");
}

Test(columns, words_that_are_too_long_stay_whole)
{
	char word[128] = "", wanted[256];

	memset(word, 'w', 100);
	snprintf(wanted, sizeof(wanted), "a\n  %s\n  b\n", word);
	word[100] = 0;
	char text[256];

	snprintf(text, sizeof(text), "a %s b\n", word);
	snprintf(wanted, sizeof(wanted), "a\n  %s\n  b\n", word);
	expect(text, 2, wanted);
	snprintf(text, sizeof(text), "   %s b\n", word);
	snprintf(wanted, sizeof(wanted), "   %s\n  b\n", word);
	expect(text, 2, wanted);
}

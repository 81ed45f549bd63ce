/* json_text_test.c: characters in JSON. */
#include "base/json_text.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *text(const char *bytes, size_t n)
{
	static char out[256];
	size_t len = 0;

	for (size_t taken; n > 0; bytes += taken, n -= taken)
		len += json_character(bytes, n, out + len, &taken);
	out[len] = '\0';
	return out;
}

Test(json_text, characters)
{
	static const struct {
		const char *bytes, *json;
	} cases[] = {
		{"plain", "plain"},
		{"\"\\/", "\\\"\\\\/"},
		{"\n\x1f\x7f", "\\u000a\\u001f\\u007f"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		/* No UTF-8: alone, cut short, a surrogate. */
		{"\xff", "\\ufffd"},
		{"a\xe2\x82", "a\\ufffd\\ufffd"},
		{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(text(cases[i].bytes, strlen(cases[i].bytes)), cases[i].json);
	cr_expect_str_eq(text("a\0b", 3), "a\\u0000b");
}

/* utf8_test.c: well-formed UTF-8, against the definition. */
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The one form of a code point, as RFC 3629 has it. */
static size_t encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

Test(utf8, every_code_point)
{
	for (uint32_t c = 0; c < 0x120000; c++) {
		bool surrogate = c >= 0xD800 && c <= 0xDFFF;
		char text[5] = {0};
		size_t n = encode(c, text);

		if (surrogate || c > 0x10FFFF) {
			cr_assert_eq(utf8_length(text, n), 0, "U+%X", c);
			continue;
		}
		cr_assert_eq(utf8_length(text, n), n, "U+%X", c);
		cr_assert_eq(utf8_length(text, 5), n, "U+%X", c);
		for (size_t cut = 0; cut < n; cut++)
			cr_assert_eq(utf8_length(text, cut), 0, "U+%X cut", c);
	}
}

Test(utf8, malformed)
{
	static const char *const texts[] = {
		"\x80",
		"\xBF",
		"\xC0\x80",
		"\xC1\xBF",
		"\xE0\x80\x80",
		"\xE0\x9F\xBF",
		"\xED\xA0\x80",
		"\xF0\x80\x80\x80",
		"\xF0\x8F\xBF\xBF",
		"\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80",
		"\xFE",
		"\xFF",
		"\xC3("
		"\xE2\x82(",
		"\xF0\x9F\x98(",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(utf8_length(texts[i], strlen(texts[i])), 0, "%zu", i);
		cr_assert_not(utf8_valid(texts[i], strlen(texts[i])), "%zu", i);
	}
}

Test(utf8, texts)
{
	cr_assert(utf8_valid("", 0));
	cr_assert(utf8_valid("a\0b", 3));
	cr_assert(utf8_valid("gr\xC3\xBC\xC3\x9F dich", 11));
	cr_assert_not(utf8_valid("gr\xC3\xBC\xC3", 5));
	cr_assert_not(utf8_valid("gr\xFC\xDF", 4));
}

static const char *mend(const char *text)
{
	static char out[64];

	snprintf(out, sizeof(out), "%s", text);
	utf8_mend(out);
	return out;
}

Test(utf8, what_is_not_well_formed_is_mended)
{
	cr_expect_str_eq(mend(""), "");
	cr_expect_str_eq(mend("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
	cr_expect_str_eq(mend("\xff\xfe."), "??.");
	cr_expect_str_eq(mend("a\xc3"), "a?");
	cr_expect_str_eq(mend("\xe2\x82x\xe2\x82\xac"), "??x\xe2\x82\xac");
}

/* json_test.c: nesting, commas, and text of every sort. */
#include "clients/modelctl/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *out;
static size_t n_out;
static struct json j;

static void set_up(void)
{
	FILE *f = open_memstream(&out, &n_out);

	cr_assert_not_null(f);
	json_init(&j, f);
}

static void expect(const char *text)
{
	cr_assert_eq(fclose(j.out), 0);
	cr_assert_str_eq(out, text);
	free(out);
}

TestSuite(json, .init = set_up);

Test(json, one_line)
{
	j.one_line = true;
	json_open(&j, NULL, '{');
	json_string(&j, "name", "x");
	json_open(&j, "list", '[');
	json_u64(&j, NULL, 1);
	json_u64(&j, NULL, 2);
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
	expect("{\"name\": \"x\", \"list\": [1, 2]}\n");
}

Test(json, an_object_of_everything)
{
	json_open(&j, NULL, '{');
	json_string(&j, "s", "text");
	json_u64(&j, "u", UINT64_MAX);
	json_i64(&j, "i", INT64_MIN);
	json_bool(&j, "t", true);
	json_bool(&j, "f", false);
	json_double(&j, "d", 0.5);
	json_open(&j, "a", '[');
	json_u64(&j, NULL, 1);
	json_u64(&j, NULL, 2);
	json_close(&j, ']');
	json_open(&j, "empty", '{');
	json_close(&j, '}');
	json_close(&j, '}');
	json_end(&j);
	expect("{\n  \"s\": \"text\",\n  \"u\": 18446744073709551615,\n"
	       "  \"i\": -9223372036854775808,\n  \"t\": true,\n  \"f\": false,\n  \"d\": 0.5,\n"
	       "  \"a\": [\n    1,\n    2\n  ],\n  \"empty\": {}\n}\n");
}

Test(json, numbers_that_are_none)
{
	json_open(&j, NULL, '[');
	json_double(&j, NULL, (double)NAN);
	json_double(&j, NULL, -(double)INFINITY);
	json_number(&j, NULL, "nan");
	json_number(&j, NULL, "-inf");
	json_number(&j, NULL, "");
	json_number(&j, NULL, "-1.5e+30");
	json_number(&j, NULL, "9223372036854775807");
	json_close(&j, ']');
	json_end(&j);
	expect("[\n  null,\n  null,\n  null,\n  null,\n  null,\n  -1.5e+30,\n"
	       "  9223372036854775807\n]\n");
}

static void expect_string(const char *text, const char *json)
{
	set_up();
	json_string(&j, NULL, text);
	expect(json);
}

Test(json, strings)
{
	expect("");
	expect_string("", "\"\"");
	expect_string("a\"b\\c", "\"a\\\"b\\\\c\"");
	expect_string("\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\"");
	expect_string(
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

Test(json, what_is_no_utf8_is_escaped_byte_by_byte)
{
	expect("");
	expect_string("\xff", "\"\\u00ff\"");
	expect_string("\xc3", "\"\\u00c3\"");
	expect_string("\xe2\x82", "\"\\u00e2\\u0082\"");
	expect_string("\xc0\x80", "\"\\u00c0\\u0080\"");
	expect_string("\xe0\x80\x80", "\"\\u00e0\\u0080\\u0080\"");
	expect_string("\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\"");
	expect_string("\xf0\x80\x80\x80", "\"\\u00f0\\u0080\\u0080\\u0080\"");
	expect_string("\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\"");
	expect_string("\x80x", "\"\\u0080x\"");
}

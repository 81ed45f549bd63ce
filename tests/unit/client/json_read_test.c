/* json_read_test.c: values one after the other, cut at every byte, and malformed. */
#include "clients/modelctl/json_read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool whole(const char *text, size_t n)
{
	/* In memory of just that size: AddressSanitizer sees what is read behind it. */
	char *copy = malloc(n ? n : 1);
	bool is;

	memcpy(copy, text, n);
	is = json_read_is_whole((struct json_reader){copy, n, 0});
	free(copy);
	return is;
}

#define ALL                                                                                        \
	" { \"a\" : [ 1 , -2.5e+3, 0, true, null ] , \"b\\u00e9\\n\" : { } , \"c\": "              \
	"[[],[{\"x\":\"\\\\\"}]] } "

Test(json_read, whole_values)
{
	static const char *const right[] = {ALL, "1", "\"x\"", "[]", "NaN", "-Infinity", "1E-2"};
	static const char *const wrong[] = {"", " ", "[", "[1,]", "[,1]", "[1 2]", "{1:2}",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "01", "1.", ".5", "-", "1e", "tru", "\"",
		"\"\\", "\"a\nb\"", "[1]]", "1 2", "[1}", "+1", "inf"};

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		cr_assert(whole(right[i], strlen(right[i])), "%s", right[i]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_not(whole(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
	cr_assert_not(whole("1\0", 2));
	for (size_t n = 0; n < strlen(ALL) - 1; n++)
		cr_assert_not(whole(ALL, n), "%zu", n);
}

Test(json_read, depth_is_bounded)
{
	char deep[2 * JSON_READ_DEPTH_MAX + 2];

	memset(deep, '[', JSON_READ_DEPTH_MAX);
	memset(deep + JSON_READ_DEPTH_MAX, ']', JSON_READ_DEPTH_MAX);
	cr_assert(whole(deep, (size_t)2 * JSON_READ_DEPTH_MAX));
	memset(deep, '[', JSON_READ_DEPTH_MAX + 1);
	memset(deep + JSON_READ_DEPTH_MAX + 1, ']', JSON_READ_DEPTH_MAX + 1);
	cr_assert_not(whole(deep, sizeof(deep)));
}

static int string(const char *text, struct buf *out)
{
	struct json_reader r = {text, strlen(text), 0};

	buf_reset(out);
	return json_read_string(&r, out);
}

Test(json_read, strings_are_decoded)
{
	struct buf out = {.max = 16};
	static const char *const wrong[] = {"x", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
		"\"\\udc00\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"a\tb\""};

	cr_assert_eq(string("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", &out), 0);
	cr_assert_eq(out.len, 9);
	cr_assert_arr_eq(out.data, "a\"\\/\b\f\n\r\t", 9);
	cr_assert_eq(string("\"\\u0000\\u00e9\\u20AC\\ud83d\\ude00\"", &out), 0);
	cr_assert_eq(out.len, 10);
	cr_assert_arr_eq(out.data, "\0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 10);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(string(wrong[i], &out), -EINVAL, "%s", wrong[i]);
	cr_assert_eq(string("\"more than sixteen bytes\"", &out), -ENOBUFS);
	buf_deinit(&out);
}

Test(json_read, members)
{
	static const char text[] = "{\"a\": [1,\n2], \"b\": false}";
	struct json_reader r = {text, sizeof(text) - 1, 0};
	struct buf name = {.max = 16};
	const char *word;
	size_t n;

	cr_assert_eq((int)json_read_kind(&r), JSON_OBJECT);
	cr_assert_eq(json_read_enter(&r, '['), -EINVAL);
	cr_assert_eq(json_read_enter(&r, '{'), 0);
	cr_assert_eq(json_read_more(&r, '{', true), 1);
	cr_assert_eq(json_read_name(&r, &name), 0);
	cr_assert_eq(name.len, 1);
	cr_assert_eq((int)json_read_kind(&r), JSON_ARRAY);
	cr_assert_eq(json_read_skip(&r), 0);
	cr_assert_eq(json_read_line(&r), 2);
	cr_assert_eq(json_read_more(&r, '{', false), 1);
	buf_reset(&name);
	cr_assert_eq(json_read_name(&r, &name), 0);
	cr_assert_eq((int)json_read_kind(&r), JSON_BOOL);
	cr_assert_eq(json_read_word(&r, &word, &n), 0);
	cr_assert_eq(n, 5);
	cr_assert_eq(json_read_more(&r, '{', false), 0);
	cr_assert_eq((int)json_read_kind(&r), JSON_NOTHING);
	buf_deinit(&name);
}

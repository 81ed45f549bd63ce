/* log_json_test.c: lines of the log as objects, byte for byte. */
#include "base/log_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HEAD                                                                                       \
	"{\"time\":\"2026-01-31T12:00:00.123Z\",\"level\":\"info\",\"component\":\"pool\","        \
	"\"message\":\"m\""

static const struct log_json_entry usual = {
	.time_ns = UINT64_C(1769860800123456789),
	.level = "info",
	.file = "src/pool/worker.c",
	.message = "m",
	.fields = "",
	.format = "",
};

static const char *write_entry(const struct log_json_entry *e)
{
	static char text[LOG_JSON_MAX_BYTES];

	text[log_json_write(e, text, sizeof(text) - 1)] = '\0';
	return text;
}

/* The line's fields, behind what is the same in all. */
static const char *fields(const char *text, const char *format)
{
	struct log_json_entry e = usual;
	const char *line;

	e.fields = text;
	e.format = format;
	line = write_entry(&e);
	cr_assert_eq(strncmp(line, HEAD, strlen(HEAD)), 0, "%s", line);
	return line + strlen(HEAD);
}

Test(log_json, without_fields)
{
	cr_assert_str_eq(write_entry(&usual), HEAD "}");
}

Test(log_json, component)
{
	static const struct {
		const char *file, *program, *component;
	} cases[] = {
		{"src/http2/conn.c", NULL, "http2"},
		{"src/main.c", NULL, "server"},
		{"main.c", NULL, "server"},
		{"workers/run.c", NULL, "workers"},
		{"/tmp/tree/src/grpc/call.c", NULL, "grpc"},
		{"workers/run.c", "modeld-worker", "modeld-worker"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_json_entry e = usual;
		char expected[64];

		e.file = cases[i].file;
		e.program = cases[i].program;
		snprintf(expected, sizeof(expected), ",\"component\":\"%s\",", cases[i].component);
		cr_expect_not_null(strstr(write_entry(&e), expected), "%s", write_entry(&e));
	}
}

Test(log_json, fields)
{
	static const struct {
		const char *fields, *format, *json;
	} cases[] = {
		{"a=b", "a=%s", ",\"a\":\"b\"}"},
		{"worker=cpu:0/0 pid=-4711 n=0", "worker=%s pid=%d n=%zu",
			",\"worker\":\"cpu:0/0\",\"pid\":-4711,\"n\":0}"},
		/* A name of digits stays a text, whatever others are called. */
		{"model=123 version=1", "model=%s version=%s",
			",\"model\":\"123\",\"version\":\"1\"}"},
		{"n=18446744073709551615 m=5", "n=%llu m=%03u",
			",\"n\":18446744073709551615,\"m\":5}"},
		{"n=007 segment=0x10", "n=%03u segment=%#lx",
			",\"n\":\"007\",\"segment\":\"0x10\"}"},
		{"load=3/4", "load=%u/%u", ",\"load\":\"3/4\"}"},
		{"n=1 nn=2", "nn=%s n=%u", ",\"n\":1,\"nn\":\"2\"}"},
		{"error=no such file by=x", "error=%s by=%s",
			",\"error\":\"no such file\",\"by\":\"x\"}"},
		{"empty= a=\"\"", "empty=%s a=%s", ",\"empty\":\"\",\"a\":\"\"}"},
		{"a=\"x \\\"y\\\" b=c\\n\\\\\" d=e", "a=%s d=%s",
			",\"a\":\"x \\\"y\\\" b=c\\u000a\\\\\",\"d\":\"e\"}"},
		{"a=\"\\xc3\\xa9\\xff\\x00\\t\"", "a=%s",
			",\"a\":\"\xc3\xa9\\ufffd\\u0000\\u0009\"}"},
		{"a=\xe2\x82 \x7f", "a=%s", ",\"a\":\"\\ufffd\\ufffd \\u007f\"}"},
		{"why=\"he said \"no\" b\"", "why=\"%s\"",
			",\"why\":\"he said \\\"no\",\"text\":\"b\\\"\"}"},
		{"a=\"cut off", "a=%s", ",\"a\":\"cut off\"}"},
		{"words a=b", "words a=%s", ",\"text\":\"words\",\"a\":\"b\"}"},
		{"level=x time=y", "level=%s time=%s", ",\"level_\":\"x\",\"time_\":\"y\"}"},
		{"=x", "=x", ",\"text\":\"=x\"}"},
		{"a=1\\", "a=%s", ",\"a\":\"1\\\\\"}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(fields(cases[i].fields, cases[i].format), cases[i].json,
			"%s gave %s", cases[i].fields, fields(cases[i].fields, cases[i].format));
}

/* At every size the object is closed, and nothing behind its end is touched. */
Test(log_json, wherever_it_is_cut)
{
	struct log_json_entry e = usual;
	char text[2048], out[LOG_JSON_MAX_BYTES];
	size_t whole;

	snprintf(text, sizeof(text),
		"first=12345678901234567890 second=\"%s\" third=%d fourth=%0400d",
		"\\x01\\xe9\\\"x \xe2\x82\xac", 77, 5);
	e.fields = text;
	e.format = "first=%llu second=%s third=%d fourth=%s";
	whole = log_json_write(&e, out, sizeof(out));
	for (size_t cap = 150; cap < whole + 64; cap++) {
		size_t n, quotes = 0;

		memset(out, '#', sizeof(out));
		n = log_json_write(&e, out, cap);
		cr_assert_leq(n, cap);
		cr_assert_eq(out[n], '#');
		cr_assert_eq(out[n - 1], '}');
		for (size_t i = 0; i < n; i++)
			quotes += out[i] == '"' && out[i - 1] != '\\';
		cr_assert_eq(quotes % 2, 0, "%zu: %.*s", cap, (int)n, out);
		cr_assert(n == whole || !memcmp(out + n - 12, ",\"cut\":true}", 12), "%.*s", (int)n,
			out);
		cr_assert_null(memmem(out, n, ":,", 2));
	}
}

Test(log_json, what_was_cut_before)
{
	struct log_json_entry e = usual;

	e.fields = "a=b";
	e.cut = true;
	cr_assert_str_eq(write_entry(&e), HEAD ",\"a\":\"b\",\"cut\":true}");
}

/* Tests of conf_file.c: line numbers, continued lines, and what inih would let pass. */
#include "models/conf_file.h"

#include <criterion/criterion.h>
#include <string.h>

static char text[256];
static char seen[2048];
static const char *stop_at;

static bool on_key(void *data, const struct conf_line *l)
{
	cr_assert_eq(data, seen);
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s [%s] %s=%s%s\n", l->where,
		l->section, l->key, l->value, l->continued ? " ..." : "");
	return !stop_at || strcmp(l->key, stop_at);
}

static int read_bytes(const char *data, size_t n)
{
	FILE *in = fmemopen((void *)data, n, "r");
	int r;

	cr_assert_not_null(in);
	seen[0] = 0;
	r = conf_file_read(in, "f", on_key, seen, text, sizeof(text));
	fclose(in);
	return r;
}

static int read_text(const char *data)
{
	return read_bytes(data, strlen(data));
}

Test(conf_file, lines_are_numbered)
{
	cr_assert_eq(read_text("; x\n[a]\n\nk = v ; comment\n# y\nl : w\n[b]\nm="), 0);
	cr_expect_str_eq(seen, "f:4 [a] k=v\nf:6 [a] l=w\nf:8 [b] m=\n");
}

Test(conf_file, continued_lines)
{
	cr_assert_eq(read_text("[a]\n  k = v\n  w\n  ; not this\n\tx\n[b]\n  k = y\n"), 0);
	cr_expect_str_eq(seen, "f:2 [a] k=v\nf:3 [a] k=w ...\nf:5 [a] k=x ...\nf:7 [b] k=y\n");
}

Test(conf_file, comments_behind_values)
{
	cr_assert_eq(read_text("[a]\nk = v;w ; x\n  y;z  ; not this ; nor this\nl=;x\n"), 0);
	cr_expect_str_eq(seen, "f:2 [a] k=v;w\nf:3 [a] k=y;z ...\nf:4 [a] l=\n");
}

Test(conf_file, stops_when_told_to)
{
	stop_at = "l";
	cr_expect_eq(read_text("[a]\nk=1\nl=2\nm=3\nnonsense\n"), CONF_FILE_E_STOPPED);
	cr_expect_str_eq(seen, "f:2 [a] k=1\nf:3 [a] l=2\n");
}

Test(conf_file, nonsense)
{
	cr_expect_eq(read_text("[a]\nk=1\nnonsense\nm=3\n"), CONF_FILE_E_INVALID);
	cr_expect_str_eq(text, "f:3: neither [section] nor key = value");
}

Test(conf_file, control_characters)
{
	cr_expect_eq(read_text("[a]\nk=1\v2\n"), CONF_FILE_E_INVALID);
	cr_expect_str_eq(text, "f:2: there is a control character");
	cr_expect_eq(read_text("[a]\nk=1\r2\n"), CONF_FILE_E_INVALID);
	cr_expect_eq(read_text("[a]\r\nk =\t1\r\n"), 0);
	cr_expect_str_eq(seen, "f:2 [a] k=1\n");
}

Test(conf_file, a_nul_byte)
{
	cr_expect_eq(read_bytes("[a]\nk=1\0x\n", 10), CONF_FILE_E_INVALID);
	cr_expect_str_eq(text, "f:2: there is a control character");
}

Test(conf_file, long_lines)
{
	char line[512];

	memset(line, 'v', sizeof(line));
	memcpy(line, "[a]\nk=", 6);
	memcpy(line + 4 + 198, "\n", 2);
	cr_assert_eq(read_text(line), 0, "%s", text);
	line[4 + 198] = 'v';
	memcpy(line + 4 + 199, "\n", 2);
	cr_expect_eq(read_text(line), CONF_FILE_E_INVALID);
	cr_expect_str_eq(text,
		"f:2: line is longer than 198 characters (a list may go on in an indented line)");
}

Test(conf_file, a_byte_order_mark)
{
	cr_assert_eq(read_text("\xEF\xBB\xBF[a]\nk=1\n"), 0);
	cr_expect_str_eq(seen, "f:2 [a] k=1\n");
}

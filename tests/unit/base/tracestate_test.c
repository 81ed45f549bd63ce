/* tracestate_test.c: the form of a tracestate header, and what is left of a long one. */
#include "base/tracestate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct tracestate t;

static const char *of(const char *text)
{
	t = (struct tracestate){.n = 0};
	tracestate_add(&t, text, strlen(text));
	cr_expect_eq(t.n, strlen(t.text));
	return t.text;
}

Test(tracestate, members)
{
	cr_expect_str_eq(of(""), "");
	cr_expect_str_eq(of("rojo=00f067aa0ba902b7"), "rojo=00f067aa0ba902b7");
	cr_expect_str_eq(of("a=1,b=2"), "a=1,b=2");
	cr_expect_str_eq(of(" \ta=1\t , ,b=2, "), "a=1,b=2", "spaces and nothing are no members");
	cr_expect_str_eq(of("fw529a3039@dt=x y;z:[]"), "fw529a3039@dt=x y;z:[]");
	cr_expect_str_eq(of("0_-*/=!"), "0_-*/=!");
}

Test(tracestate, malformed)
{
	static const char *const texts[] = {"a", "=1", "a=", "a=1=2", "A=1", "_a=1", "a b=1",
		"a=\x7f", "a=\x01", "a=\xc3\xa9", "a =1", "a=1,b"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_expect_str_eq(of(texts[i]), "", "%s", texts[i]);
		cr_expect(t.malformed);
		tracestate_add(&t, "a=1", 3);
		cr_expect_str_eq(t.text, "");
	}
}

Test(tracestate, several_headers_are_one)
{
	cr_expect_str_eq(of("a=1"), "a=1");
	tracestate_add(&t, "b=2,c=3", 7);
	cr_expect_str_eq(t.text, "a=1,b=2,c=3");
	tracestate_add(&t, "d", 1);
	cr_expect_str_eq(t.text, "", "all of it is lost");
}

/* n members of a byte and a number. */
static size_t many(char *out, size_t cap, unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, cap - at, "%sa%u=1", i ? "," : "", i);
	return at;
}

Test(tracestate, so_many)
{
	char text[512];

	many(text, sizeof(text), TRACESTATE_MEMBERS);
	cr_expect_str_eq(of(text), text);
	many(text, sizeof(text), TRACESTATE_MEMBERS + 1);
	cr_expect_str_eq(of(text), "");
}

static const char *member(char key, size_t n)
{
	static char text[2 * TRACESTATE_BYTES];

	memset(text, 'v', n);
	memcpy(text, (char[]){key, '='}, 2);
	text[n] = '\0';
	return text;
}

/* What is longer than others goes first, then what is last. */
Test(tracestate, so_long)
{
	char text[4 * TRACESTATE_BYTES], expected[4 * TRACESTATE_BYTES] = "a=1";
	size_t n = (size_t)snprintf(text, sizeof(text), "a=1,%s", member('b', 129)), m = 3;

	for (char key = 'c'; key <= 'h'; key++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",%s", member(key, 126));
		if (key <= 'f') /* 3 + 4 * 127 bytes, to which b is one too many */
			m += (size_t)snprintf(
				expected + m, sizeof(expected) - m, ",%s", member(key, 126));
	}
	cr_expect_str_eq(of(text), expected);
	cr_expect_leq(t.n, TRACESTATE_BYTES);
	memset(text, 'v', 258);
	memcpy(text, "a=", 2);
	text[258] = '\0';
	cr_expect_eq(strlen(of(text)), 258, "alone it fits");
	tracestate_add(&t, member('b', 255), 255);
	cr_expect_str_eq(t.text, "", "neither stays, where one would go for the other");
	tracestate_add(&t, "c=1", 3);
	cr_expect_str_eq(t.text, "c=1");
}

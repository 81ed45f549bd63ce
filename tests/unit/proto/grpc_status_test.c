/* grpc_status_test.c: codes as text, percent-encoding both ways, UTF-8 at its edges. */
#include "proto/grpc_status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REPLACED "%EF%BF%BD"

Test(grpc_status, names_and_digits)
{
	static const char *const names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
		"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};
	char digits[16];

	for (int i = 0; i <= GRPC_UNAUTHENTICATED; i++) {
		snprintf(digits, sizeof(digits), "%d", i);
		cr_assert_str_eq(grpc_status_name(i), names[i]);
		cr_assert_str_eq(grpc_status_digits(i), digits);
	}
	cr_assert_str_eq(grpc_status_name(-1), "UNKNOWN");
	cr_assert_str_eq(grpc_status_name(17), "UNKNOWN");
	cr_assert_str_eq(grpc_status_digits(17), "2");
	cr_assert_str_eq(grpc_status_digits(-1), "2");
}

Test(grpc_status, parse)
{
	static const char *const bad[] = {"", "00", "01", "17", "-1", "+1", " 1", "1 ", "100", "a"};
	enum grpc_status code = GRPC_ABORTED;

	for (int i = 0; i <= GRPC_UNAUTHENTICATED; i++) {
		const char *digits = grpc_status_digits(i);

		cr_assert_eq(grpc_status_parse(digits, strlen(digits), &code), 0);
		cr_assert_eq((int)code, i);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(
			grpc_status_parse(bad[i], strlen(bad[i]), &code), -EINVAL, "'%s'", bad[i]);
	cr_assert_eq(grpc_status_parse("1\0", 2, &code), -EINVAL);
	cr_assert_eq(code, GRPC_UNAUTHENTICATED, "untouched on failure");
}

static void encodes_n(const char *text, size_t n, const char *want)
{
	char out[GRPC_MESSAGE_ENCODED_MAX];
	size_t written = grpc_message_encode(text, n, out);

	cr_assert_eq(written, strlen(want), "%.*s", (int)written, out);
	cr_assert_eq(memcmp(out, want, written), 0, "%.*s", (int)written, out);
}

static void encodes(const char *text, const char *want)
{
	encodes_n(text, strlen(text), want);
}

Test(grpc_message, printable_ascii_stays)
{
	encodes("", "");
	encodes("model \"digits\" is not ready ~", "model \"digits\" is not ready ~");
	encodes("100%", "100%25");
}

Test(grpc_message, everything_else_is_escaped)
{
	encodes("a\tb\r\n", "a%09b%0D%0A");
	encodes_n("\0\x1f\x7f", 3, "%00%1F%7F");
	encodes("\xc3\xa9", "%C3%A9");
	encodes("\xe2\x82\xac", "%E2%82%AC");
	encodes("\xf0\x9f\x98\x88", "%F0%9F%98%88");
	encodes("\xf4\x8f\xbf\xbf", "%F4%8F%BF%BF");
	encodes("\xed\x9f\xbf\xee\x80\x80", "%ED%9F%BF%EE%80%80");
}

Test(grpc_message, malformed_utf8_is_replaced)
{
	encodes("a\x80z", "a" REPLACED "z");
	encodes("\xff", REPLACED);
	encodes("\xc3", REPLACED);
	encodes("\xc3(", REPLACED "(");
	encodes("\xe2\x82", REPLACED REPLACED);
	encodes("\xc0\x80", REPLACED REPLACED);				  /* overlong */
	encodes("\xe0\x9f\xbf", REPLACED REPLACED REPLACED);		  /* overlong */
	encodes("\xf0\x8f\xbf\xbf", REPLACED REPLACED REPLACED REPLACED); /* overlong */
	encodes("\xed\xa0\x80", REPLACED REPLACED REPLACED);		  /* surrogate */
	encodes("\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED); /* > U+10FFFF */
	encodes("\xf5\x80\x80\x80", REPLACED REPLACED REPLACED REPLACED);
	encodes("\xf0\x9f\x98"
		"x",
		REPLACED REPLACED REPLACED "x");
}

Test(grpc_message, a_character_cut_by_n_is_malformed)
{
	encodes_n("\xc3\xa9", 1, REPLACED);
}

Test(grpc_message, long_text_is_cut)
{
	char text[GRPC_MESSAGE_MAX + 8], out[GRPC_MESSAGE_ENCODED_MAX];

	memset(text, 'a', sizeof(text));
	cr_assert_eq(grpc_message_encode(text, GRPC_MESSAGE_MAX, out), GRPC_MESSAGE_MAX);
	cr_assert_eq(grpc_message_encode(text, sizeof(text), out), GRPC_MESSAGE_MAX);
}

Test(grpc_message, cut_at_a_character_border)
{
	char text[GRPC_MESSAGE_MAX + 8], out[GRPC_MESSAGE_ENCODED_MAX];

	for (size_t pad = 0; pad < 4; pad++) {
		size_t room = GRPC_MESSAGE_MAX - pad;

		/* An emoji of 4 bytes that begins `pad` bytes before the limit. */
		memset(text, 'a', room);
		memcpy(text + room, "\xf0\x9f\x98\x88", 4);
		cr_assert_eq(grpc_message_encode(text, room + 4, out), room, "pad %zu", pad);
	}
	memset(text, 'a', GRPC_MESSAGE_MAX - 4);
	memcpy(text + GRPC_MESSAGE_MAX - 4, "\xf0\x9f\x98\x88", 4);
	cr_assert_eq(grpc_message_encode(text, GRPC_MESSAGE_MAX, out), GRPC_MESSAGE_MAX + 8);
}

Test(grpc_message, the_worst_text_fits)
{
	char text[2 * GRPC_MESSAGE_MAX], out[GRPC_MESSAGE_ENCODED_MAX];

	memset(text, 0xFF, sizeof(text));
	cr_assert_eq(grpc_message_encode(text, sizeof(text), out), GRPC_MESSAGE_MAX / 3 * 9);
	memset(text, '\n', sizeof(text));
	cr_assert_eq(grpc_message_encode(text, sizeof(text), out), 3 * GRPC_MESSAGE_MAX);
}

static void decodes(const char *encoded, const char *want, size_t n_want)
{
	char text[64];
	size_t n = strlen(encoded);

	memcpy(text, encoded, n);
	cr_assert_eq(grpc_message_decode(text, n), n_want, "%s", encoded);
	cr_assert_eq(memcmp(text, want, n_want), 0, "%s", encoded);
}

Test(grpc_message, decode)
{
	decodes("", "", 0);
	decodes("plain", "plain", 5);
	decodes("a%20b%25", "a b%", 4);
	decodes("%e2%82%AC", "\xe2\x82\xac", 3);
	decodes("%00", "\0", 1);
}

Test(grpc_message, malformed_escapes_are_kept)
{
	decodes("%", "%", 1);
	decodes("%4", "%4", 2);
	decodes("100%", "100%", 4);
	decodes("%zz%4", "%zz%4", 5);
	decodes("%4g%41", "%4gA", 4);
	decodes("%%41", "%A", 2);
	decodes("%-1%:0%@0%`0", "%-1%:0%@0%`0", 12);
}

Test(grpc_message, round_trip_of_every_byte_below_0x80)
{
	char text[128], out[GRPC_MESSAGE_ENCODED_MAX];
	size_t n;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	n = grpc_message_encode(text, sizeof(text), out);
	for (size_t i = 0; i < n; i++)
		cr_assert(out[i] >= 0x20 && out[i] <= 0x7E);
	cr_assert_eq(grpc_message_decode(out, n), sizeof(text));
	cr_assert_arr_eq(out, text, sizeof(text));
}

/* Tests of field.c: every wire type, and what is no message. */
#include "proto/field.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct field_reader reader(const void *bytes, size_t n)
{
	return (struct field_reader){bytes, (const uint8_t *)bytes + n};
}

#define READER(text) reader(text, sizeof(text) - 1)

Test(field, each_wire_type)
{
	struct field_reader r = READER("\x08\x96\x01"
				       "\x11\1\0\0\0\0\0\0\x80"
				       "\x1a\2hi"
				       "\x25\1\2\3\4");
	struct field f;

	cr_assert_eq(field_next(&r, &f), 0);
	cr_expect_eq(f.number, 1);
	cr_expect_eq(f.wire, FIELD_VARINT);
	cr_expect_eq(f.value, 150);
	cr_assert_eq(field_next(&r, &f), 0);
	cr_expect_eq(f.wire, FIELD_FIXED64);
	cr_expect_eq(f.value, UINT64_C(0x8000000000000001));
	cr_assert_eq(field_next(&r, &f), 0);
	cr_expect_eq(f.number, 3);
	cr_expect_eq(f.n, 2);
	cr_expect_arr_eq(f.bytes, "hi", 2);
	cr_assert_eq(field_next(&r, &f), 0);
	cr_expect_eq(f.wire, FIELD_FIXED32);
	cr_expect_eq(f.value, 0x04030201);
	cr_expect_eq(field_next(&r, &f), FIELD_E_END);
}

Test(field, an_empty_message_and_an_empty_field)
{
	struct field_reader r = READER("");
	struct field f;

	cr_expect_eq(field_next(&r, &f), FIELD_E_END);
	r = READER("\x0a\0");
	cr_assert_eq(field_next(&r, &f), 0);
	cr_expect_eq(f.n, 0);
	cr_expect_eq(field_next(&r, &f), FIELD_E_END);
}

Test(field, what_is_no_message)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x08", 1},			   /* no value */
		{"\x08\x80", 2},		   /* cut */
		{"\x00\x00", 2},		   /* no number */
		{"\x0a\x02h", 3},		   /* cut */
		{"\x0a", 1},			   /* no length */
		{"\x0b", 1},			   /* a group */
		{"\x0f", 1},			   /* no wire type */
		{"\x11\0\0\0", 4},		   /* cut */
		{"\x25\0", 2},			   /* cut */
		{"\x80\x80\x80\x80\x80\x10\0", 7}, /* a number of 2^29 and more */
	};
	struct field f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct field_reader r = reader(bad[i].bytes, bad[i].n);

		cr_expect_eq(field_next(&r, &f), -EPROTO, "message %zu", i);
	}
}

Test(field, varints_of_ten_bytes)
{
	struct field_reader r = READER("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05");
	uint64_t v;

	cr_assert_eq(field_next_varint(&r, &v), 0);
	cr_expect_eq(v, UINT64_MAX);
	cr_assert_eq(field_next_varint(&r, &v), 0);
	cr_expect_eq(v, 5);
	cr_expect_eq(field_next_varint(&r, &v), FIELD_E_END);
	r = READER("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
	cr_expect_eq(field_next_varint(&r, &v), -EPROTO, "more than 64 bits");
	r = READER("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00");
	cr_expect_eq(field_next_varint(&r, &v), -EPROTO, "too long");
}

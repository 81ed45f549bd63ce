/* codec_pack_test.c: the bytes of every kind of field, sizes, and what is not packed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_tables.h"
#include "proto/codec.h"

static uint8_t buffer[256];

static void packs_to(const struct codec_message *m, const void *in, const char *want, size_t n)
{
	uint8_t *at;

	cr_assert_eq(codec_pack(m, in, buffer, sizeof(buffer), &at), 0);
	cr_assert_eq((size_t)(buffer + sizeof(buffer) - at), n);
	cr_assert_arr_eq(at, want, n);
	cr_assert_eq(codec_pack(m, in, buffer, n, &at), 0, "it fits exactly");
	cr_assert_eq(at, buffer);
	/* Whatever is short by a byte. */
	for (size_t room = 0; room < n; room++) {
		at = NULL;
		buffer[room] = 0x5A;
		cr_assert_eq(codec_pack(m, in, buffer, room, &at), -EMSGSIZE);
		cr_assert_null(at, "untouched on failure");
		cr_assert_eq(buffer[room], 0x5A);
	}
}

#define packs(m, in, text) packs_to(m, in, "" text, sizeof(text) - 1)

static void refused(const struct codec_message *m, const void *in, int want)
{
	uint8_t *at;

	cr_assert_eq(codec_pack(m, in, buffer, sizeof(buffer), &at), want);
}

Test(codec_pack, zeros_and_empty_ones_are_left_out)
{
	const struct sample s = {.need = 7}, empty = {.need = 7, .text = ""};

	packs(&sample_table, &s, "\x08\x07");
	packs(&sample_table, &empty, "\x08\x07");
}

Test(codec_pack, every_kind)
{
	static const uint32_t numbers[] = {1, 300, 0};
	static const int64_t longs[] = {-1, 5};
	static const char *const texts[] = {"a", NULL, ""};
	static const struct part parts[] = {{1, "p"}, {0, NULL}};
	const struct sample s = {.need = UINT32_MAX,
		.flag = true,
		.text = "abc",
		.bytes = (const uint8_t *)"x\0y",
		.n_bytes = 3,
		.numbers = numbers,
		.n_numbers = 3,
		.longs = longs,
		.n_longs = 2,
		.texts = texts,
		.n_texts = 3,
		.parts = parts,
		.n_parts = 2,
		.far = 1000};

	packs(&sample_table, &s,
		"\x08\xff\xff\xff\xff\x0f"
		"\x10\x01"
		"\x1a\x03"
		"abc"
		"\x22\x03"
		"x\0y"
		"\x2a\x04\x01\xac\x02\x00"
		"\x32\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05"
		"\x3a\x01"
		"a"
		"\x3a\x00"
		"\x3a\x00"
		"\x42\x05\x08\x01\x12\x01"
		"p"
		"\x42\x00"
		"\x90\x03\xe8\x07");
}

Test(codec_pack, one_of_a_oneof)
{
	struct choice c = {.seq = 9, .type = 2, .part = {.id = 5}, .tail = 8};

	packs(&choice_table, &c, "\x08\x09\x12\x02\x08\x05\x20\x08");
	c.type = 3;
	c.part.id = 0;
	packs(&choice_table, &c, "\x08\x09\x1a\x00\x20\x08");
	for (uint32_t type = 0; type < 70; type++) {
		c.type = type;
		if (type != 2 && type != 3)
			refused(&choice_table, &c, -EINVAL);
	}
}

Test(codec_pack, varints_of_every_length)
{
	struct choice c = {.type = 2};
	uint8_t *at;

	for (unsigned bits = 0; bits < 64; bits++) {
		size_t want = 2 + 1 + bits / 7 + 1; /* the empty part, a tag */

		c.seq = UINT64_C(1) << bits;
		cr_assert_eq(codec_pack(&choice_table, &c, buffer, sizeof(buffer), &at), 0);
		cr_assert_eq((size_t)(buffer + sizeof(buffer) - at), want, "%u bits", bits);
		c.seq += c.seq - 1;
		cr_assert_eq(codec_pack(&choice_table, &c, buffer, sizeof(buffer), &at), 0);
		cr_assert_eq((size_t)(buffer + sizeof(buffer) - at), want, "%u bits", bits);
	}
}

Test(codec_pack, what_unpacking_would_refuse)
{
	static const uint32_t numbers[6] = {301};
	static const int64_t longs[4] = {-2};
	static const char *const texts[4] = {"123456789"};
	static const struct part parts[4] = {{100, NULL}};
	struct sample s = {.need = 0};

	refused(&sample_table, &s, -EINVAL);
	s = (struct sample){.need = 1, .text = "123456789"};
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .bytes = (const uint8_t *)"12345", .n_bytes = 5};
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .numbers = numbers, .n_numbers = 1};
	refused(&sample_table, &s, -EINVAL);
	s.n_numbers = 6;
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .longs = longs, .n_longs = 1};
	refused(&sample_table, &s, -EINVAL);
	s.n_longs = 4;
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .texts = texts, .n_texts = 1};
	refused(&sample_table, &s, -EMSGSIZE);
	s.n_texts = 4;
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .parts = parts, .n_parts = 1};
	refused(&sample_table, &s, -EINVAL);
	s.n_parts = 4;
	refused(&sample_table, &s, -EMSGSIZE);
	s = (struct sample){.need = 1, .far = 1001};
	refused(&sample_table, &s, -EINVAL);
	s = (struct sample){.need = 1, .far = 13};
	refused(&sample_table, &s, -EINVAL);
}

/*
 * codec_unpack_test.c: every kind of field in every form that it may come in, what is refused, and
 * protobuf-c as the oracle on random messages and their mutants.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_messages.h"
#include "fake_tables.h"
#include "proto/wire.pb-c.h"
#include "tests/fuzz/codec_oracle.h"

static _Alignas(uint64_t) uint8_t memory[1 << 16];
static struct sample sample;

static int unpack_into(const char *text, size_t n, size_t n_memory)
{
	uint8_t *data = oracle_copy((const uint8_t *)text, n);
	struct bump s;
	int r;

	memset(&sample, 0xAA, sizeof(sample));
	bump_init(&s, memory, n_memory);
	r = codec_unpack(&sample_table, data, n, &s, &sample);
	free(data); /* only bytes lie in it */
	return r;
}

#define taken(text)                                                                                \
	cr_assert_eq(unpack_into("" text, sizeof(text) - 1, sizeof(memory)), 0, "%s", #text)
#define refused(text)                                                                              \
	cr_assert_eq(unpack_into("" text, sizeof(text) - 1, sizeof(memory)), -EPROTO, "%s", #text)
/* The least that sample_table takes: its required number. */
#define NEED "\x08\x07"

Test(codec_unpack, what_is_absent_is_zero_or_empty)
{
	taken(NEED);
	cr_assert_eq(sample.need, 7);
	cr_assert_eq(sample.flag, false);
	cr_assert_eq(sample.far, 0);
	cr_assert_str_eq(sample.text, "");
	cr_assert(!sample.bytes && sample.n_bytes == 0);
	cr_assert(!sample.numbers && sample.n_numbers == 0);
	cr_assert(!sample.longs && sample.n_longs == 0);
	cr_assert(!sample.texts && sample.n_texts == 0);
	cr_assert(!sample.parts && sample.n_parts == 0);
	refused("");
	refused("\x10\x01");
	refused("\x08\x00");
}

Test(codec_unpack, numbers)
{
	taken("\x08\x87\x80\x00"
	      "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	      "\x90\x03\x05");
	cr_assert_eq(sample.need, 7, "longer than it has to be");
	cr_assert_eq(sample.flag, true);
	cr_assert_eq(sample.far, 5, "a tag of two bytes");
	taken("\x08\xff\xff\xff\xff\x0f");
	cr_assert_eq(sample.need, UINT32_MAX);
	taken("\x08\x01\x08\x02");
	cr_assert_eq(sample.need, 2, "the last one counts");
	refused("\x08\xff\xff\xff\xff\x1f");
	refused(NEED "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
	refused(NEED "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	refused(NEED "\x10");
	refused(NEED "\x10\x80");
	refused("\x08\x00\x08\x01");
	refused("\x0a\x01\x07");
	refused("\x0d\x07\x00\x00\x00");
	taken(NEED "\x90\x03\xe8\x07");
	refused(NEED "\x90\x03\xe9\x07");
	/* Ahead of many bytes numbers are read several bytes at once. */
	taken(NEED "\x90\x83\x00\xe8\x87\x80\x00\x90\x03\x80\x80\x80\x00\x90\x03\xe7\x07\x08\x07");
	cr_assert_eq(sample.far, 999);
}

/* A varint of n bytes, of which only the last one says something. Returns its number. */
static int64_t varint_of(size_t n, char *out)
{
	memset(out, 0x80, n - 1);
	out[n - 1] = 1;
	return (int64_t)(UINT64_C(1) << 7 * (n - 1));
}

Test(codec_unpack, numbers_of_every_length_wherever_the_bytes_end)
{
	for (size_t n = 1; n <= 9; n++) {
		char data[2 + 2 + 2 * 9] = NEED "\x32";
		int64_t number = varint_of(n, data + 4);

		data[3] = (char)(2 * n);
		cr_assert_eq(varint_of(n, data + 4 + n), number);
		cr_assert_eq(unpack_into(data, 4 + 2 * n, sizeof(memory)), 0, "%zu bytes", n);
		cr_assert_eq(sample.n_longs, 2);
		cr_assert_eq(sample.longs[0], number, "%zu bytes", n);
		cr_assert_eq(sample.longs[1], number, "%zu bytes, the last ones", n);
	}
	taken(NEED "\x32\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
	cr_assert_eq(sample.longs[0], INT64_MAX);
	taken(NEED "\x32\x10\xff\xfe\xfd\xfc\xfb\xfa\xf9\x78\x81\x82\x83\x84\x85\x86\x87\x08");
	cr_assert_eq(sample.longs[0], 0xf1e7d7bf9f7f7f);
	cr_assert_eq(sample.longs[1], 0x101c305080c101);
}

Test(codec_unpack, texts_and_bytes)
{
	taken(NEED "\x1a\x03"
		   "abc"
		   "\x22\x02"
		   "xy");
	cr_assert_str_eq(sample.text, "abc");
	cr_assert_eq(sample.n_bytes, 2);
	taken(NEED "\x1a\x08"
		   "abcdefgh"
		   "\x22\x00");
	cr_assert_str_eq(sample.text, "abcdefgh");
	cr_assert_null(sample.bytes);
	taken(NEED "\x1a\x02"
		   "ab"
		   "\x1a\x00");
	cr_assert_str_eq(sample.text, "", "the last one counts");
	refused(NEED "\x1a\x09"
		     "abcdefghi");
	refused(NEED "\x1a\x03"
		     "a\0c");
	refused(NEED "\x1a\x03"
		     "ab");
	refused(NEED "\x18\x03");
	refused(NEED "\x22\x05"
		     "vwxyz");
	refused(NEED "\x20\x05");
	refused(NEED "\x1a\x83\x80\x80\x80\x80\x00"
		     "abc");
	refused(NEED "\x1a\xff\xff\xff\xff\x0f"
		     "abc");
}

Test(codec_unpack, bytes_lie_in_the_record)
{
	static const uint8_t data[] = NEED "\x22\x02"
					   "xy";
	struct bump s;

	bump_init(&s, memory, sizeof(memory));
	cr_assert_eq(codec_unpack(&sample_table, data, sizeof(data) - 1, &s, &sample), 0);
	cr_assert_eq(sample.bytes, data + 4);
	cr_assert_eq(s.at, memory, "and take no memory");
}

Test(codec_unpack, arrays_of_numbers_in_any_form)
{
	static const uint32_t want[] = {1, 300, 2, 3, 4};

	taken(NEED "\x2a\x06\x01\xac\x02\x02\x03\x04");
	cr_assert_eq(sample.n_numbers, 5);
	cr_assert_arr_eq(sample.numbers, want, sizeof(want));
	taken("\x28\x01\x28\xac\x02\x28\x02\x08\x07\x28\x03\x10\x01\x2a\x01\x04");
	cr_assert_eq(sample.n_numbers, 5);
	cr_assert_arr_eq(sample.numbers, want, sizeof(want));
	taken("\x2a\x00\x2a\x03\x01\xac\x02\x08\x07\x2a\x00\x2a\x01\x02\x28\x03\x2a\x01\x04");
	cr_assert_eq(sample.n_numbers, 5);
	cr_assert_arr_eq(sample.numbers, want, sizeof(want));
	taken(NEED "\x2a\x00");
	cr_assert(!sample.numbers && sample.n_numbers == 0);
	refused(NEED "\x2a\x06\x01\x01\x02\x02\x03\x04");
	refused(NEED "\x2a\x05\x01\x01\x02\x02\x03\x28\x04");
	refused("\x28\x01\x28\x01\x28\x02\x08\x07\x28\x03\x28\x04\x28\x05");
	refused(NEED "\x2a\x02\xad\x02");
	refused(NEED "\x28\xad\x02");
	refused(NEED "\x2a\x01\x80");
	refused(NEED "\x2a\x02\x01");
	refused(NEED "\x2d\x01\x00\x00\x00");
	refused(NEED "\x2b\x2c");
}

Test(codec_unpack, signed_limits)
{
	taken(NEED "\x32\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00");
	cr_assert_eq(sample.n_longs, 2);
	cr_assert_eq(sample.longs[0], -1);
	taken(NEED "\x32\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
	cr_assert_eq(sample.longs[0], INT64_MAX);
	refused(NEED "\x32\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	refused(NEED "\x32\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
}

Test(codec_unpack, arrays_of_texts_and_messages)
{
	taken("\x3a\x01"
	      "a"
	      "\x3a\x00"
	      "\x42\x00"
	      "\x42\x04\x08\x01\x12\x00" NEED "\x3a\x01"
	      "b"
	      "\x42\x03\x12\x01"
	      "p");
	cr_assert_eq(sample.n_texts, 3);
	cr_assert_str_eq(sample.texts[0], "a");
	cr_assert_str_eq(sample.texts[1], "");
	cr_assert_str_eq(sample.texts[2], "b");
	cr_assert_eq(sample.n_parts, 3);
	cr_assert_eq(sample.parts[0].id, 0);
	cr_assert_str_eq(sample.parts[0].name, "");
	cr_assert_eq(sample.parts[1].id, 1);
	cr_assert_str_eq(sample.parts[2].name, "p");
	refused(NEED "\x3a\x00\x3a\x00\x3a\x00\x3a\x00");
	refused("\x3a\x00\x3a\x00\x3a\x00" NEED "\x3a\x00");
	refused(NEED "\x42\x00\x42\x00\x42\x00\x42\x00");
	refused(NEED "\x42\x02\x08");
	refused(NEED "\x42\x02\x08\x64");
	refused(NEED "\x40\x01");
	refused(NEED "\x3a\x02"
		     "a\0");
}

Test(codec_unpack, at_least_so_many)
{
	struct wire_run run;
	struct bump s;

	bump_init(&s, memory, sizeof(memory));
	cr_assert_eq(
		codec_unpack(&wire_run_table, (const uint8_t *)"\x08\x01", 2, &s, &run), -EPROTO);
	cr_assert_eq(codec_unpack(&wire_run_table, (const uint8_t *)"\x1a\x00", 2, &s, &run), 0);
}

Test(codec_unpack, rules_of_their_own)
{
	taken(NEED "\x10\x01\x90\x03\x0d");
	refused(NEED "\x90\x03\x0d");
}

Test(codec_unpack, one_of_a_oneof)
{
	struct choice c;
	struct bump s;

#define choose(text)                                                                               \
	(bump_init(&s, memory, sizeof(memory)),                                                    \
		codec_unpack(&choice_table, (const uint8_t *)"" text, sizeof(text) - 1, &s, &c))
	cr_assert_eq(choose("\x08\x09\x12\x02\x08\x05\x20\x08"), 0);
	cr_assert_eq(c.seq, 9);
	cr_assert_eq(c.tail, 8);
	cr_assert_eq(c.type, 2);
	cr_assert_eq(c.part.id, 5);
	cr_assert_str_eq(c.part.name, "");
	cr_assert_eq(choose("\x1a\x02\x12\x00\x08\x09"), 0, "in any order");
	cr_assert_eq(c.type, 3);
	cr_assert_eq(choose("\x1a\x00"), 0, "an empty one");
	cr_assert_eq(choose("\x08\x09"), -EPROTO, "none");
	cr_assert_eq(choose("\x12\x00\x12\x00"), -EPROTO, "twice");
	cr_assert_eq(choose("\x12\x00\x1a\x00"), -EPROTO, "two");
	cr_assert_eq(choose("\x10\x00"), -EPROTO, "a number");
#undef choose
}

Test(codec_unpack, unknown_fields_are_skipped)
{
	taken("\x78\x80\x01"
	      "\x7a\x02"
	      "ab"
	      "\x79"
	      "12345678"
	      "\x7d"
	      "1234" NEED "\xfa\xff\xff\xff\x0f\x00");
	cr_assert_eq(sample.need, 7);
	refused(NEED "\x78");
	refused(NEED "\x7a\x03"
		     "ab");
	refused(NEED "\x79"
		     "1234567");
	refused(NEED "\x7d"
		     "123");
	refused(NEED "\x7b\x7c");
	refused(NEED "\x7e");
	refused(NEED "\x7f");
	refused(NEED "\x00\x00");
	refused(NEED "\x02\x00");
	refused(NEED "\xf8\xff\xff\xff\x1f\x00");
	refused(NEED "\xf8\x80\x80\x80\x80\x00\x00");
}

Test(codec_unpack, more_than_the_memory_holds_is_refused)
{
	static const char text[] = NEED "\x1a\x03"
					"abc"
					"\x42\x03\x12\x01"
					"p"
					"\x28\x01";
	size_t n = 0;

	while (unpack_into(text, sizeof(text) - 1, n) < 0)
		n++;
	cr_assert_gt(n, 0);
	cr_assert_lt(n, 128);
}

/* The work grows with the bytes, however often an array goes on elsewhere. */
Test(codec_unpack, an_array_in_many_pieces)
{
	static uint8_t data[3 * WIRE_RELEASE_MAX * 2];
	static _Alignas(uint64_t) uint8_t room[1 << 17];
	struct wire_release release;
	struct bump s;
	size_t n = 0;

	for (size_t i = 0; i < WIRE_RELEASE_MAX; i++) {
		memcpy(data + n, "\x10\x05\x18\x00", 4);
		n += 4;
	}
	bump_init(&s, room, sizeof(room));
	cr_assert_eq(codec_unpack(&wire_release_table, data, n, &s, &release), 0);
	cr_assert_eq(release.n_holds, WIRE_RELEASE_MAX);
	cr_assert_lt((size_t)(s.at - room), (WIRE_RELEASE_MAX + 16) * sizeof(uint64_t));
}

/* --- Against protobuf-c ----------------------------------------------------------------------- */

static uint64_t small(uint64_t *state, uint64_t below)
{
	return random_next(state) % below;
}

/* Change a few bytes, cut, repeat or drop a part. Returns the new length; room for twice n. */
static size_t mutate(uint8_t *data, size_t n, uint64_t *state)
{
	size_t at = small(state, n);
	size_t len = 1 + small(state, n - at);

	switch (small(state, 5)) {
	case 0:
		return n - len < at ? at : n - len;
	case 1:
		memmove(data + at + len, data + at, n - at);
		return n + len;
	case 2:
		memmove(data + at, data + at + len, n - at - len);
		return n - len;
	case 3:
		return n;
	default:
		for (uint64_t i = small(state, 3); i < 4; i++)
			data[small(state, n)] ^= (uint8_t)(1u << small(state, 8));
		return n;
	}
}

static struct random_item storage[4];
static struct wire_item items[4];
static struct wire_result results[4];

static struct wire_message random_message(uint64_t *state)
{
	struct wire_message m = {.type = small(state, 2) ? WIRE_RUN : WIRE_DONE};
	size_t n = 1 + small(state, 4);

	if (small(state, 2))
		return *sample_message((enum wire_type)(FIRST_TYPE + small(state, LAST_TYPE)));
	for (size_t i = 0; i < n; i++) {
		random_item(&storage[i], state);
		items[i] = storage[i].item;
		results[i] = (struct wire_result){.code = (uint32_t)small(state, 17),
			.outputs = items[i].inputs,
			.n_outputs = items[i].n_inputs};
	}
	if (m.type == WIRE_RUN)
		m.run = (struct wire_run){
			random_next(state), 7, items, n, (uint32_t)small(state, 3)};
	else
		m.done = (struct wire_done){random_next(state), 8, results, n};
	return m;
}

Test(codec_unpack, agrees_with_protobuf_on_mutants)
{
	static uint8_t packed[1 << 17], data[1 << 18];
	uint64_t state = 3;
	unsigned int n_taken = 0;

	for (unsigned int round = 0; round < 30000; round++) {
		struct wire_message m = random_message(&state);
		uint8_t *at;
		size_t n;

		cr_assert_eq(codec_pack(&wire_envelope_table, &m, packed, sizeof(packed), &at), 0);
		n = (size_t)(packed + sizeof(packed) - at);
		memcpy(data, at, n);
		for (uint64_t i = small(&state, 3); i > 0 && n > 0; i--)
			n = mutate(data, n, &state);
		n_taken += oracle_check(
			&wire_envelope_table, &modeld__wire__envelope__descriptor, data, n);
	}
	cr_assert_gt(n_taken, 10000);
	cr_assert_lt(n_taken, 28000);
}

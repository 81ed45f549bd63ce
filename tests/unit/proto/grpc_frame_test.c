/*
 * grpc_frame_test.c: the same stream of messages must give the same events wherever it is cut. A
 * recorder turns events into text, payload joined, so that runs can be compared.
 */
#include "proto/grpc_frame.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct recorder {
	struct grpc_frame_reader reader;
	char text[256];
	size_t n;
};

static void record(struct recorder *rec, const char *text, size_t n)
{
	cr_assert_lt(rec->n + n, sizeof(rec->text));
	memcpy(rec->text + rec->n, text, n);
	rec->n += n;
	rec->text[rec->n] = '\0';
}

static void begin(struct recorder *rec)
{
	char text[32];

	snprintf(text, sizeof(text), "<%c%u ", rec->reader.compressed ? 'z' : '-',
		rec->reader.length);
	record(rec, text, strlen(text));
}

static int feed(struct recorder *rec, const uint8_t *data, size_t n)
{
	const uint8_t *end = data + n;

	for (;;) {
		enum grpc_frame_event event;
		const uint8_t *payload = NULL;
		size_t n_payload = 0;
		bool ends = grpc_frame_reader_ends(&rec->reader);
		int r = grpc_frame_read(&rec->reader, &data, &n, &event, &payload, &n_payload);

		if (r != 0)
			return r;
		cr_assert_eq(ends, event == GRPC_FRAME_END);
		cr_assert_eq(data + n, end, "data and n advance together");
		if (event == GRPC_FRAME_MORE) {
			cr_assert_eq(n, 0, "all input is consumed");
			return 0;
		}
		if (event == GRPC_FRAME_BEGIN)
			begin(rec);
		if (event == GRPC_FRAME_PAYLOAD) {
			cr_assert_gt(n_payload, 0);
			cr_assert_eq(payload + n_payload, data, "payload is lent, not copied");
			record(rec, (const char *)payload, n_payload);
		}
		if (event == GRPC_FRAME_END)
			record(rec, ">", 1);
	}
}

static const uint8_t stream[] = {
	0, 0, 0, 0, 3, 'a', 'b', 'c',		     /* plain */
	1, 0, 0, 0, 1, 'z',			     /* compressed */
	0, 0, 0, 0, 0,				     /* empty */
	1, 0, 0, 0, 0,				     /* empty and compressed */
	0, 0, 0, 0, 6, 'd', 'e', 'f', 'g', 'h', 'i', /* plain */
};
static const char events[] = "<-3 abc><z1 z><-0 ><z0 ><-6 defghi>";

Test(grpc_frame, all_at_once)
{
	struct recorder rec = {.n = 0};

	grpc_frame_reader_init(&rec.reader);
	cr_assert(grpc_frame_reader_idle(&rec.reader));
	cr_assert_eq(feed(&rec, stream, sizeof(stream)), 0);
	cr_assert_str_eq(rec.text, events);
	cr_assert(grpc_frame_reader_idle(&rec.reader));
}

Test(grpc_frame, cut_in_three_at_every_two_points)
{
	for (size_t i = 0; i <= sizeof(stream); i++) {
		for (size_t j = i; j <= sizeof(stream); j++) {
			struct recorder rec = {.n = 0};

			grpc_frame_reader_init(&rec.reader);
			cr_assert_eq(feed(&rec, stream, i), 0);
			cr_assert_eq(feed(&rec, stream + i, j - i), 0);
			cr_assert_eq(feed(&rec, stream + j, sizeof(stream) - j), 0);
			cr_assert_str_eq(rec.text, events, "cut at %zu and %zu", i, j);
		}
	}
}

Test(grpc_frame, byte_by_byte)
{
	struct recorder rec = {.n = 0};

	grpc_frame_reader_init(&rec.reader);
	for (size_t i = 0; i < sizeof(stream); i++)
		cr_assert_eq(feed(&rec, stream + i, 1), 0);
	cr_assert_str_eq(rec.text, events);
}

Test(grpc_frame, idle_only_between_messages)
{
	static const bool idle[] = {true, false, false, false, false, false, false, true};
	static const uint8_t one[] = {0, 0, 0, 0, 2, 'x', 'y'};
	struct recorder rec = {.n = 0};

	grpc_frame_reader_init(&rec.reader);
	for (size_t i = 0; i < sizeof(one); i++) {
		cr_assert_eq(grpc_frame_reader_idle(&rec.reader), idle[i], "before byte %zu", i);
		cr_assert_eq(feed(&rec, one + i, 1), 0);
	}
	cr_assert(grpc_frame_reader_idle(&rec.reader));
}

Test(grpc_frame, not_idle_until_the_end_of_an_empty_message_was_reported)
{
	static const uint8_t empty[GRPC_PREFIX_SIZE];
	const uint8_t *data = empty;
	size_t n = sizeof(empty);
	enum grpc_frame_event event;
	struct grpc_frame_reader r;
	const uint8_t *payload;
	size_t n_payload;

	grpc_frame_reader_init(&r);
	cr_assert_eq(grpc_frame_read(&r, &data, &n, &event, &payload, &n_payload), 0);
	cr_assert_eq(event, GRPC_FRAME_BEGIN);
	cr_assert_not(grpc_frame_reader_idle(&r));
	cr_assert_eq(grpc_frame_read(&r, &data, &n, &event, &payload, &n_payload), 0);
	cr_assert_eq(event, GRPC_FRAME_END);
	cr_assert(grpc_frame_reader_idle(&r));
}

Test(grpc_frame, every_other_flag_is_refused_at_once)
{
	for (unsigned int flag = 2; flag < 256; flag++) {
		struct recorder rec = {.n = 0};
		uint8_t byte = (uint8_t)flag;

		grpc_frame_reader_init(&rec.reader);
		cr_assert_eq(feed(&rec, &byte, 1), GRPC_FRAME_E_FLAG, "flag %u", flag);
	}
}

Test(grpc_frame, bad_flag_behind_a_good_message)
{
	static const uint8_t bad[] = {0, 0, 0, 0, 1, 'a', 2};
	struct recorder rec = {.n = 0};

	grpc_frame_reader_init(&rec.reader);
	cr_assert_eq(feed(&rec, bad, sizeof(bad)), GRPC_FRAME_E_FLAG);
	cr_assert_str_eq(rec.text, "<-1 a>");
}

Test(grpc_frame, the_longest_length_there_is)
{
	static const uint8_t prefix[] = {0, 0xFF, 0xFF, 0xFF, 0xFF, 'a'};
	struct recorder rec = {.n = 0};

	grpc_frame_reader_init(&rec.reader);
	cr_assert_eq(feed(&rec, prefix, sizeof(prefix)), 0);
	cr_assert_str_eq(rec.text, "<-4294967295 a");
	cr_assert_eq(rec.reader.remaining, UINT32_MAX - 1);
}

Test(grpc_frame, prefix_round_trip)
{
	static const uint32_t lengths[] = {0, 1, 0xFF, 0x100, 0x010203, 0x01020304, UINT32_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct recorder rec = {.n = 0};
		uint8_t prefix[GRPC_PREFIX_SIZE];

		grpc_frame_prefix(prefix, i % 2 == 1, lengths[i]);
		grpc_frame_reader_init(&rec.reader);
		cr_assert_eq(feed(&rec, prefix, sizeof(prefix)), 0);
		cr_assert_eq(rec.reader.length, lengths[i]);
		cr_assert_eq(rec.reader.compressed, i % 2 == 1);
	}
}

Test(grpc_frame, prefix_is_big_endian)
{
	static const uint8_t want[] = {1, 0x0A, 0x0B, 0x0C, 0x0D};
	uint8_t prefix[GRPC_PREFIX_SIZE];

	grpc_frame_prefix(prefix, true, 0x0A0B0C0D);
	cr_assert_arr_eq(prefix, want, sizeof(want));
}

/*
 * wire_fast_test.c: protobuf-c as the oracle for what is packed and unpacked without it, and what
 * must be declined.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_messages.h"
#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

static struct wire_scratch *here, *there;
static struct random_item storage[8];
static struct wire_item items[8];
static struct wire_result results[8];
static uint64_t batches[64];

static void setup(void)
{
	cr_assert_eq(wire_scratch_new(&here), 0);
	cr_assert_eq(wire_scratch_new(&there), 0);
}

static void teardown(void)
{
	here = wire_scratch_free(here);
	there = wire_scratch_free(there);
}

TestSuite(wire_fast, .init = setup, .fini = teardown);

static uint64_t random_number(uint64_t *state)
{
	uint64_t v = random_next(state);

	return v >> random_next(state) % 64;
}

/* Messages of the usual form, over static storage. */
static struct wire_message random_message(enum wire_type type, uint64_t *state)
{
	struct wire_message m = {.type = type};
	size_t n = 1 + random_next(state) % 8;

	for (size_t i = 0; i < n; i++) {
		random_item(&storage[i], state);
		items[i] = storage[i].item;
		items[i].n_parameters = items[i].n_targets = 0;
		results[i] = (struct wire_result){.code = (uint32_t)(random_next(state) % 17),
			.outputs = items[i].inputs,
			.n_outputs = items[i].n_inputs};
	}
	for (size_t i = 0; i < 64; i++)
		batches[i] = random_number(state);
	if (type == WIRE_RUN)
		m.run = (struct wire_run){
			random_number(state), (uint32_t)random_number(state), items, n};
	else if (type == WIRE_DONE)
		m.done = (struct wire_done){random_number(state), random_number(state), results, n};
	else
		m.release = (struct wire_release){batches, 1 + random_next(state) % 64};
	return m;
}

/* What protobuf-c makes of the body, packed by it again. */
static size_t oracle(enum wire_type type, const uint8_t *body, size_t n, uint8_t *out)
{
	const ProtobufCMessageDescriptor *descriptor =
		type == WIRE_RUN    ? &modeld__wire__run__descriptor
		: type == WIRE_DONE ? &modeld__wire__done__descriptor
				    : &modeld__wire__release__descriptor;
	ProtobufCMessage *m = protobuf_c_message_unpack(descriptor, NULL, n, body);
	size_t n_out;

	cr_assert_not_null(m);
	n_out = protobuf_c_message_pack(m, out);
	protobuf_c_message_free_unpacked(m, NULL);
	return n_out;
}

Test(wire_fast, agrees_with_protobuf)
{
	static const enum wire_type types[] = {WIRE_RUN, WIRE_DONE, WIRE_RELEASE};
	static uint8_t body[65536], again[65536];
	uint64_t state = 1;

	for (unsigned int round = 0; round < 3000; round++) {
		struct wire_message m = random_message(types[round % 3], &state);
		struct wire_message back = {.type = m.type};
		size_t n = wire_fast_size(&m);

		cr_assert(n > 0 && n <= sizeof(body));
		cr_assert_eq(wire_fast_pack(&m, body), n);
		cr_assert_eq(oracle(m.type, body, n, again), n);
		cr_assert_arr_eq(again, body, n);
		wire_scratch_reset(there);
		cr_assert(wire_fast_unpack(there, body, n, &back), "round %u", round);
		assert_same_message(&m, &back);
	}
}

/* Where a whole item ends, what was cut is a shorter message. */
Test(wire_fast, a_cut_message_is_declined_or_a_shorter_one)
{
	static uint8_t body[65536], again[65536];
	uint64_t state = 7;

	for (unsigned int t = 0; t < 2; t++) {
		struct wire_message m = random_message(t ? WIRE_RUN : WIRE_DONE, &state);
		size_t n = wire_fast_pack(&m, body);

		for (size_t cut = 0; cut < n; cut++) {
			uint8_t *copy = malloc(cut + 1);

			memcpy(copy, body, cut);
			wire_scratch_reset(there);
			if (wire_fast_unpack(there, copy, cut, &m)) {
				cr_assert_eq(oracle(m.type, body, cut, again), cut);
				cr_assert_arr_eq(again, body, cut);
			}
			free(copy);
		}
	}
}

/* Change a few bytes, cut, or repeat a part. Returns the new length; `body` has room for twice n. */
static size_t mutate(uint8_t *body, size_t n, uint64_t *state)
{
	size_t at = random_next(state) % n;
	size_t len = 1 + random_next(state) % (n - at);

	switch (random_next(state) % 4) {
	case 0:
		return n - len < at ? at : n - len;
	case 1:
		memmove(body + at + len, body + at, n - at);
		return n + len;
	case 2:
		memmove(body + at, body + at + len, n - at - len);
		return n - len;
	default:
		for (size_t i = random_next(state) % 3; i < 4; i++)
			body[random_next(state) % n] ^= (uint8_t)(1u << random_next(state) % 8);
		return n;
	}
}

/* What is taken must be what protobuf-c takes it for: packed by either, it is the same bytes again. */
Test(wire_fast, agrees_with_protobuf_on_mutants)
{
	static const enum wire_type types[] = {WIRE_RUN, WIRE_DONE, WIRE_RELEASE};
	static uint8_t body[1 << 20], again[1 << 20];
	unsigned int taken = 0;
	uint64_t state = 3;

	for (unsigned int round = 0; round < 60000; round++) {
		struct wire_message m = random_message(types[round % 3], &state);
		struct wire_message back = {.type = m.type};
		size_t n = mutate(body, wire_fast_pack(&m, body), &state);
		uint8_t *copy = malloc(n + 1); /* so that a sanitizer sees a look behind the end */

		memcpy(copy, body, n);
		wire_scratch_reset(there);
		if (wire_fast_unpack(there, copy, n, &back)) {
			taken++;
			cr_assert_eq(oracle(m.type, copy, n, again), n, "round %u", round);
			cr_assert_arr_eq(again, copy, n);
			cr_assert_eq(wire_fast_size(&back), n);
			cr_assert_eq(wire_fast_pack(&back, again), n);
			cr_assert_arr_eq(again, copy, n);
		}
		free(copy);
	}
	cr_assert_gt(taken, 1000);
}

static bool takes(enum wire_type type, const char *body, size_t n)
{
	struct wire_message m = {.type = type};

	wire_scratch_reset(there);
	return wire_fast_unpack(there, (const uint8_t *)body, n, &m);
}

Test(wire_fast, unusual_forms_are_declined)
{
	cr_assert(takes(WIRE_DONE, "\x08\x05\x1a\x00", 4));
	cr_assert_not(takes(WIRE_DONE, "\x08\x05", 2), "no result");
	cr_assert_not(takes(WIRE_DONE, "\x1a\x00\x08\x05", 4), "another order");
	cr_assert_not(takes(WIRE_DONE, "\x08\x00\x1a\x00", 4), "a zero that is written");
	cr_assert_not(takes(WIRE_DONE, "\x08\x85\x00\x1a\x00", 5), "a number that is padded");
	cr_assert_not(takes(WIRE_DONE, "\x08\x05\x1a\x02\x12\x00", 6), "an empty text");
	cr_assert_not(takes(WIRE_DONE, "\x08\x05\x1a\x00\x78\x01", 6), "an unknown field");
	cr_assert_not(takes(WIRE_DONE, "\x08\x05\x1a\x06\x08\x80\x80\x80\x80\x10", 10),
		"a code of 33 bits");
	cr_assert_not(takes(WIRE_RUN, "\x1a\x02\x12\x00", 4), "an empty list");
	cr_assert_not(takes(WIRE_RUN, "\x1a\x02\x10\x01", 4), "a list that is not packed");
	cr_assert_not(takes(WIRE_RELEASE, "", 0));
	cr_assert_not(takes(WIRE_RELEASE, "\x08\x01", 2));
	cr_assert_not(takes(WIRE_PING, "\x08\x01", 2));
}

Test(wire_fast, strings_and_targets_go_the_general_way)
{
	const struct wire_pair pair = {"k", "v"};
	const struct wire_target target = {0, {.arena = WIRE_REGION_BIT}};
	struct wire_item item = {.parameters = &pair, .n_parameters = 1};
	struct wire_result result = {.code = 3, .message = "why"};
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, &item, 1}};

	cr_assert_eq(wire_fast_size(&m), 0);
	item = (struct wire_item){.targets = &target, .n_targets = 1};
	cr_assert_eq(wire_fast_size(&m), 0);
	item = (struct wire_item){.n_inputs = 0};
	cr_assert_gt(wire_fast_size(&m), 0);
	m = (struct wire_message){.type = WIRE_DONE, .done = {1, 0, &result, 1}};
	cr_assert_eq(wire_fast_size(&m), 0);
	result.message = "";
	cr_assert_gt(wire_fast_size(&m), 0);
	m = (struct wire_message){.type = WIRE_RELEASE};
	cr_assert_eq(wire_fast_size(&m), 0);
	m.type = WIRE_PING;
	cr_assert_eq(wire_fast_size(&m), 0);
}

/*
 * wire_unpack_test.c: what a hostile or broken peer may send. Envelopes are made by protobuf-c itself
 * where wire_pack() would refuse, and byte by byte where protobuf-c would too; unpack() makes a
 * record of one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_messages.h"
#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

static struct wire_scratch *here, *there;

/* The head of a record of one, as large as it gets. */
#define HEAD_MAX     4u
#define ENVELOPE_MAX (WIRE_MESSAGE_MAX - HEAD_MAX)

static uint8_t envelope[WIRE_MESSAGE_MAX + 1];

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

TestSuite(wire_unpack, .init = setup, .fini = teardown);

static int unpack_record(const void *data, size_t n, const struct wire_message **ret_m)
{
	/* An exact copy on the heap, so that a sanitizer sees a read behind the end. */
	uint8_t *copy = malloc(n ? n : 1);
	int r;

	cr_assert_not_null(copy);
	memcpy(copy, data, n);
	r = unpack_alone(there, copy, n, ret_m);
	free(copy);
	return r;
}

static size_t put_record_head(uint8_t *at, size_t n)
{
	size_t n_head = 1;

	at[0] = 1 << 3 | 2;
	for (; n > 0x7F; n >>= 7)
		at[n_head++] = (uint8_t)(n | 0x80);
	at[n_head++] = (uint8_t)n;
	return n_head;
}

static int unpack(const void *data, size_t n, const struct wire_message **ret_m)
{
	static uint8_t record[HEAD_MAX + WIRE_MESSAGE_MAX + 1];
	size_t n_head = put_record_head(record, n);

	memcpy(record + n_head, data, n);
	return unpack_record(record, n_head + n, ret_m);
}

static void refused(const void *data, size_t n)
{
	const struct wire_message *m = sample_message(WIRE_RUN);

	cr_assert_eq(unpack(data, n, &m), -EPROTO);
	cr_assert_eq(m, sample_message(WIRE_RUN), "untouched on failure");
}

/* A tag and a length of three bytes. */
static void put_head(uint8_t *at, unsigned int number, size_t n)
{
	at[0] = (uint8_t)(number << 3 | 2);
	at[1] = (uint8_t)((n & 0x7F) | 0x80);
	at[2] = (uint8_t)((n >> 7 & 0x7F) | 0x80);
	at[3] = (uint8_t)(n >> 14);
}

static size_t pack_sample(unsigned int type)
{
	const uint8_t *data;
	size_t n;

	size_t n_head = 2;

	cr_assert_eq(wire_pack(here, sample_message((enum wire_type)type), &data, &n), 0);
	while (data[n_head - 1] & 0x80)
		n_head++;
	memcpy(envelope, data + n_head, n - n_head);
	return n - n_head;
}

Test(wire_unpack, every_cut_and_every_tail_is_refused)
{
	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++) {
		size_t n = pack_sample(t);

		for (size_t cut = 0; cut < n; cut++)
			refused(envelope, cut);
		envelope[n] = 0;
		refused(envelope, n + 1);
	}
}

Test(wire_unpack, a_nul_inside_any_string_is_refused)
{
	static const size_t n_strings[LAST_TYPE + 1] = {
		[WIRE_SETUP] = 8,
		[WIRE_LOAD] = 15,
		[WIRE_CHECK] = 8,
		[WIRE_CHECKED] = 3,
		[WIRE_RUN] = 8,
		[WIRE_LOADED] = 4,
		[WIRE_DONE] = 2,
		[WIRE_BYE] = 1,
		[WIRE_IMPORTED] = 1,
	};

	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++) {
		size_t n = pack_sample(t), found = 0;

		for (size_t i = 0; i < n; i++) {
			if (envelope[i] != '~')
				continue;
			found++;
			envelope[i] = '\0';
			refused(envelope, n);
			envelope[i] = '~';
		}
		cr_assert_eq(found, n_strings[t], "%s", wire_type_name((enum wire_type)t));
	}
}

Test(wire_unpack, unknown_and_malformed_envelopes)
{
	refused("", 0);
	refused("\x02\x00", 2);				/* field 0 */
	refused("\xc2\x0c\x00", 3);			/* field 200 */
	refused("\xfa\xff\xff\xff\x0f\x00", 6);		/* the last field number */
	refused("\x30\x00", 2);				/* ping as a varint */
	refused("\x33\x34", 2);				/* ping as a group */
	refused("\x32", 1);				/* no length */
	refused("\x32\x80", 2);				/* half a length */
	refused("\x32\x80\x80\x80\x80\x80\x00", 7);	/* a length of six bytes */
	refused("\xb2\x80\x80\x80\x80\x80\x00\x00", 8); /* a tag of six bytes */
	refused("\x32\xff\xff\xff\xff\x0f", 6);		/* 4 GiB follow, it says */
	refused("\x32\x00\x3a\x00", 4);			/* ping and drain */
	refused("\x32\x00\x32\x00", 4);			/* ping twice */
}

Test(wire_unpack, longer_varints_than_needed_are_legal_protobuf)
{
	const struct wire_message *m;

	cr_assert_eq(unpack("\xb2\x80\x00\x82\x00\x08\x05", 7, &m), 0);
	cr_assert_eq(m->type, WIRE_PING);
	cr_assert_eq(m->ping.nonce, 5);
}

Test(wire_unpack, unknown_fields_are_ignored)
{
	const struct wire_message *m;

	cr_assert_eq(unpack("\x32\x09\x08\x05\x78\x01\x7a\x03"
			    "new",
			     11, &m),
		0);
	cr_assert_eq(m->ping.nonce, 5);
}

Test(wire_unpack, repeated_numbers_may_come_unpacked)
{
	const struct wire_message *m;

	cr_assert_eq(unpack("\x2a\x07\x10\x05\x12\x01\x07\x10\x06", 9, &m), 0);
	cr_assert_eq(m->release.n_holds, 3);
	cr_assert_arr_eq(m->release.holds, ((uint64_t[]){5, 7, 6}), 3 * sizeof(uint64_t));
}

Test(wire_unpack, malformed_bodies)
{
	refused("\x32\x01\x08", 3);	    /* a tag and no value */
	refused("\x32\x02\x08\x80", 4);	    /* half a varint */
	refused("\x32\x03\x0a\x01\x05", 5); /* the nonce as a string */
	refused("\x6a\x02\x0a\x05", 4);	    /* a reason longer than the envelope */
	refused("\x6a\x02\x08\x05", 4);	    /* the reason as a number */
	refused("\x2a\x03\x12\x01\x80", 5); /* half a varint in a packed field */
	refused("\x22\x02\x1a\x01", 4);	    /* an item longer than the envelope */
}

Test(wire_unpack, a_record_longer_than_allowed_is_not_looked_at)
{
	const struct wire_message *m;

	/* Bye with an unknown field that fills it: legal but for its length. */
	memset(envelope, 'x', sizeof(envelope));
	put_head(envelope, WIRE_BYE, ENVELOPE_MAX + 1 - 4);
	put_head(envelope + 4, 15, ENVELOPE_MAX + 1 - 8);
	refused(envelope, ENVELOPE_MAX + 1);
	put_head(envelope, WIRE_BYE, ENVELOPE_MAX - 4);
	put_head(envelope + 4, 15, ENVELOPE_MAX - 8);
	cr_assert_eq(unpack(envelope, ENVELOPE_MAX, &m), 0);
}

static size_t pack_envelope(Modeld__Wire__Envelope__BodyCase type, void *body)
{
	Modeld__Wire__Envelope e = MODELD__WIRE__ENVELOPE__INIT;

	e.body_case = type;
	e.ping = body; /* all members of the union are pointers */
	cr_assert_leq(modeld__wire__envelope__get_packed_size(&e), sizeof(envelope));
	return modeld__wire__envelope__pack(&e, envelope);
}

static int unpack_tensor(Modeld__Wire__Tensor *tensor)
{
	Modeld__Wire__Item item = MODELD__WIRE__ITEM__INIT, *items = &item;
	Modeld__Wire__Run run = MODELD__WIRE__RUN__INIT;
	const struct wire_message *m;

	item.inputs = &tensor;
	item.n_inputs = 1;
	run.items = &items;
	run.n_items = 1;
	return unpack(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_RUN, &run), &m);
}

Test(wire_unpack, bad_tensors)
{
	Modeld__Wire__Tensor good = MODELD__WIRE__TENSOR__INIT, t;
	int64_t dims[TENSOR_RANK_MAX + 1] = {-1};

	good.dtype = DTYPE_U8;
	good.arena = 1;
	good.dims = dims;
	cr_assert_eq(unpack_tensor(&good), 0);
	t = good;
	t.dtype = DTYPE_INVALID;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	t.dtype = DTYPE_MAX_;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	t.dtype = UINT32_MAX;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	t = good;
	t.arena = 0;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	t = good;
	t.index = UINT32_MAX;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	t = good;
	t.n_dims = 1;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
	dims[0] = 0;
	t.n_dims = TENSOR_RANK_MAX;
	cr_assert_eq(unpack_tensor(&t), 0);
	t.n_dims = TENSOR_RANK_MAX + 1;
	cr_assert_eq(unpack_tensor(&t), -EPROTO);
}

Test(wire_unpack, bad_answers)
{
	Modeld__Wire__Result result = MODELD__WIRE__RESULT__INIT, *results = &result;
	Modeld__Wire__Done done = MODELD__WIRE__DONE__INIT;
	Modeld__Wire__Unmapped unmapped = MODELD__WIRE__UNMAPPED__INIT;

	refused(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_DONE, &done));
	done.n_results = 1;
	done.results = &results;
	result.code = 17;
	refused(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_DONE, &done));
	unmapped.id = 0;
	refused(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_UNMAPPED, &unmapped));
}

Test(wire_unpack, an_output_has_one_target)
{
	Modeld__Wire__Target targets[2] = {MODELD__WIRE__TARGET__INIT, MODELD__WIRE__TARGET__INIT};
	Modeld__Wire__Target *list[2] = {&targets[0], &targets[1]};
	Modeld__Wire__Item item = MODELD__WIRE__ITEM__INIT, *items = &item;
	Modeld__Wire__Run run = MODELD__WIRE__RUN__INIT;
	const struct wire_message *m;

	run.items = &items;
	run.n_items = 1;
	item.targets = list;
	item.n_targets = 2;
	targets[0].arena = targets[1].arena = WIRE_REGION_BIT;
	refused(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_RUN, &run));
	targets[1].output = 1;
	cr_assert_eq(
		unpack(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_RUN, &run), &m), 0);
	targets[1].arena = 1;
	refused(envelope, pack_envelope(MODELD__WIRE__ENVELOPE__BODY_RUN, &run));
}

/* An envelope of `type` as long as allowed, its body the two bytes again and again. */
static size_t bomb(unsigned int type, uint8_t first, uint8_t second)
{
	size_t n_body = (ENVELOPE_MAX - 4) / 2 * 2;

	put_head(envelope, type, n_body);
	for (size_t i = 0; i < n_body; i += 2) {
		envelope[4 + i] = first;
		envelope[5 + i] = second;
	}
	return 4 + n_body;
}

Test(wire_unpack, bombs_of_fields_are_bounded)
{
	const struct wire_message *m;

	refused(envelope, bomb(WIRE_RUN, 0x1a, 0));	/* 65534 items */
	refused(envelope, bomb(WIRE_DONE, 0x1a, 0));	/* results */
	refused(envelope, bomb(WIRE_SETUP, 0x62, 0));	/* settings */
	refused(envelope, bomb(WIRE_SETUP, 0x5a, 0));	/* backend_dirs */
	refused(envelope, bomb(WIRE_LOADED, 0x22, 0));	/* inputs */
	refused(envelope, bomb(WIRE_RELEASE, 0x10, 1)); /* holds, one by one */
	/* One field again and again: the last one counts. */
	cr_assert_eq(unpack(envelope, bomb(WIRE_PING, 0x08, 1), &m), 0);
	cr_assert_eq(m->ping.nonce, 1);
	cr_assert_leq(scratch_used(there), WIRE_SCRATCH_MAX);
	/* Unknown fields cost memory too, all the same bounded. */
	(void)unpack(envelope, bomb(WIRE_PING, 0x78, 0), &m);
	cr_assert_leq(scratch_used(there), WIRE_SCRATCH_MAX);
	cr_assert_eq(unpack(envelope, pack_sample(WIRE_RUN), &m), 0, "the scratch is still good");
	assert_same_message(sample_message(WIRE_RUN), m);
}

Test(wire_unpack, packed_bomb)
{
	memset(envelope, 1, sizeof(envelope));
	put_head(envelope, WIRE_RELEASE, ENVELOPE_MAX - 4);
	put_head(envelope + 4, 2, ENVELOPE_MAX - 8);
	refused(envelope, ENVELOPE_MAX);
}

Test(wire_unpack, damage_is_refused_or_still_within_the_rules)
{
	uint64_t state = 1;

	for (unsigned int round = 0; round < 20000; round++) {
		size_t n = pack_sample(FIRST_TYPE + round % LAST_TYPE);
		const struct wire_message *m;
		const uint8_t *data;

		for (unsigned int i = 0; i <= round % 3; i++)
			envelope[random_next(&state) % n] = (uint8_t)random_next(&state);
		if (unpack(envelope, n, &m) == 0)
			cr_assert_eq(wire_pack(here, m, &data, &n), 0, "round %u", round);
	}
}

/* --- Records of several ----------------------------------------------------------------------- */

static size_t add_packed(uint8_t *record, size_t at, enum wire_type type)
{
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(here, sample_message(type), &data, &n), 0);
	memcpy(record + at, data, n);
	return at + n;
}

Test(wire_unpack, a_record_gives_its_messages_in_order)
{
	uint8_t record[16384];
	const struct wire_message *m;
	size_t n = 0, used;

	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++)
		n = add_packed(record, n, (enum wire_type)t);
	for (size_t at = 0, t = FIRST_TYPE; at < n; at += used, t++) {
		cr_assert_eq(wire_unpack(there, record + at, n - at, &used, &m), 0);
		assert_same_message(sample_message((enum wire_type)t), m);
		cr_assert(used > 0 && used <= n - at);
	}
}

Test(wire_unpack, what_follows_does_not_matter_to_the_first)
{
	uint8_t record[4096];
	const struct wire_message *m;
	size_t n = add_packed(record, 0, WIRE_DONE), used;

	memset(record + n, 0xff, sizeof(record) - n);
	cr_assert_eq(wire_unpack(there, record, sizeof(record), &used, &m), 0);
	cr_assert_eq(used, n);
	cr_assert_eq(wire_unpack(there, record + n, sizeof(record) - n, &used, &m), -EPROTO);
	cr_assert_eq(used, n, "untouched on failure");
}

Test(wire_unpack, malformed_records)
{
	const struct wire_message *m;

	cr_assert_eq(unpack_record("", 0, &m), -EPROTO);
	cr_assert_eq(unpack_record("\x0a\x00", 2, &m), -EPROTO, "an empty envelope");
	cr_assert_eq(unpack_record("\x0a\x02\x3a\x00", 4, &m), 0);
	cr_assert_eq(unpack_record("\x12\x02\x3a\x00", 4, &m), -EPROTO, "another field");
	cr_assert_eq(unpack_record("\x0a\x03\x3a\x00", 4, &m), -EPROTO, "longer than the record");
	cr_assert_eq(unpack_record("\x0a\x01\x3a\x00", 4, &m), -EPROTO, "shorter than its body");
	cr_assert_eq(unpack_record("\x08\x05", 2, &m), -EPROTO, "a number");
}

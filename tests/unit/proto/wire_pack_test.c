/*
 * wire_pack_test.c: round trips, the packed form against the schema as protobuf-c itself reads and
 * writes it, the size of a record, and the bound that a batcher relies on.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_messages.h"
#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

static struct wire_scratch *here, *there;

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

TestSuite(wire_pack, .init = setup, .fini = teardown);

static size_t round_trip(const struct wire_message *m)
{
	const struct wire_message *back;
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(here, m, &data, &n), 0, "%s", wire_type_name(m->type));
	cr_assert_eq(unpack_alone(there, data, n, &back), 0, "%s", wire_type_name(m->type));
	assert_same_message(m, back);
	return n;
}

Test(wire_pack, every_message_round_trips)
{
	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++)
		round_trip(sample_message((enum wire_type)t));
}

Test(wire_pack, null_strings_come_back_empty)
{
	const struct wire_pair pair = {NULL, NULL};
	const struct wire_message m = {
		.type = WIRE_LOAD, .load = {.parameters = &pair, .n_parameters = 1}};
	const struct wire_message *back;
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(here, &m, &data, &n), 0);
	cr_assert_eq(unpack_alone(there, data, n, &back), 0);
	cr_assert_str_eq(back->load.name, "");
	cr_assert_str_eq(back->load.version, "");
	cr_assert_str_eq(back->load.path, "");
	cr_assert_str_eq(back->load.backend, "");
	cr_assert_str_eq(back->load.parameters[0].key, "");
	cr_assert_str_eq(back->load.parameters[0].value, "");
}

/* The headers are written by hand, and some bodies: protobuf-c must agree with them. */
Test(wire_pack, is_a_record_to_protobuf)
{
	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++) {
		uint8_t again[4096];
		Modeld__Wire__Record *r;
		const uint8_t *data;
		size_t n;

		cr_assert_eq(wire_pack(here, sample_message((enum wire_type)t), &data, &n), 0);
		r = modeld__wire__record__unpack(NULL, n, data);
		cr_assert_not_null(r);
		cr_assert_eq(r->n_messages, 1);
		cr_assert_eq((unsigned int)r->messages[0]->body_case, t);
		cr_assert_leq(n, sizeof(again));
		cr_assert_eq(modeld__wire__record__pack(r, again), n);
		cr_assert_arr_eq(again, data, n);
		modeld__wire__record__free_unpacked(r, NULL);
	}
}

/* A Setup whose directories make up a record of `want` bytes. */
static void fill_setup(struct wire_message *m, const char **dirs, char *text, size_t want)
{
	size_t n = 31 * (3 + WIRE_TEXT_MAX); /* a tag, two bytes of length, the text */
	size_t header = 2 * (1 + 3);

	for (size_t i = 0; i < 31; i++)
		dirs[i] = text;
	dirs[31] = text + WIRE_TEXT_MAX - (want - header - n - 3);
	*m = (struct wire_message){
		.type = WIRE_SETUP, .setup = {.backend_dirs = dirs, .n_backend_dirs = 32}};
}

Test(wire_pack, a_record_as_long_as_allowed)
{
	char text[WIRE_TEXT_MAX + 1];
	const char *dirs[32];
	struct wire_message m;
	const uint8_t *data;
	size_t n;

	memset(text, 'd', WIRE_TEXT_MAX);
	text[WIRE_TEXT_MAX] = '\0';
	fill_setup(&m, dirs, text, WIRE_MESSAGE_MAX);
	cr_assert_eq(round_trip(&m), WIRE_MESSAGE_MAX);
	fill_setup(&m, dirs, text, WIRE_MESSAGE_MAX + 1);
	cr_assert_eq(wire_pack(here, &m, &data, &n), -EMSGSIZE);
}

Test(wire_pack, more_than_the_scratch_holds_is_more_than_a_record_holds)
{
	static struct wire_tensor tensors[WIRE_TENSORS_MAX];
	static struct wire_target targets[WIRE_TENSORS_MAX];
	static const struct wire_pair pairs[WIRE_PAIRS_MAX];
	static struct wire_item items[WIRE_ITEMS_MAX];
	const struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, items, WIRE_ITEMS_MAX, 0}};
	const uint8_t *data;
	size_t n;

	for (uint32_t i = 0; i < WIRE_TENSORS_MAX; i++) {
		tensors[i] = (struct wire_tensor){.dtype = DTYPE_U8, .span.arena = 1};
		targets[i] = (struct wire_target){i, {.arena = WIRE_REGION_BIT}};
	}
	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		items[i] = (struct wire_item){.inputs = tensors,
			.n_inputs = WIRE_TENSORS_MAX,
			.parameters = pairs,
			.n_parameters = WIRE_PAIRS_MAX,
			.targets = targets,
			.n_targets = WIRE_TENSORS_MAX};
	cr_assert_eq(wire_pack(here, &m, &data, &n), -EMSGSIZE);
	round_trip(sample_message(WIRE_RUN));
}

/* The most structs that a record within all limits can ask for: items of 64 empty pairs. */
Test(wire_pack, the_densest_record_fits_the_scratch)
{
	static const struct wire_pair pairs[WIRE_PAIRS_MAX];
	static struct wire_item items[WIRE_ITEMS_MAX];
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, items, 0, 0}};
	size_t size;

	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		items[i] = (struct wire_item){.parameters = pairs, .n_parameters = WIRE_PAIRS_MAX};
	m.run.n_items = (WIRE_MESSAGE_MAX - 20) / wire_item_bound(&items[0]);
	size = round_trip(&m);
	cr_assert_gt(size, WIRE_MESSAGE_MAX - 256);
	cr_assert_lt(scratch_used(there), WIRE_SCRATCH_MAX / 3 * 2);
}

Test(wire_pack, item_bound_is_never_too_low)
{
	static struct random_item storage[8];
	uint64_t state = 1;

	for (unsigned int round = 0; round < 5000; round++) {
		struct wire_item items[8];
		size_t n_items = 1 + random_next(&state) % 8, bound = 0, n;
		struct wire_message m = {.type = WIRE_RUN,
			.run = {random_next(&state), (uint32_t)random_next(&state), items,
				n_items}};

		for (size_t i = 0; i < n_items; i++) {
			random_item(&storage[i], &state);
			items[i] = storage[i].item;
			bound += wire_item_bound(&items[i]);
		}
		n = round_trip(&m);
		/* Record and Envelope 1 + 3 each, batch 1 + 10, model 1 + 5. */
		cr_assert_leq(n, bound + 25, "round %u", round);
		cr_assert_geq(n, bound + 4, "exact but for the head, round %u", round);
	}
}

Test(wire_pack, item_bound_of_nothing_and_of_null_strings)
{
	const struct wire_pair null = {NULL, NULL}, empty = {"", ""};
	struct wire_item item = {.parameters = &null, .n_parameters = 1};

	cr_assert_eq(wire_item_bound(&(struct wire_item){.n_inputs = 0}), 2);
	cr_assert_eq(wire_item_bound(&item), 4);
	item.parameters = &empty;
	cr_assert_eq(wire_item_bound(&item), 4);
}

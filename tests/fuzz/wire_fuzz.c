/*
 * wire_fuzz.c: any record into wire_unpack(). Each message that it accepts must keep every rule, must be packed
 * again, and that must be a fixed point: unpacking and packing it once more gives the same bytes.
 * What wire_fast.c takes must be the same bytes again when protobuf-c has unpacked and packed it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* wire_item_bound() is what keeps a batch below the limit. */
static void check_bound(const struct wire_message *m, size_t n)
{
	size_t bound = 32;

	if (m->type != WIRE_RUN)
		return;
	for (size_t i = 0; i < m->run.n_items; i++)
		bound += wire_item_bound(&m->run.items[i]);
	assert(n <= bound);
}

/* Is the same made of it without the short cut? */
static void check_fast(const struct wire_message *m, const uint8_t *data, size_t n)
{
	static struct wire_scratch *fast;
	struct wire_message again = {.type = m->type};
	size_t n_fast = wire_fast_size(m);

	if (n_fast == 0 || (!fast && wire_scratch_new(&fast) < 0))
		return;
	/* The body is the end of what was packed. */
	wire_scratch_reset(fast);
	assert(wire_fast_unpack(fast, data + n - n_fast, n_fast, &again));
}

static const ProtobufCMessageDescriptor *fast_descriptor(enum wire_type type)
{
	switch (type) {
	case WIRE_RUN:
		return &modeld__wire__run__descriptor;
	case WIRE_DONE:
		return &modeld__wire__done__descriptor;
	case WIRE_RELEASE:
		return &modeld__wire__release__descriptor;
	default:
		return NULL;
	}
}

/* Behind a tag of one byte and n varints: both headers of a message that was unpacked. */
static const uint8_t *skip_varints(const uint8_t *at, size_t n)
{
	for (at++; n > 0; at++)
		n -= !(*at & 0x80);
	return at;
}

static void check_short_cut(enum wire_type type, const uint8_t *data, size_t n)
{
	static uint8_t again[WIRE_MESSAGE_MAX];
	static struct wire_scratch *scratch;
	const ProtobufCMessageDescriptor *descriptor = fast_descriptor(type);
	const uint8_t *body = skip_varints(data, 3);
	size_t n_body = (size_t)(data + n - body);
	struct wire_message m = {.type = type};
	ProtobufCMessage *general;

	if (!descriptor || (!scratch && wire_scratch_new(&scratch) < 0))
		return;
	wire_scratch_reset(scratch);
	if (!wire_fast_unpack(scratch, body, n_body, &m))
		return;
	assert(wire_fast_size(&m) == n_body && wire_fast_pack(&m, again) == n_body);
	assert(memcmp(again, body, n_body) == 0);
	general = protobuf_c_message_unpack(descriptor, NULL, n_body, body);
	assert(general && protobuf_c_message_get_packed_size(general) == n_body);
	protobuf_c_message_pack(general, again);
	assert(memcmp(again, body, n_body) == 0);
	protobuf_c_message_free_unpacked(general, NULL);
}

static void check_message(const struct wire_message *m, size_t n)
{
	static struct wire_scratch *unpacked, *packed;
	static uint8_t first[WIRE_MESSAGE_MAX];
	const uint8_t *out;
	size_t n_first, n_second, used;

	if (!unpacked && (wire_scratch_new(&unpacked) < 0 || wire_scratch_new(&packed) < 0))
		return;
	assert(wire_check(m) == 0);
	if (wire_pack(packed, m, &out, &n_first) < 0) {
		/* The canonical form may be longer, by a byte for a number that came alone. */
		assert(n > WIRE_MESSAGE_MAX / 2);
		return;
	}
	check_bound(m, n_first);
	check_fast(m, out, n_first);
	memcpy(first, out, n_first);
	assert(wire_unpack(unpacked, first, n_first, &used, &m) == 0 && used == n_first);
	assert(wire_pack(packed, m, &out, &n_second) == 0);
	assert(n_first == n_second && memcmp(first, out, n_first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct wire_scratch *scratch;
	const struct wire_message *m;
	size_t used;

	if (!scratch && wire_scratch_new(&scratch) < 0)
		return 0;
	for (size_t at = 0; at < n; at += used) {
		if (wire_unpack(scratch, data + at, n - at, &used, &m) < 0)
			break;
		assert(used > 0 && used <= n - at);
		check_short_cut(m->type, data + at, used);
		check_message(m, used);
	}
	return 0;
}

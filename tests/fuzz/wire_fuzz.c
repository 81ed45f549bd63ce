/*
 * wire_fuzz.c: any record into wire_unpack(). Each envelope in it must be to the codec what it is to
 * protobuf-c. Each message that is accepted must be packed again, and that must be a fixed point:
 * unpacking and packing it once more gives the same bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "codec_oracle.h"
#include "proto/field.h"
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
	oracle_assert(n <= bound);
}

static void check_message(const struct wire_message *m, size_t n)
{
	static struct wire_scratch *unpacked, *packed;
	static uint8_t first[WIRE_MESSAGE_MAX];
	const uint8_t *out;
	size_t n_first, n_second, used;

	if (!unpacked && (wire_scratch_new(&unpacked) < 0 || wire_scratch_new(&packed) < 0))
		return;
	if (wire_pack(packed, m, &out, &n_first) < 0) {
		/* The canonical form may be longer, by a byte for a number that came alone. */
		oracle_assert(n > WIRE_MESSAGE_MAX / 2);
		return;
	}
	check_bound(m, n_first);
	memcpy(first, out, n_first);
	oracle_assert(wire_unpack(unpacked, first, n_first, &used, &m) == 0 && used == n_first);
	oracle_assert(wire_pack(packed, m, &out, &n_second) == 0);
	oracle_assert(n_first == n_second && memcmp(first, out, n_first) == 0);
}

static void check_envelope(const uint8_t *data, size_t n)
{
	struct field_reader r = {data, data + n};
	struct field f;

	if (field_next(&r, &f) == 0 && f.number == WIRE_RECORD_MESSAGES &&
		f.wire == FIELD_DELIMITED)
		oracle_check(
			&wire_envelope_table, &modeld__wire__envelope__descriptor, f.bytes, f.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct wire_scratch *scratch;
	const struct wire_message *m;
	size_t used;

	if (!scratch && wire_scratch_new(&scratch) < 0)
		return 0;
	for (size_t at = 0; at < n; at += used) {
		check_envelope(data + at, n - at);
		if (wire_unpack(scratch, data + at, n - at, &used, &m) < 0)
			break;
		oracle_assert(used > 0 && used <= n - at);
		check_message(m, used);
	}
	return 0;
}

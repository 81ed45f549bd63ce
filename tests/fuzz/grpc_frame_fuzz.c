/*
 * grpc_frame_fuzz.c: any bytes, cut anywhere, into the frame reader; a plain parse of the whole
 * buffer is the oracle. The first byte of the input seeds the cuts.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct trace {
	uint64_t hash; /* of all events, payload byte by byte */
	bool refused;
	bool idle;
};

static void note(struct trace *t, uint64_t v)
{
	t->hash = (t->hash ^ v) * UINT64_C(0x100000001b3);
}

static void note_bytes(struct trace *t, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		note(t, data[i]);
}

static void oracle(struct trace *t, const uint8_t *data, size_t n)
{
	while (n > 0) {
		uint32_t length;
		size_t here;

		t->refused = data[0] > 1;
		t->idle = false;
		if (t->refused || n < GRPC_PREFIX_SIZE)
			return;
		length = (uint32_t)data[1] << 24 | (uint32_t)data[2] << 16 |
			 (uint32_t)data[3] << 8 | data[4];
		note(t, 0x100 | data[0]);
		note(t, length);
		here = n - GRPC_PREFIX_SIZE < length ? n - GRPC_PREFIX_SIZE : length;
		note_bytes(t, data + GRPC_PREFIX_SIZE, here);
		if (here < length)
			return;
		note(t, 0x200);
		t->idle = true;
		data += GRPC_PREFIX_SIZE + here;
		n -= GRPC_PREFIX_SIZE + here;
	}
}

static bool feed(struct trace *t, struct grpc_frame_reader *r, const uint8_t *data, size_t n)
{
	for (;;) {
		enum grpc_frame_event event;
		const uint8_t *payload;
		size_t n_payload;

		if (grpc_frame_read(r, &data, &n, &event, &payload, &n_payload) != 0)
			return false;
		if (event == GRPC_FRAME_MORE) {
			assert(n == 0);
			return true;
		}
		if (event == GRPC_FRAME_BEGIN) {
			note(t, 0x100u | r->compressed);
			note(t, r->length);
		} else if (event == GRPC_FRAME_PAYLOAD) {
			assert(n_payload > 0);
			note_bytes(t, payload, n_payload);
		} else {
			note(t, 0x200);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct trace want = {.idle = true}, got = {.hash = 0};
	struct grpc_frame_reader r;
	uint32_t seed;

	if (n == 0)
		return 0;
	seed = *data++;
	n--;
	oracle(&want, data, n);
	grpc_frame_reader_init(&r);
	for (size_t at = 0; at < n && !got.refused;) {
		size_t chunk;

		seed = seed * 1664525u + 1013904223u;
		chunk = 1 + (seed >> 16) % 17;
		chunk = chunk < n - at ? chunk : n - at;
		got.refused = !feed(&got, &r, data + at, chunk);
		at += chunk;
	}
	assert(got.refused == want.refused && got.hash == want.hash);
	assert(got.refused || grpc_frame_reader_idle(&r) == want.idle);
	return 0;
}

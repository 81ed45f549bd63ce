/*
 * grpc_frame.c: cuts a byte stream into length-prefixed messages. Holds at most the five bytes of a
 * prefix; payload is lent from the input. Invariant: remaining <= length, and remaining is 0 outside
 * a payload. No other state; any process, any thread.
 */
#include "proto/grpc_frame.h"

#include <assert.h>

enum {
	FRAME_PREFIX,  /* collecting the prefix; between messages while it is empty */
	FRAME_PAYLOAD, /* the prefix was reported; the end is due when nothing remains */
};

void grpc_frame_reader_init(struct grpc_frame_reader *r)
{
	*r = (struct grpc_frame_reader){.state = FRAME_PREFIX};
}

bool grpc_frame_reader_idle(const struct grpc_frame_reader *r)
{
	return r->state == FRAME_PREFIX && r->n_prefix == 0;
}

bool grpc_frame_reader_ends(const struct grpc_frame_reader *r)
{
	return r->state == FRAME_PAYLOAD && r->remaining == 0;
}

static void read_length(struct grpc_frame_reader *r)
{
	r->compressed = r->prefix[0] == 1;
	r->length = (uint32_t)r->prefix[1] << 24 | (uint32_t)r->prefix[2] << 16 |
		    (uint32_t)r->prefix[3] << 8 | (uint32_t)r->prefix[4];
	r->remaining = r->length;
	r->n_prefix = 0;
	r->state = FRAME_PAYLOAD;
}

static int read_prefix(struct grpc_frame_reader *r, const uint8_t **data, size_t *n,
	enum grpc_frame_event *ret_event)
{
	while (*n > 0) {
		r->prefix[r->n_prefix++] = *(*data)++;
		(*n)--;
		if (r->prefix[0] > 1)
			return GRPC_FRAME_E_FLAG;
		if (r->n_prefix == GRPC_PREFIX_SIZE) {
			read_length(r);
			*ret_event = GRPC_FRAME_BEGIN;
			return 0;
		}
	}
	*ret_event = GRPC_FRAME_MORE;
	return 0;
}

int grpc_frame_read(struct grpc_frame_reader *r, const uint8_t **data, size_t *n,
	enum grpc_frame_event *ret_event, const uint8_t **ret_data, size_t *ret_n)
{
	size_t taken;

	if (r->state == FRAME_PREFIX)
		return read_prefix(r, data, n, ret_event);
	assert(r->state == FRAME_PAYLOAD);
	if (r->remaining == 0) {
		r->state = FRAME_PREFIX;
		*ret_event = GRPC_FRAME_END;
		return 0;
	}
	if (*n == 0) {
		*ret_event = GRPC_FRAME_MORE;
		return 0;
	}
	taken = *n < r->remaining ? *n : r->remaining;
	*ret_data = *data;
	*ret_n = taken;
	*ret_event = GRPC_FRAME_PAYLOAD;
	*data += taken;
	*n -= taken;
	r->remaining -= (uint32_t)taken;
	return 0;
}

void grpc_frame_prefix(uint8_t out[GRPC_PREFIX_SIZE], bool compressed, uint32_t length)
{
	out[0] = compressed;
	out[1] = (uint8_t)(length >> 24);
	out[2] = (uint8_t)(length >> 16);
	out[3] = (uint8_t)(length >> 8);
	out[4] = (uint8_t)length;
}

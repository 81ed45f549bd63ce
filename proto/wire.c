/*
 * wire.c: records by the codec and the tables of wire_tables.c; the names of the messages. A message at a
 * time is unpacked, so that the scratch memory holds no more than one. Daemon and worker; one thread a
 * scratch.
 */
#include "proto/wire.h"

#include <errno.h>

#include "proto/wire_private.h"

static const char *const names[WIRE_TYPE_MAX + 1] = {
	[WIRE_SETUP] = "setup",
	[WIRE_LOAD] = "load",
	[WIRE_UNLOAD] = "unload",
	[WIRE_RUN] = "run",
	[WIRE_RELEASE] = "release",
	[WIRE_PING] = "ping",
	[WIRE_DRAIN] = "drain",
	[WIRE_HELLO] = "hello",
	[WIRE_LOADED] = "loaded",
	[WIRE_READY] = "ready",
	[WIRE_DONE] = "done",
	[WIRE_PONG] = "pong",
	[WIRE_BYE] = "bye",
	[WIRE_MAP] = "map",
	[WIRE_UNMAP] = "unmap",
	[WIRE_UNMAPPED] = "unmapped",
	[WIRE_UNLOADED] = "unloaded",
};

const char *wire_type_name(enum wire_type type)
{
	unsigned int i = (unsigned int)type;

	return i >= WIRE_SETUP && i <= WIRE_TYPE_MAX ? names[i] : "unknown";
}

int wire_scratch_new(struct wire_scratch **ret_scratch)
{
	struct wire_scratch *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	bump_init(&s->unpacked, s->memory, sizeof(s->memory));
	*ret_scratch = s;
	return 0;
}

struct wire_scratch *wire_scratch_free(struct wire_scratch *s)
{
	free(s);
	return NULL;
}

int wire_pack(struct wire_scratch *s, const struct wire_message *m, const uint8_t **ret_data,
	size_t *ret_n)
{
	const struct wire_record record = {m, 1};
	uint8_t *at;
	int r = codec_pack(&wire_record_table, &record, s->record, sizeof(s->record), &at);

	if (r < 0)
		return r;
	*ret_data = at;
	*ret_n = (size_t)(s->record + sizeof(s->record) - at);
	return 0;
}

size_t wire_item_bound(const struct wire_item *item)
{
	const struct wire_run run = {.items = item, .n_items = 1};

	return codec_size(&wire_run_table, &run);
}

int wire_unpack(struct wire_scratch *s, const uint8_t *record, size_t n, size_t *ret_used,
	const struct wire_message **ret_message)
{
	const uint8_t *data = record, *envelope;
	size_t n_left = n, n_envelope;

	if (n > WIRE_MESSAGE_MAX)
		return -EPROTO;
	if (codec_cut(&data, &n_left, WIRE_RECORD_MESSAGES, &envelope, &n_envelope) < 0)
		return -EPROTO;
	bump_reset(&s->unpacked);
	if (codec_unpack(&wire_envelope_table, envelope, n_envelope, &s->unpacked, &s->message) < 0)
		return -EPROTO;
	*ret_used = n - n_left;
	*ret_message = &s->message;
	return 0;
}

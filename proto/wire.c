/*
 * wire.c: records by the codec and the tables of wire_tables.c; the names of the messages. A message at a
 * time is unpacked, so that the scratch memory holds no more than one. Daemon and worker; one thread a
 * scratch.
 */
#include "proto/wire.h"

#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"
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
	[WIRE_PARTIAL] = "partial",
	[WIRE_CANCEL] = "cancel",
	[WIRE_CHECK] = "check",
	[WIRE_CHECKED] = "checked",
	[WIRE_IMPORT] = "import",
	[WIRE_IMPORTED] = "imported",
};

const char *wire_type_name(enum wire_type type)
{
	unsigned int i = (unsigned int)type;

	return i >= WIRE_SETUP && i <= WIRE_TYPE_MAX ? names[i] : "unknown";
}

size_t wire_n_fds(const struct wire_message *m)
{
	return m->type == WIRE_MAP || (m->type == WIRE_IMPORT && m->import.n_handle == 0);
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
	uint8_t *end = s->record + sizeof(s->record), *at;
	int r = codec_pack(
		&wire_envelope_table, m, s->record + CODEC_HEAD_MAX, WIRE_MESSAGE_MAX, &at);

	if (r < 0)
		return r;
	at = codec_put_head(at, WIRE_RECORD_MESSAGES, (uint64_t)(end - at));
	*ret_data = at;
	*ret_n = (size_t)(end - at);
	return *ret_n <= WIRE_MESSAGE_MAX ? 0 : -EMSGSIZE;
}

/* Sizes when packed, tags with them, all of which are a byte. */
static inline size_t number_size(uint64_t v)
{
	return v > 0 ? 1 + varint_size(v) : 0;
}

static inline size_t delimited_size(size_t n)
{
	return 1 + varint_size(n) + n;
}

static size_t text_size(const char *text)
{
	return text && *text ? delimited_size(strlen(text)) : 0;
}

static inline size_t span_size(const struct span *s)
{
	return number_size(s->arena) + number_size(s->generation) + number_size(s->offset) +
	       number_size(s->length);
}

static size_t tensor_size(const struct wire_tensor *t)
{
	size_t dims = 0;

	for (uint32_t i = 0; i < t->rank; i++)
		dims += varint_size((uint64_t)t->dims[i]);
	return number_size(t->index) + number_size(t->dtype) + span_size(&t->span) +
	       (dims > 0 ? delimited_size(dims) : 0);
}

/* By hand: each request is measured when it comes. */
size_t wire_item_bound(const struct wire_item *item)
{
	size_t size = 0, outputs = 0;

	for (size_t i = 0; i < item->n_inputs; i++)
		size += delimited_size(tensor_size(&item->inputs[i]));
	for (size_t i = 0; i < item->n_outputs; i++)
		outputs += varint_size(item->outputs[i]);
	for (size_t i = 0; i < item->n_parameters; i++)
		size += delimited_size(
			text_size(item->parameters[i].key) + text_size(item->parameters[i].value));
	for (size_t i = 0; i < item->n_targets; i++)
		size += delimited_size(
			number_size(item->targets[i].output) + span_size(&item->targets[i].span));
	size += text_size(item->traceparent) + text_size(item->id) + number_size(item->sequence) +
		text_size(item->sequence_text) + number_size(item->sequence_flags) +
		text_size(item->tracestate);
	return delimited_size(size + (outputs > 0 ? delimited_size(outputs) : 0));
}

int wire_unpack(struct wire_scratch *s, const uint8_t *record, size_t n, size_t *ret_used,
	const struct wire_message **ret_message)
{
	struct field_reader r = {record, record + n};
	struct field f;

	if (n > WIRE_MESSAGE_MAX || field_next(&r, &f) || f.number != WIRE_RECORD_MESSAGES ||
		f.wire != FIELD_DELIMITED)
		return -EPROTO;
	bump_reset(&s->unpacked);
	if (codec_unpack(&wire_envelope_table, f.bytes, f.n, &s->unpacked, &s->message) < 0)
		return -EPROTO;
	*ret_used = (size_t)(r.at - record);
	*ret_message = &s->message;
	return 0;
}

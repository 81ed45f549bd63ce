/* message.c: pack, send, end the call. Daemon process, loop thread. */
#include "grpc/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"

#define STACK_BYTES 1024u
/* Of the smallest fields some 10 us are needed for so many bytes: as long as a message takes. */
#define WORK_BYTES 1024u
/* Of messages in messages: more than any of ours. */
#define DEPTH_MAX 16u

static bool hides_text(
	const ProtobufCMessageDescriptor *type, struct field_reader r, unsigned n_deeper)
{
	const ProtobufCFieldDescriptor *d;
	struct field f;
	bool hides = false;

	while (!hides && !field_next(&r, &f)) {
		d = protobuf_c_message_descriptor_get_field(type, f.number);
		if (!d || f.wire != FIELD_DELIMITED || f.n == 0)
			continue;
		if (d->type == PROTOBUF_C_TYPE_STRING)
			hides = memchr(f.bytes, 0, f.n) != NULL;
		else if (d->type == PROTOBUF_C_TYPE_MESSAGE)
			hides = n_deeper == 0 ||
				hides_text(d->descriptor,
					(struct field_reader){f.bytes, f.bytes + f.n},
					n_deeper - 1);
	}
	return hides;
}

bool message_hides_text(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	return n > 0 && hides_text(type, (struct field_reader){data, data + n}, DEPTH_MAX);
}

int message_send(struct call *c, const ProtobufCMessage *m)
{
	uint8_t small[STACK_BYTES];
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *data = n > sizeof(small) ? malloc(n) : small;
	struct part part = {.data = data, .n = n};
	int r;

	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(m, data);
	r = call_send(c, &part, 1);
	if (data != small)
		free(data);
	return r;
}

void message_answer(struct call *c, const ProtobufCMessage *m)
{
	if (message_send(c, m))
		message_no_memory(c);
	else
		call_finish(c, GRPC_OK, NULL);
}

void message_refuse(struct call *c, const struct message_memory *memory, const char *type)
{
	if (memory->out_of_memory)
		message_no_memory(c);
	else if (memory->exceeded)
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED, "%s with too many fields", type);
	else
		call_finishf(c, GRPC_INTERNAL, "malformed %s", type);
}

void *message_read(struct call *c, struct message_memory *memory,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	void *m;

	message_work(c, n);
	if (message_hides_text(type, data, n)) {
		call_finishf(c, GRPC_INVALID_ARGUMENT, "%s with a NUL in a text", type->short_name);
		return NULL;
	}
	m = protobuf_c_message_unpack(type, &memory->allocator, n, data);
	if (!m)
		message_refuse(c, memory, type->short_name);
	return m;
}

void message_work(struct call *c, size_t n)
{
	if (n >= WORK_BYTES)
		call_work(c, n / WORK_BYTES);
}

void message_no_memory(struct call *c)
{
	call_finish(c, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
}

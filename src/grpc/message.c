/* message.c: pack, send, end the call. Daemon process, loop thread. */
#include "grpc/message.h"

#include <errno.h>
#include <stdlib.h>

#define STACK_BYTES 1024u

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

void message_no_memory(struct call *c)
{
	call_finish(c, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
}

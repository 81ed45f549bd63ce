/* message.h: what every service does with its small messages: pack, send, end the call. */
#ifndef GRPC_MESSAGE_H
#define GRPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/cleanup.h"
#include "grpc/call.h"
#include "grpc/message_memory.h"

/* Room that unpacking a collected request of n bytes may take on the heap: even one of nothing but
 * fields of two bytes. */
#define MESSAGE_UNPACK_MAX(n) ((size_t)128 * (n))

/* Has a text of this packed message a NUL, behind which nobody would see anything once it is unpacked? */
bool message_hides_text(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n);
/* Send m. -ENOMEM, and what call_send() returns */
_must_use_ int message_send(struct call *c, const ProtobufCMessage *m);
/* Send m, the only answer, and end the call. */
void message_answer(struct call *c, const ProtobufCMessage *m);
/* Unpacking a message of that type with `memory` failed: end the call with the reason. */
void message_refuse(struct call *c, const struct message_memory *memory, const char *type);
/* What a call's message says, unpacked with `memory` and valid as long as that is. NULL: it hides text, is malformed or
 * there is no memory, and the call has ended with the reason. */
void *message_read(struct call *c, struct message_memory *memory,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n);
/* n bytes of a message are read field by field, which takes as long as some messages more where they are many: others have
 * their turn first (call_work()). message_read() tells of its own. */
void message_work(struct call *c, size_t n);
/* End the call for want of memory. */
void message_no_memory(struct call *c);

#endif

/*
 * infer_reply.h: one answer of an inference, made but not sent yet: parts in memory of its own, and
 * tensor data where the worker wrote it.
 */
#ifndef SERVICES_INFER_REPLY_H
#define SERVICES_INFER_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "grpc/call.h"
#include "grpc/message_memory.h"
#include "services/infer.h"

/* Of one protobuf message: its readers take no longer one. */
#define INFER_REPLY_MESSAGE_MAX ((uint64_t)INT32_MAX)

/* Bytes of the heap that an answer without its tensor data may take. */
#define INFER_REPLY_MEMORY_MAX ((size_t)4 << 20)

struct output_lease;

struct infer_reply {
	struct message_memory memory; /* of the parts and of what they point to */
	struct part *parts;	      /* each holds what it needs */
	size_t n_parts;
};

/* Allocates nothing; must not move. max_bytes: of memory on the heap. */
void infer_reply_init(struct infer_reply *p, size_t max_bytes);
/* Drops what was not sent. */
void infer_reply_deinit(struct infer_reply *p);
/* Room for n parts at most. INFER_E_FAILED */
_must_use_ int infer_reply_reserve(struct infer_reply *p, size_t n, struct infer_failure *failure);
/* n bytes, for infer_reply_add(); NULL where there is no memory: the failure is set. */
uint8_t *infer_reply_alloc(struct infer_reply *p, size_t n, struct infer_failure *failure);
/* What follows in the message: bytes that live as long as the reply. */
void infer_reply_add(struct infer_reply *p, const void *data, size_t n);
/* Tensor data, which lives as long as the lease, which is referenced. */
void infer_reply_add_tensor(
	struct infer_reply *p, const void *data, size_t n, struct output_lease *lease);
/* Send it, if there is anything; the reply holds nothing then, whatever is returned. Errors as call_send(). */
_must_use_ int infer_reply_send(struct infer_reply *p, struct call *c);
/* End the call with a failure instead. The call, and `f` if it lives in the call's state, are gone
 * then. */
void infer_reply_failure(struct call *c, struct infer_failure *f);

#endif

/*
 * infer_reply.h: an InferResponse: a small packed head, and the tensor data where the worker wrote
 * it.
 */
#ifndef SERVICES_INFER_REPLY_H
#define SERVICES_INFER_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "grpc/call.h"
#include "proto/codec.h"
#include "services/infer.h"

#define INFER_REPLY_HEAD_MAX 3072u

/* The message is: id_head, the infer's id, head, tensor. */
struct infer_reply {
	const char *id; /* borrow: the infer's */
	size_t n_id;
	const void *tensor; /* lives as long as lease */
	uint64_t n_tensor;
	struct output_lease *lease; /* own; NULL: no tensor data */
	uint8_t n_id_head;
	uint8_t id_head[CODEC_HEAD_MAX];
	size_t n_head;
	uint8_t head[INFER_REPLY_HEAD_MAX]; /* last: only n_head bytes of it are ever read */
};

/* The first n bytes of a struct are all that it needs: what a copy must have. */
size_t infer_reply_size(const struct infer_reply *p);
/* Build it from an OK result. INFER_E_FAILED: i->failure says why, nothing is held. */
_must_use_ int infer_reply_init(
	struct infer_reply *p, struct infer *i, const struct request_result *result);
/* Send it; the reply holds nothing then, whatever is returned. Errors as call_send(). */
_must_use_ int infer_reply_send(struct infer_reply *p, struct call *c);
/* End the call with a failure instead. The call, and `f` if it lives in the call's state, are gone
 * then. */
void infer_reply_failure(struct call *c, struct infer_failure *f);
/* Accepts a zeroed reply. */
void infer_reply_deinit(struct infer_reply *p);

#endif

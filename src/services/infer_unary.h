/* infer_unary.h: a call with one inference: one request, one answer. */
#ifndef SERVICES_INFER_UNARY_H
#define SERVICES_INFER_UNARY_H

#include <stddef.h>
#include <stdint.h>

#include "grpc/service.h"
#include "services/infer.h"
#include "services/infer_receive.h"

/* The state of a call begins with it; the inference, of its kind's size, lies behind it there. */
struct infer_unary {
	struct call *call; /* borrow */
	struct infer_receive receive;
	struct infer *infer; /* lies in the same state */
	uint64_t done_ns;    /* when it was answered well; 0: it was not */
};

/* From struct method's open: i is the inference. */
void infer_unary_open(
	struct infer_unary *u, struct call *c, const struct infer_kind *kind, struct infer *i);

/* The functions of struct method, with a struct infer_unary as state. */
void infer_unary_message_begin(struct call *c, void *state, uint64_t length);
size_t infer_unary_message_data(struct call *c, void *state, const uint8_t *data, size_t n);
void infer_unary_message_end(struct call *c, void *state);
void infer_unary_close(struct call *c, void *state);

#endif

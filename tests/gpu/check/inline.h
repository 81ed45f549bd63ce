/* inline.h: calls by gRPC, the tensor in the message, of identity where nothing else is said. One thread at a time. */
#ifndef GPU_CHECK_INLINE_H
#define GPU_CHECK_INLINE_H

#include "clients/c/grpc_client.h"
#include "tests/gpu/check/check.h"
#include "tests/gpu/check/daemon.h"

#define INLINE_DEPTH 8u

/* What is sent. */
struct inline_input {
	const char *model; /* a short name */
	const char *dtype;
	unsigned rank;
	uint64_t dims[2];
	size_t bytes;
};

struct inline_call {
	struct grpc_client *client;
	uint8_t head[64], mid[64];
	struct grpc_piece pieces[3];
	unsigned char *payload;
	size_t bytes, out_bytes;
	bool check, right;
};

/* `bytes` of u8. False: no connection; inline_close() is still to be called. */
_must_use_ bool inline_open(struct inline_call *k, const struct daemon *d, size_t bytes);
/* For another model, that gives out_bytes. */
_must_use_ bool inline_open_as(struct inline_call *k, const struct daemon *d,
	const struct inline_input *in, size_t out_bytes);
void inline_close(struct inline_call *k);
/* True: answered, and where k->check is set the answer is right. */
_must_use_ bool inline_infer(struct inline_call *k);
/* One after another for measure_ns: the median, in microseconds. 0: one failed. */
double inline_latency_us(struct inline_call *k, struct check *c);
/* INLINE_DEPTH at once: calls a second. 0: one failed. */
double inline_rate(struct inline_call *k, const struct check *c);

#endif

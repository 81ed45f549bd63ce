/* bench_request.h: the requests that `modelctl bench` makes: made-up inputs, inline or in shared memory. */
#ifndef CLIENTS_MODELCTL_BENCH_REQUEST_H
#define CLIENTS_MODELCTL_BENCH_REQUEST_H

#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/tensor_file.h"
#include "proto/kserve/grpc_service.pb-c.h"

#define BENCH_TENSORS_MAX 64u

/* A packed ModelInferRequest. */
struct bench_request {
	uint8_t *data; /* own */
	size_t n;
};

/* One tensor of a request. */
struct bench_tensor {
	char *name;	      /* own */
	struct tensor tensor; /* own; of an output: no data, only how many bytes */
};

struct bench_tensors {
	struct bench_tensor list[BENCH_TENSORS_MAX];
	size_t n;
};

/* A registered region: where the inputs lie one behind the other, and where outputs go. */
struct bench_region {
	const char *name;	  /* borrow */
	uint64_t inputs, outputs; /* offsets */
};

void bench_request_release(struct bench_request *q);
void bench_tensors_release(struct bench_tensors *x);
/* Bytes of all of them. */
uint64_t bench_tensors_bytes(const struct bench_tensors *x);

/* What follows gives 0, or an exit code after saying what failed. */

/* An input of each that is declared; free dimensions are `dimension`, a batch is 1. */
_must_use_ int bench_inputs_make(
	struct bench_tensors *ret, const Inference__ModelMetadataResponse *m, uint64_t dimension);
/* Names and sizes of what was answered. */
_must_use_ int bench_outputs_take(
	struct bench_tensors *ret, const Inference__ModelInferResponse *answer);
/* region NULL: inline, and `outputs` is not looked at. */
_must_use_ int bench_request_make(struct bench_request *ret, const char *model,
	const struct bench_tensors *inputs, const struct bench_tensors *outputs,
	const struct bench_region *region);

#endif

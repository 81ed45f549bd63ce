/* kserve_small.h: what the small calls of inference.GRPCInferenceService share: limits, words, refusals. */
#ifndef SERVICES_KSERVE_SMALL_H
#define SERVICES_KSERVE_SMALL_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "grpc/call.h"
#include "grpc/message.h"
#include "services/infer_failure.h"
#include "services/services.h"

/* Of a request. */
#define KSERVE_SMALL_MAX 65536u
/* Of the heap, for a request and its answer. */
#define KSERVE_SMALL_MEMORY ((size_t)16 << 20)

/* Triton's words, for several calls. */
#define KSERVE_NAMED_REPOSITORY "'repository_name' specification is not supported"
#define KSERVE_NOT_EXPLICIT	"explicit model load / unload is not allowed if polling is enabled"
#define KSERVE_ENDING		"GRPC server is shutting down and has stopped accepting new requests."

/* End the call with the failure, which is empty then. */
void kserve_small_fail(struct call *c, struct infer_failure *f);
/* n pointers to zeroed structs of `size` bytes each. NULL: no memory. */
void *kserve_small_array(struct message_memory *memory, size_t n, size_t size);

#endif

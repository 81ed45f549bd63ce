/* kserve_call.h: a small call of inference.GRPCInferenceService. */
#ifndef CLIENTS_MODELCTL_KSERVE_CALL_H
#define CLIENTS_MODELCTL_KSERVE_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "clients/modelctl/modelctl.h"
#include "proto/kserve/grpc_service.pb-c.h"

#define KSERVE_PATH "/inference.GRPCInferenceService/"

/*
 * Connect, call `method`, unpack its answer as `type`: *ret_answer is freed by protobuf_c_message_free_unpacked(). 0,
 * or an exit code after saying what failed.
 */
_must_use_ int kserve_call(const struct modelctl *m, const char *method,
	const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type, void **ret_answer);
/* The same over a connection that there is. */
_must_use_ int kserve_call_on(const struct modelctl *m, struct grpc_client *c, const char *method,
	const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type, void **ret_answer);
/* The same with answers of up to `max` bytes. */
_must_use_ int kserve_call_large(const struct modelctl *m, struct grpc_client *c,
	const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
	size_t max, void **ret_answer);
/* What the model declares; one that is not loaded is loaded where the daemon does so on request. "": any version. */
_must_use_ int kserve_metadata(const struct modelctl *m, struct grpc_client *c, const char *model,
	const char *version, Inference__ModelMetadataResponse **ret_metadata);

#endif

/* kserve_call.c: pack, call, unpack. modelctl, one thread. */
#include "clients/modelctl/kserve_call.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLY_MAX (64u * 1024u * 1024u)

/* *ret_packed: to be freed. */
static int pack(const ProtobufCMessage *message, uint8_t **ret_packed, struct grpc_piece *ret_piece)
{
	*ret_packed = malloc(protobuf_c_message_get_packed_size(message) + 1);
	if (!*ret_packed)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	*ret_piece = (struct grpc_piece){
		.data = *ret_packed, .n = protobuf_c_message_pack(message, *ret_packed)};
	return 0;
}

static int unpack(const struct buf *reply, const char *method,
	const ProtobufCMessageDescriptor *type, void **ret_answer)
{
	*ret_answer = protobuf_c_message_unpack(type, NULL, reply->len, reply->data);
	return *ret_answer
		       ? 0
		       : modelctl_fail(MODELCTL_FAILED, "the answer to %s is malformed", method);
}

int kserve_metadata(const struct modelctl *m, struct grpc_client *c, const char *model,
	const char *version, Inference__ModelMetadataResponse **ret_metadata)
{
	Inference__ModelMetadataRequest q = INFERENCE__MODEL_METADATA_REQUEST__INIT;

	q.name = (char *)model;
	q.version = (char *)version;
	return kserve_call_on(m, c, "ModelMetadata", &q.base,
		&inference__model_metadata_response__descriptor, (void **)ret_metadata);
}

int kserve_call_large(const struct modelctl *m, struct grpc_client *c, const char *method,
	const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type, size_t max,
	void **ret_answer)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = max};
	_cleanup_(freep) uint8_t *packed = NULL;
	struct grpc_piece piece;
	char path[128];
	int r = pack(request, &packed, &piece);

	(void)snprintf(path, sizeof(path), KSERVE_PATH "%s", method);
	if (!r)
		r = modelctl_call(m, c, path, &piece, 1, &reply);
	return r ? r : unpack(&reply, method, type, ret_answer);
}

int kserve_call_on(const struct modelctl *m, struct grpc_client *c, const char *method,
	const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type, void **ret_answer)
{
	return kserve_call_large(m, c, method, request, type, REPLY_MAX, ret_answer);
}

int kserve_call(const struct modelctl *m, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *type, void **ret_answer)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	int r = modelctl_connect(m, &c);

	return r ? r : kserve_call_on(m, c, method, request, type, ret_answer);
}

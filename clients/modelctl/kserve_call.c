/* kserve_call.c: pack, call, unpack. modelctl, one thread. */
#include "clients/modelctl/kserve_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/grpc_status.h"

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

/* What the server answers to it, which may be an error. */
static int ask_status(const struct modelctl *m, struct grpc_client *c, const char *path,
	const ProtobufCMessage *request, struct buf *reply, int *ret_status)
{
	_cleanup_(freep) uint8_t *packed = NULL;
	struct grpc_piece piece;
	int r = pack(request, &packed, &piece);

	return r ? r : modelctl_call_for_status(m, c, path, &piece, 1, reply, ret_status);
}

/* A request that no model can run: for it, too, the daemon loads what it loads on request. */
static int have_loaded(
	const struct modelctl *m, struct grpc_client *c, const char *model, const char *version)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	Inference__ModelInferRequest q = INFERENCE__MODEL_INFER_REQUEST__INIT;
	int status;

	q.model_name = (char *)model;
	q.model_version = (char *)version;
	return ask_status(m, c, KSERVE_PATH "ModelInfer", &q.base, &reply, &status);
}

int kserve_metadata(const struct modelctl *m, struct grpc_client *c, const char *model,
	const char *version, Inference__ModelMetadataResponse **ret_metadata)
{
	static const ProtobufCMessageDescriptor *const type =
		&inference__model_metadata_response__descriptor;
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	Inference__ModelMetadataRequest q = INFERENCE__MODEL_METADATA_REQUEST__INIT;
	int status = -1, r;

	q.name = (char *)model;
	q.version = (char *)version;
	r = ask_status(m, c, KSERVE_PATH "ModelMetadata", &q.base, &reply, &status);
	if (!r && status == GRPC_OK)
		return unpack(&reply, "ModelMetadata", type, (void **)ret_metadata);
	if (!r && status == GRPC_NOT_FOUND)
		r = have_loaded(m, c, model, version);
	/* Once more; or it says what is wrong. */
	return r ? r : kserve_call_on(m, c, "ModelMetadata", &q.base, type, (void **)ret_metadata);
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

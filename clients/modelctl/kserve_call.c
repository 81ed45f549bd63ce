/* kserve_call.c: pack, call, unpack. modelctl, one thread. */
#include "clients/modelctl/kserve_call.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLY_MAX (64u * 1024u * 1024u)

int kserve_call_large(const struct modelctl *m, struct grpc_client *c, const char *method,
	const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type, size_t max,
	void **ret_answer)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = max};
	_cleanup_(freep) uint8_t *packed = NULL;
	struct grpc_piece piece = {0};
	char path[128];
	int r;

	(void)snprintf(path, sizeof(path), KSERVE_PATH "%s", method);
	packed = malloc(protobuf_c_message_get_packed_size(request) + 1);
	if (!packed)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	piece.data = packed;
	piece.n = protobuf_c_message_pack(request, packed);
	r = modelctl_call(m, c, path, &piece, 1, &reply);
	if (r)
		return r;
	*ret_answer = protobuf_c_message_unpack(type, NULL, reply.len, reply.data);
	return *ret_answer
		       ? 0
		       : modelctl_fail(MODELCTL_FAILED, "the answer to %s is malformed", method);
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

/*
 * kserve_shm.c: shared memory by key. It is off: registering answers what Triton answers where it was not
 * started with --allow-client-shm, and that of a GPU what it answers without one. (Memory that a client
 * hands over needs no registering here: its token is a region's name.) Daemon process, loop thread.
 */
#include "services/kserve_shm.h"

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_small.h"

#define OFF                                                                                        \
	"Client shared memory is disabled. Hand memory over on the handoff socket instead: its "   \
	"token is a region's name."

/* Read a message. False: the call is finished. */
static bool read_message(struct call *c, struct message_memory *memory,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n, const void **ret)
{
	message_memory_init(memory, KSERVE_SMALL_MEMORY);
	*ret = kserve_small_read(c, memory, type, data, n);
	if (!*ret)
		message_memory_deinit(memory);
	return *ret != NULL;
}

static void refuse_system(
	struct call *c, const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	struct message_memory memory;
	const void *q;

	if (!read_message(c, &memory, type, data, n, &q))
		return;
	call_finish(c, GRPC_UNIMPLEMENTED, OFF);
	message_memory_deinit(&memory);
}

void kserve_system_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	(void)state;
	refuse_system(c, &inference__system_shared_memory_register_request__descriptor, data, n);
}

void kserve_system_unregister(struct call *c, void *state, const uint8_t *data, size_t n)
{
	(void)state;
	refuse_system(c, &inference__system_shared_memory_unregister_request__descriptor, data, n);
}

void kserve_system_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__SystemSharedMemoryStatusResponse m =
		INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__INIT;
	const Inference__SystemSharedMemoryStatusRequest *q;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__system_shared_memory_status_request__descriptor,
		    data, n, (const void **)&q))
		return;
	if (q->name[0] != '\0')
		call_finishf(c, GRPC_NOT_FOUND,
			"Unable to find system shared memory region: '%.255s'", q->name);
	else
		message_answer(c, &m.base);
	message_memory_deinit(&memory);
}

void kserve_cuda_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__CudaSharedMemoryRegisterRequest *q;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__cuda_shared_memory_register_request__descriptor,
		    data, n, (const void **)&q))
		return;
	call_finishf(c, GRPC_INVALID_ARGUMENT,
		"failed to register shared memory region '%.255s': invalid args (GPUs not "
		"supported)",
		q->name);
	message_memory_deinit(&memory);
}

void kserve_cuda_unregister(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__CudaSharedMemoryUnregisterResponse m =
		INFERENCE__CUDA_SHARED_MEMORY_UNREGISTER_RESPONSE__INIT;
	struct message_memory memory;
	const void *q;

	(void)state;
	if (!read_message(c, &memory, &inference__cuda_shared_memory_unregister_request__descriptor,
		    data, n, &q))
		return;
	message_answer(c, &m.base);
	message_memory_deinit(&memory);
}

void kserve_cuda_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__CudaSharedMemoryStatusResponse m =
		INFERENCE__CUDA_SHARED_MEMORY_STATUS_RESPONSE__INIT;
	const Inference__CudaSharedMemoryStatusRequest *q;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__cuda_shared_memory_status_request__descriptor,
		    data, n, (const void **)&q))
		return;
	if (q->name[0] != '\0')
		call_finishf(c, GRPC_NOT_FOUND,
			"Unable to find cuda shared memory region: '%.255s'", q->name);
	else
		message_answer(c, &m.base);
	message_memory_deinit(&memory);
}

/*
 * kserve_service.c: the table of inference.GRPCInferenceService. Daemon process, loop thread.
 */
#include "services/kserve_service.h"

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_config.h"
#include "services/kserve_cuda.h"
#include "services/kserve_demand.h"
#include "services/kserve_infer.h"
#include "services/kserve_load.h"
#include "services/kserve_metadata.h"
#include "services/kserve_repository.h"
#include "services/kserve_settings.h"
#include "services/kserve_shm.h"
#include "services/kserve_small.h"
#include "services/kserve_statistics.h"
#include "services/methods.h"

struct unary {
	struct infer_unary unary; /* first */
	struct kserve_infer infer;
};

static void infer_open(struct call *c, void *state)
{
	struct unary *u = state;

	infer_unary_open(&u->unary, c, &kserve_infer_kind, &u->infer.infer);
}

static void stream_open(struct call *c, void *state)
{
	infer_stream_open(state, c, &kserve_stream_kind);
}

#define NAME "inference.GRPCInferenceService"
#define PATH "/" NAME "/"

static const struct method methods[] = {
	METHOD_INFER(PATH "ModelInfer", struct unary, infer_open),
	METHOD_INFER_STREAM(PATH "ModelStreamInfer", stream_open),
	METHOD_SMALL(PATH "ServerLive", KSERVE_SMALL_MAX, kserve_server_live),
	METHOD_SMALL(PATH "ServerReady", KSERVE_SMALL_MAX, kserve_server_ready),
	METHOD_SMALL(PATH "ModelReady", KSERVE_SMALL_MAX, kserve_model_ready),
	METHOD_SMALL(PATH "ServerMetadata", KSERVE_SMALL_MAX, kserve_server_metadata),
	METHOD_WAITING(PATH "ModelMetadata", KSERVE_SMALL_MAX, struct kserve_demand,
		kserve_model_metadata, kserve_demand_close),
	METHOD_WAITING(PATH "ModelConfig", KSERVE_SMALL_MAX, struct kserve_demand,
		kserve_model_config, kserve_demand_close),
	METHOD_SMALL(PATH "ModelStatistics", KSERVE_SMALL_MAX, kserve_model_statistics),
	{.path = PATH "RepositoryIndex",
		.state_bytes = sizeof(struct kserve_index),
		.collect_max = KSERVE_SMALL_MAX,
		.message = kserve_repository_index,
		.turn = kserve_repository_index_turn,
		.close = kserve_repository_index_close},
	{.path = PATH "RepositoryModelLoad",
		.state_bytes = sizeof(struct kserve_load),
		.message_begin = kserve_load_message_begin,
		.message_data = kserve_load_message_data,
		.message_end = kserve_load_message_end,
		.close = kserve_load_close},
	METHOD_WAITING(PATH "RepositoryModelUnload", KSERVE_SMALL_MAX, struct kserve_load,
		kserve_repository_model_unload, kserve_load_close),
	METHOD_SMALL(PATH "SystemSharedMemoryStatus", KSERVE_SMALL_MAX, kserve_system_status),
	METHOD_SMALL(PATH "SystemSharedMemoryRegister", KSERVE_SMALL_MAX, kserve_system_register),
	METHOD_SMALL(
		PATH "SystemSharedMemoryUnregister", KSERVE_SMALL_MAX, kserve_system_unregister),
	METHOD_SMALL(PATH "CudaSharedMemoryStatus", KSERVE_SMALL_MAX, kserve_cuda_status),
	METHOD_WAITING(PATH "CudaSharedMemoryRegister", KSERVE_SMALL_MAX, struct kserve_cuda_wait,
		kserve_cuda_register, kserve_cuda_register_close),
	METHOD_SMALL(PATH "CudaSharedMemoryUnregister", KSERVE_SMALL_MAX, kserve_cuda_unregister),
	METHOD_SMALL(PATH "TraceSetting", KSERVE_SMALL_MAX, kserve_trace_setting),
	METHOD_SMALL(PATH "LogSettings", KSERVE_SMALL_MAX, kserve_log_settings),
	{.path = NULL},
};

const struct service kserve_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &inference__grpcinference_service__descriptor,
};

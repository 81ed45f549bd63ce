/*
 * kserve_service.c: the table of inference.GRPCInferenceService. Daemon process, loop thread.
 */
#include "services/kserve_service.h"

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/infer_stream.h"
#include "services/infer_unary.h"
#include "services/kserve_config.h"
#include "services/kserve_infer.h"
#include "services/kserve_load.h"
#include "services/kserve_metadata.h"
#include "services/kserve_repository.h"
#include "services/kserve_settings.h"
#include "services/kserve_shm.h"
#include "services/kserve_small.h"
#include "services/kserve_statistics.h"

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
#define SMALL(name, function)                                                                      \
	{                                                                                          \
		.path = PATH name, .collect_max = KSERVE_SMALL_MAX, .message = (function)          \
	}

/* One that may be answered later. */
#define WAITING(name, state, function, function_close)                                             \
	{                                                                                          \
		.path = PATH name, .state_bytes = sizeof(state), .collect_max = KSERVE_SMALL_MAX,  \
		.message = (function), .close = (function_close)                                   \
	}

static const struct method methods[] = {
	{
		.path = PATH "ModelInfer",
		.state_bytes = sizeof(struct unary),
		.open = infer_open,
		.message_begin = infer_unary_message_begin,
		.message_data = infer_unary_message_data,
		.message_end = infer_unary_message_end,
		.close = infer_unary_close,
	},
	{
		.path = PATH "ModelStreamInfer",
		.client_streaming = true,
		.server_streaming = true,
		.state_bytes = sizeof(struct infer_stream),
		.open = stream_open,
		.message_begin = infer_stream_message_begin,
		.message_data = infer_stream_message_data,
		.message_end = infer_stream_message_end,
		.half_close = infer_stream_half_close,
		.writable = infer_stream_writable,
		.drain = infer_stream_drain,
		.close = infer_stream_close,
	},
	SMALL("ServerLive", kserve_server_live),
	SMALL("ServerReady", kserve_server_ready),
	SMALL("ModelReady", kserve_model_ready),
	SMALL("ServerMetadata", kserve_server_metadata),
	SMALL("ModelMetadata", kserve_model_metadata),
	SMALL("ModelConfig", kserve_model_config),
	SMALL("ModelStatistics", kserve_model_statistics),
	WAITING("RepositoryIndex", struct kserve_index, kserve_repository_index,
		kserve_repository_index_close),
	WAITING("RepositoryModelLoad", struct kserve_load, kserve_repository_model_load,
		kserve_load_close),
	WAITING("RepositoryModelUnload", struct kserve_load, kserve_repository_model_unload,
		kserve_load_close),
	SMALL("SystemSharedMemoryStatus", kserve_system_status),
	SMALL("SystemSharedMemoryRegister", kserve_system_register),
	SMALL("SystemSharedMemoryUnregister", kserve_system_unregister),
	SMALL("CudaSharedMemoryStatus", kserve_cuda_status),
	SMALL("CudaSharedMemoryRegister", kserve_cuda_register),
	SMALL("CudaSharedMemoryUnregister", kserve_cuda_unregister),
	SMALL("TraceSetting", kserve_trace_setting),
	SMALL("LogSettings", kserve_log_settings),
	{.path = NULL},
};

const struct service kserve_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &inference__grpcinference_service__descriptor,
};

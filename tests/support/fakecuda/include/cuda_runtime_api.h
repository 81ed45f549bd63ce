/*
 * cuda_runtime_api.h, the stand-in's: as much of CUDA's runtime as modeld uses, so that what is built
 * on it can be compiled and tested where there is neither a toolkit nor a GPU. Names and values are
 * the runtime's; the layout of structs is not.
 */
#ifndef FAKECUDA_CUDA_RUNTIME_API_H
#define FAKECUDA_CUDA_RUNTIME_API_H

#include <stddef.h>

#include "cuda_constants.h"

#define CUDART_VERSION 13000

#define FAKECUDA_ENUMERATOR(name, value, ...) name = (value),
typedef enum cudaError {
	FAKECUDA_ERRORS(FAKECUDA_ENUMERATOR) FAKECUDA_ERROR_MAX = 9999
} cudaError_t;
enum fakecuda_flag { FAKECUDA_FLAGS(FAKECUDA_ENUMERATOR) };
enum cudaMemcpyKind { FAKECUDA_COPY_KINDS(FAKECUDA_ENUMERATOR) };
enum cudaStreamCaptureMode { FAKECUDA_CAPTURE_MODES(FAKECUDA_ENUMERATOR) };
enum cudaDeviceAttr { FAKECUDA_DEVICE_ATTRIBUTES(FAKECUDA_ENUMERATOR) };
enum cudaMemcpySrcAccessOrder { FAKECUDA_ACCESS_ORDERS(FAKECUDA_ENUMERATOR) };
enum cudaMemPoolAttr { FAKECUDA_POOL_ATTRIBUTES(FAKECUDA_ENUMERATOR) };
#undef FAKECUDA_ENUMERATOR

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUmemPoolHandle_st *cudaMemPool_t;
typedef struct CUlib_st *cudaLibrary_t;
typedef struct CUkern_st *cudaKernel_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

enum cudaJitOption { FAKECUDA_JIT_OPTION_MAX = 0xffff };
enum cudaLibraryOption { FAKECUDA_LIBRARY_OPTION_MAX = 0xffff };

typedef struct {
	char bytes[16];
} cudaUUID_t;

typedef struct cudaIpcMemHandle_st {
	char reserved[64];
} cudaIpcMemHandle_t;

struct cudaMemLocation {
	int type, id;
};

struct cudaMemcpyAttributes {
	enum cudaMemcpySrcAccessOrder srcAccessOrder;
	struct cudaMemLocation srcLocHint, dstLocHint;
	unsigned flags;
};

struct cudaDeviceProp {
	char name[256];
	cudaUUID_t uuid;
	size_t totalGlobalMem;
	int major;
	int minor;
	int multiProcessorCount;
};

typedef struct dim3 {
	unsigned x, y, z;
} dim3;

#include "cuda_prototypes.h"

#endif

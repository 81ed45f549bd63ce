/* launch.c: CUDA's errors as what a backend returns, and kernels into streams. */
#include <stdio.h>

#include "workers/backends/cuda/cuda.h"

/* As workers/device_cuda_error.c sorts them: these a process does not survive. */
static int is_fatal(cudaError_t error)
{
	return error == cudaErrorECCUncorrectable || error == cudaErrorNvlinkUncorrectable ||
	       error == cudaErrorIllegalAddress || error == cudaErrorLaunchTimeout ||
	       error == cudaErrorAssert ||
	       (error >= cudaErrorHardwareStackError && error <= cudaErrorLaunchFailure) ||
	       error == cudaErrorUnknown;
}

enum modeld_code cuda_check(cudaError_t error, const char *what, struct modeld_error *ret_error)
{
	if (error == cudaSuccess)
		return MODELD_OK;
	(void)cudaGetLastError();
	snprintf(ret_error->text, sizeof(ret_error->text), "%s: %s (%d): %s", what,
		cudaGetErrorName(error), (int)error, cudaGetErrorString(error));
	if (is_fatal(error))
		return MODELD_FATAL;
	return error == cudaErrorMemoryAllocation ? MODELD_EXHAUSTED : MODELD_INTERNAL;
}

enum modeld_code cuda_launch(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
	void *stream, struct modeld_error *error)
{
	return cuda_check(cudaLaunchKernel((const void *)kernel, grid, block, arguments, 0, stream),
		"launching a kernel", error);
}

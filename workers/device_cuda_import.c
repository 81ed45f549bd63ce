/*
 * device_cuda_import.c: memory of the GPU that another process has made (CUDA IPC). How much there is behind a pointer only the
 * driver knows, which the runtime has opened by then; without it nothing is imported, since a copy that goes too far is the end of
 * this process. Worker process, any thread.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "workers/device_cuda_private.h"

_Static_assert(sizeof(cudaIpcMemHandle_t) == DEVICE_HANDLE_BYTES, "a handle is one of CUDA's");

/* cuMemGetAddressRange(): CUresult, which is 0 for success, of (CUdeviceptr *, size_t *, CUdeviceptr). */
typedef int range_call(unsigned long long *base, size_t *bytes, unsigned long long data);

/* How many bytes there are from `data` on. */
static uint64_t bytes_from(range_call *range, const void *data)
{
	unsigned long long base, at = (uintptr_t)data;
	size_t bytes;

	if (range(&base, &bytes, at) != 0 || at < base || at - base > bytes)
		return 0;
	return bytes - (size_t)(at - base);
}

int cuda_import(
	struct device *d, const void *handle, uint64_t bytes, struct device_import *ret_import)
{
	range_call *range;
	cudaIpcMemHandle_t h;
	void *data = NULL;
	cudaError_t error;
	int r;

	if (!cuda_driver_find("cuMemGetAddressRange_v2", &range))
		return -ENOTSUP;
	memcpy(&h, handle, sizeof(h));
	error = cudaIpcOpenMemHandle(&data, h, cudaIpcMemLazyEnablePeerAccess);
	if (error != cudaSuccess)
		return cuda_blame_import(d, error);
	if (bytes_from(range, data) < bytes) {
		r = cuda_result(cudaIpcCloseMemHandle(data));
		return device_fatal(r) ? r : -ERANGE;
	}
	*ret_import = (struct device_import){.data = data, .target = data};
	return 0;
}

int cuda_give_back(struct device *d, const struct device_import *import)
{
	if (import->mapped_bytes > 0)
		return cuda_unmap(d, import);
	return cuda_result(cudaIpcCloseMemHandle(import->target));
}

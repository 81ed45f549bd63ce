/*
 * device_cuda_import.c: memory of the GPU that another process has made (CUDA IPC). How much there is behind a pointer only the
 * driver knows, which the runtime has opened by then; without it nothing is imported, since a copy that goes too far is the end of
 * this process. Worker process, any thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "workers/device_cuda_private.h"

_Static_assert(sizeof(cudaIpcMemHandle_t) == DEVICE_HANDLE_BYTES, "a handle is one of CUDA's");

/* cuMemGetAddressRange(): CUresult, which is 0 for success, of (CUdeviceptr *, size_t *, CUdeviceptr). */
typedef int range_call(unsigned long long *base, size_t *bytes, unsigned long long data);

static range_call *find_range_call(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW);
	range_call *call = NULL;
	void *symbol = dlsym(driver ? driver : RTLD_DEFAULT, "cuMemGetAddressRange_v2");

	if (driver)
		dlclose(driver); /* the runtime keeps it */
	memcpy(&call, &symbol, sizeof(call));
	return call;
}

/* How many bytes there are from `data` on. */
static uint64_t bytes_from(range_call *range, const void *data)
{
	unsigned long long base, at = (uintptr_t)data;
	size_t bytes;

	if (range(&base, &bytes, at) != 0 || at < base || at - base > bytes)
		return 0;
	return bytes - (size_t)(at - base);
}

/* A handle is a client's: whatever error it leads to is that call's, unless the device has failed since. */
static int blame_handle(struct device *d, cudaError_t error)
{
	struct device_memory memory;
	int r = cuda_result(error);

	if (!device_fatal(r) || device_memory(d, &memory))
		return r;
	return device_result(DEVICE_E_REQUEST, error);
}

int cuda_import(struct device *d, const void *handle, uint64_t bytes, void **ret_data)
{
	range_call *range = find_range_call();
	cudaIpcMemHandle_t h;
	void *data = NULL;
	cudaError_t error;
	int r;

	if (!range)
		return -ENOTSUP;
	memcpy(&h, handle, sizeof(h));
	error = cudaIpcOpenMemHandle(&data, h, cudaIpcMemLazyEnablePeerAccess);
	if (error != cudaSuccess)
		return blame_handle(d, error);
	if (bytes_from(range, data) < bytes) {
		r = cuda_give_back(d, data);
		return device_fatal(r) ? r : -ERANGE;
	}
	*ret_data = data;
	return 0;
}

int cuda_give_back(struct device *d, void *data)
{
	return cuda_result(cudaIpcCloseMemHandle(data));
}

/*
 * device_cuda_vmm.c: memory of the GPU that another process has exported to a descriptor (the driver's virtual memory). It is mapped
 * here once for reading and, where outputs may go there, once more for writing: a copy of an input cannot go the wrong way. It lives
 * as long as it is mapped, whatever its maker does.
 *
 * How much there is the driver tells by refusing to map more. A descriptor is a client's: what it leads to is that call's error.
 * Worker process, any thread.
 */
#include <cuda.h>
#include <errno.h>
#include <stdint.h>

#include "workers/device_cuda_private.h"

#define DEVICE 0 /* the only one that is to be seen */

/* The entry points, by their names in the driver. */
#define CALLS(X)                                                                                   \
	X(cuMemImportFromShareableHandle)                                                          \
	X(cuMemGetAllocationPropertiesFromHandle)                                                  \
	X(cuMemGetAllocationGranularity)                                                           \
	X(cuMemAddressReserve)                                                                     \
	X(cuMemAddressFree)                                                                        \
	X(cuMemMap)                                                                                \
	X(cuMemUnmap)                                                                              \
	X(cuMemSetAccess)                                                                          \
	X(cuMemRelease)
#define MEMBER(name) __typeof__(&name) name;

struct calls {
	CALLS(MEMBER)
};

static int find_calls(struct calls *ret_calls)
{
#define FIND(name)                                                                                 \
	if (!cuda_driver_find(#name, &ret_calls->name))                                            \
		return -ENOTSUP;
	CALLS(FIND)
	return 0;
}

static int result(struct device *d, CUresult error)
{
	return error == CUDA_SUCCESS ? 0 : cuda_blame_import(d, (cudaError_t)error);
}

/* --- One mapping ------------------------------------------------------------------------------ */

/* As it is to be used; read-only where the driver can. */
static CUresult set_access(const struct calls *c, CUdeviceptr at, uint64_t bytes, bool writable)
{
	CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, DEVICE},
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READ};
	CUresult error = CUDA_ERROR_NOT_SUPPORTED;

	if (!writable)
		error = c->cuMemSetAccess(at, bytes, &access, 1);
	if (error != CUDA_ERROR_NOT_SUPPORTED)
		return error;
	access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	return c->cuMemSetAccess(at, bytes, &access, 1);
}

static CUresult unmap(const struct calls *c, CUdeviceptr at, uint64_t bytes)
{
	CUresult error = c->cuMemUnmap(at, bytes);

	return error == CUDA_SUCCESS ? c->cuMemAddressFree(at, bytes) : error;
}

/* -ERANGE: there is not so much of it */
static int map(struct device *d, const struct calls *c, CUmemGenericAllocationHandle handle,
	uint64_t bytes, bool writable, void **ret_data)
{
	CUdeviceptr at;
	CUresult error = c->cuMemAddressReserve(&at, bytes, 0, 0, 0);

	if (error != CUDA_SUCCESS)
		return result(d, error);
	error = c->cuMemMap(at, bytes, 0, handle, 0);
	if (error != CUDA_SUCCESS) {
		(void)c->cuMemAddressFree(at, bytes);
		return error == CUDA_ERROR_INVALID_VALUE ? -ERANGE : result(d, error);
	}
	error = set_access(c, at, bytes, writable);
	if (error != CUDA_SUCCESS) {
		(void)unmap(c, at, bytes);
		return result(d, error);
	}
	*ret_data = (void *)(uintptr_t)at; /* the runtime's are the same */
	return 0;
}

/* --- All of it -------------------------------------------------------------------------------- */

/* What is mapped are whole pieces of the driver's. -ERANGE: they are more than can be counted */
static int round_up(struct device *d, const struct calls *c, const CUmemAllocationProp *properties,
	uint64_t bytes, uint64_t *ret_bytes)
{
	size_t piece = 0;
	CUresult error = c->cuMemGetAllocationGranularity(
		&piece, properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);

	if (error != CUDA_SUCCESS)
		return result(d, error);
	if (piece == 0 || bytes > UINT64_MAX - piece)
		return -ERANGE;
	*ret_bytes = (bytes + piece - 1) / piece * piece;
	return 0;
}

/* -EXDEV: it is another device's */
static int look_at(struct device *d, const struct calls *c, CUmemGenericAllocationHandle handle,
	uint64_t bytes, uint64_t *ret_bytes)
{
	CUmemAllocationProp properties;
	CUresult error = c->cuMemGetAllocationPropertiesFromHandle(&properties, handle);

	if (error != CUDA_SUCCESS)
		return result(d, error);
	if (properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		properties.location.id != DEVICE)
		return -EXDEV;
	return round_up(d, c, &properties, bytes, ret_bytes);
}

static int map_all(struct device *d, const struct calls *c, CUmemGenericAllocationHandle handle,
	uint64_t bytes, bool writable, struct device_import *ret_import)
{
	void *data = NULL, *target = NULL;
	int r = look_at(d, c, handle, bytes, &bytes);

	if (!r)
		r = map(d, c, handle, bytes, false, &data);
	if (r)
		return r;
	if (writable)
		r = map(d, c, handle, bytes, true, &target);
	if (r) {
		(void)unmap(c, (uintptr_t)data, bytes);
		return r;
	}
	*ret_import = (struct device_import){.data = data, .target = target, .mapped_bytes = bytes};
	return 0;
}

int cuda_import_fd(
	struct device *d, int fd, uint64_t bytes, bool writable, struct device_import *ret_import)
{
	CUmemGenericAllocationHandle handle;
	struct calls c;
	CUresult error;
	int r = find_calls(&c);

	if (!r)
		r = cuda_result(cudaSetDevice(DEVICE)); /* this thread may be new to it */
	if (r)
		return r;
	error = c.cuMemImportFromShareableHandle(
		&handle, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	if (error != CUDA_SUCCESS)
		return result(d, error);
	r = map_all(d, &c, handle, bytes, writable, ret_import);
	/* What is mapped stays. */
	error = c.cuMemRelease(handle);
	if (!r && error != CUDA_SUCCESS) {
		r = cuda_unmap(d, ret_import);
		r = r ? r : result(d, error);
		*ret_import = (struct device_import){0};
	}
	return r;
}

int cuda_unmap(struct device *d, const struct device_import *import)
{
	struct calls c;
	int r = find_calls(&c), also = 0;

	if (r)
		return r;
	r = result(d, unmap(&c, (uintptr_t)import->data, import->mapped_bytes));
	if (import->target)
		also = result(d, unmap(&c, (uintptr_t)import->target, import->mapped_bytes));
	return r ? r : also;
}

/*
 * fake_driver.c: what of CUDA's driver has no equal in the runtime, or is used by who loads the driver alone. A context is a GPU's
 * primary one; which is current does not matter here.
 */
#include <cuda.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/fakecuda/fake_private.h"

FAKE_EXPORT CUresult cuInit(unsigned flags)
{
	FAKE_ENTER_DRIVER();
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuGetErrorName(CUresult error, const char **name)
{
	*name = cudaGetErrorName((cudaError_t)error);
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGetCount(int *count)
{
	FAKE_ENTER_DRIVER();
	*count = 0;
	while (fake_visible(*count) >= 0)
		++*count;
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	FAKE_ENTER_DRIVER();
	*device = ordinal;
	return fake_visible(ordinal) < 0 ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	int gpu = fake_visible(device);

	FAKE_ENTER_DRIVER();
	if (gpu < 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*uuid = (CUuuid){
		{[3] = (char)(gpu + 1), [6] = 0x40, [8] = (char)0x80, [15] = (char)(gpu + 1)}};
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	FAKE_ENTER_DRIVER();
	*context = (CUcontext)(uintptr_t)(device + 1);
	return fake_visible(device) < 0 ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context)
{
	FAKE_ENTER_DRIVER();
	return context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

FAKE_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
	FAKE_ENTER_DRIVER();
	*context = NULL;
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuCtxSynchronize(void)
{
	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	pthread_mutex_unlock(&fake_lock);
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuPointerGetAttribute(
	void *value, CUpointer_attribute attribute, CUdeviceptr at)
{
	const void *data = (const void *)(uintptr_t)at;
	int ordinal = -1;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
		ordinal = fake_vmm_is(data)	 ? fake_vmm_ordinal(data)
			  : fake_is_device(data) ? 0
						 : -1;
	pthread_mutex_unlock(&fake_lock);
	if (ordinal < 0)
		return CUDA_ERROR_INVALID_VALUE;
	*(int *)value = ordinal;
	return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
	void *data = NULL;
	cudaError_t error;

	FAKE_ENTER_DRIVER();
	error = cudaMalloc(&data, bytes);
	*at = (uintptr_t)data;
	return (CUresult)error;
}

FAKE_EXPORT CUresult cuMemFree_v2(CUdeviceptr at)
{
	FAKE_ENTER_DRIVER();
	return (CUresult)cudaFree((void *)(uintptr_t)at);
}

/* In no stream's order, but behind all that is in one. Either is NULL where it is not the GPU's, or not to be used so. */
static CUresult copy(void *to, const void *from, size_t bytes)
{
	if (!to || !from)
		return CUDA_ERROR_INVALID_VALUE;
	memmove(to, from, bytes);
	return CUDA_SUCCESS;
}

static void *alias(CUdeviceptr at, size_t bytes, bool writing)
{
	return fake_memory_alias((void *)(uintptr_t)at, bytes, writing);
}

FAKE_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
	CUresult error;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	error = copy(alias(to, bytes, true), alias(from, bytes, false), bytes);
	pthread_mutex_unlock(&fake_lock);
	return error;
}

FAKE_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
	CUresult error;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	error = copy(alias(to, bytes, true), from, bytes);
	pthread_mutex_unlock(&fake_lock);
	return error;
}

FAKE_EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
	CUresult error;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	error = copy(to, alias(from, bytes, false), bytes);
	pthread_mutex_unlock(&fake_lock);
	return error;
}

/* probe_cuda.h: what the children of the GPU probe need of CUDA. */
#ifndef GPU_PROBE_CUDA_H
#define GPU_PROBE_CUDA_H

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>

#include "tests/gpu/probe.h"

/* True where CUDA refused; the row is written then, and the error is taken off the thread. */
bool refused(const char *what, cudaError_t error);
/* Device 0 and its primary context. False: refused, and reported. */
_must_use_ bool open_device(void);
/*
 * Device memory, never more than a quarter of what is free, shared by n_processes. False: it would
 * be more (a row says so) or CUDA refused.
 */
_must_use_ bool device_alloc(void **ret_device, uint64_t bytes, unsigned n_processes);
/* Copies host memory to the device and back; a row if it is refused or not the data of `seed`. */
void check_dma(const char *what, const void *host, uint64_t bytes, uint64_t seed);

/* The driver's functions, found at run time: the program starts without a driver, too. */
struct driver {
	__typeof__(&cuGetErrorName) get_error_name;
	__typeof__(&cuDeviceGet) device_get;
	__typeof__(&cuDeviceGetAttribute) device_get_attribute;
	__typeof__(&cuModuleLoad) module_load;
	__typeof__(&cuModuleGetFunction) module_get_function;
	__typeof__(&cuLaunchKernel) launch_kernel;
	__typeof__(&cuMemGetAllocationGranularity) mem_get_granularity;
	__typeof__(&cuMemCreate) mem_create;
	__typeof__(&cuMemRelease) mem_release;
	__typeof__(&cuMemExportToShareableHandle) mem_export;
	__typeof__(&cuMemImportFromShareableHandle) mem_import;
	__typeof__(&cuMemAddressReserve) mem_address_reserve;
	__typeof__(&cuMemMap) mem_map;
	__typeof__(&cuMemSetAccess) mem_set_access;
};

/* False: reported. The library stays loaded. */
_must_use_ bool driver_open(struct driver *ret_driver);
/* As refused(), for the driver's errors. */
_must_use_ bool driver_refused(const struct driver *d, const char *what, CUresult result);
/* A kernel of the module beside the program. False: reported. */
_must_use_ bool driver_kernel(const struct driver *d, const char *name, CUfunction *ret_kernel);

#endif

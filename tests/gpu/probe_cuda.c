/*
 * probe_cuda.c: the runtime's and the driver's errors as rows, and the driver's functions, which
 * are looked up in libcuda.so.1 when they are needed, so that the program runs without a driver.
 * Children only, one thread each.
 */
#include "tests/gpu/probe_cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define DMA_CHECK_BYTES (16 * MIB)
#define SCRUB		0xa5
#define MODULE		"probe_fault.fatbin"
/* The signatures of struct driver are those of CUDA 11.3 to 13. */
#define DRIVER_API 11030

bool refused(const char *what, cudaError_t error)
{
	if (error == cudaSuccess)
		return false;
	report_refused(what, cudaGetErrorName(error));
	/* It would come back at an unrelated call. */
	(void)cudaGetLastError();
	return true;
}

bool open_device(void)
{
	/* Freeing nothing makes the primary context, in every version of CUDA. */
	return !refused("cudaSetDevice", cudaSetDevice(0)) &&
	       !refused("creating a context", cudaFree(NULL));
}

bool device_alloc(void **ret_device, uint64_t bytes, unsigned n_processes)
{
	size_t unused;
	size_t total;

	if (refused("cudaMemGetInfo", cudaMemGetInfo(&unused, &total)))
		return false;
	if (bytes > unused / 4 / n_processes) {
		report_text("device memory", "not asked for", "over a quarter of what is free");
		return false;
	}
	return !refused("cudaMalloc", cudaMalloc(ret_device, bytes));
}

static void check_through(
	const char *what, void *device, const void *host, void *back, uint64_t bytes, uint64_t seed)
{
	uint64_t good;

	/* What an earlier copy left must not pass for this one's. */
	if (refused(what, cudaMemset(device, SCRUB, bytes)) ||
		refused(what, cudaDeviceSynchronize()) ||
		refused(what, cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice)) ||
		refused(what, cudaMemcpy(back, device, bytes, cudaMemcpyDeviceToHost)))
		return;
	good = data_check(back, bytes, seed);
	if (good < bytes)
		report_bad(what, good);
}

void check_dma(const char *what, const void *host, uint64_t bytes, uint64_t seed)
{
	uint64_t n = bytes < DMA_CHECK_BYTES ? bytes : DMA_CHECK_BYTES;
	_cleanup_(freep) void *back = malloc(n);
	void *device = NULL;

	if (!back || !device_alloc(&device, n, 2))
		return;
	check_through(what, device, host, back, n, seed);
	refused("cudaFree", cudaFree(device));
}

/* The pointer that dlsym() and cuGetProcAddress() return is one to a function. */
static bool find(void *get, const char *name, void *ret_function)
{
	/* As cuGetProcAddress_v2 of CUDA 12: here the status is an int, that older headers compile. */
	CUresult (*look_up)(const char *, void **, int, cuuint64_t, int *);
	void *found = NULL;
	int status = 0;

	memcpy(&look_up, &get, sizeof(look_up));
	if (look_up(name, &found, DRIVER_API, 0, &status) != CUDA_SUCCESS || !found) {
		report_refused(name, "the driver does not have it");
		return false;
	}
	memcpy(ret_function, &found, sizeof(found));
	return true;
}

bool driver_open(struct driver *d)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	void *get = library ? dlsym(library, "cuGetProcAddress_v2") : NULL;

	if (!get) {
		report_refused(library ? "cuGetProcAddress_v2" : "libcuda.so.1", dlerror());
		return false;
	}
	return find(get, "cuGetErrorName", &d->get_error_name) &&
	       find(get, "cuDeviceGet", &d->device_get) &&
	       find(get, "cuDeviceGetAttribute", &d->device_get_attribute) &&
	       find(get, "cuModuleLoad", &d->module_load) &&
	       find(get, "cuModuleGetFunction", &d->module_get_function) &&
	       find(get, "cuLaunchKernel", &d->launch_kernel) &&
	       find(get, "cuMemGetAllocationGranularity", &d->mem_get_granularity) &&
	       find(get, "cuMemCreate", &d->mem_create) &&
	       find(get, "cuMemRelease", &d->mem_release) &&
	       find(get, "cuMemExportToShareableHandle", &d->mem_export) &&
	       find(get, "cuMemImportFromShareableHandle", &d->mem_import) &&
	       find(get, "cuMemAddressReserve", &d->mem_address_reserve) &&
	       find(get, "cuMemMap", &d->mem_map) &&
	       find(get, "cuMemSetAccess", &d->mem_set_access);
}

bool driver_refused(const struct driver *d, const char *what, CUresult result)
{
	const char *name = NULL;

	if (result == CUDA_SUCCESS)
		return false;
	if (d->get_error_name(result, &name) != CUDA_SUCCESS || !name)
		name = "an error without a name";
	report_refused(what, name);
	return true;
}

bool driver_kernel(const struct driver *d, const char *name, CUfunction *ret_kernel)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(MODULE));
	char *slash;
	CUmodule module;

	if (n <= 0 || (size_t)n >= sizeof(path) - sizeof(MODULE))
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return false;
	memcpy(slash + 1, MODULE, sizeof(MODULE));
	if (access(path, R_OK) < 0) {
		report_refused(MODULE, "not there: built without nvcc");
		return false;
	}
	return !driver_refused(d, "cuModuleLoad", d->module_load(&module, path)) &&
	       !driver_refused(d, name, d->module_get_function(ret_kernel, module, name));
}

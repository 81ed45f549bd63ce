/*
 * device_cuda_driver.c: the driver's own entry points, for what the runtime has no call for, and whose fault an import's error is.
 * Worker process, any thread.
 */
#include <dlfcn.h>
#include <string.h>

#include "workers/device_cuda_private.h"

bool cuda_driver_find(const char *name, void *ret_function)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW);
	void *symbol = dlsym(driver ? driver : RTLD_DEFAULT, name);

	if (driver)
		dlclose(driver); /* the runtime keeps it */
	if (symbol)
		memcpy(ret_function, &symbol,
			sizeof(symbol)); /* no cast is one of the language's */
	return symbol != NULL;
}

int cuda_blame_import(struct device *d, cudaError_t error)
{
	struct device_memory memory;
	int r = cuda_result(error);

	if (!device_fatal(r) || device_memory(d, &memory))
		return r;
	return device_result(DEVICE_E_REQUEST, error);
}

/* device_nocuda.c: in place of device_cuda.c where no CUDA toolkit was found. Worker process. */
#include <errno.h>
#include <stdio.h>

#include "workers/device_cuda.h"

int device_cuda_open(struct device **ret_device, char *text)
{
	snprintf(text, DEVICE_TEXT_MAX, "this build of modeld-worker has no CUDA (make CUDA=1)");
	return -ENODEV;
}

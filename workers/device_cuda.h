/*
 * device_cuda.h: a GPU that CUDA drives, as a device. device_cuda.c is it where a CUDA toolkit was
 * found, device_nocuda.c where none was.
 */
#ifndef WORKERS_DEVICE_CUDA_H
#define WORKERS_DEVICE_CUDA_H

#include "workers/device.h"

/*
 * Open the first GPU that this process sees (CUDA_VISIBLE_DEVICES). text: as for device_open().
 *
 * -ENODEV             it sees none, there is no driver, or this build has no CUDA
 * DEVICE_E_UNUSABLE   there is one, but it or its driver does not work
 * DEVICE_E_LOST, DEVICE_E_MEMORY, -ENOMEM
 */
_must_use_ int device_cuda_open(struct device **ret_device, char *text);

#endif

/*
 * device.h: what the executor needs of the device that models run on. Two implementations:
 * device_host.c (CPU) and, where a CUDA toolkit is found, device_cuda.c.
 */
#ifndef WORKERS_DEVICE_H
#define WORKERS_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct device;

struct device_memory {
	uint64_t total_bytes;
	uint64_t free_bytes;
};

struct device_ops {
	const char *kind; /* "cpu" */
	/* Make [data, data + bytes) fit for fast copies to and from the device (page-lock it).
	 * `writable` says how it is mapped here. -ENOTSUP where the device cannot, -errno. */
	int (*pin)(struct device *d, void *data, uint64_t bytes, int writable);
	void (*unpin)(struct device *d, void *data);
	/* Synchronous copies between host memory and device memory (the same on a CPU). */
	int (*copy)(struct device *d, void *to, const void *from, uint64_t bytes);
	int (*memory)(struct device *d, struct device_memory *ret_memory);
	void (*free)(struct device *d);
};

struct device {
	const struct device_ops *ops;
};

/*
 * Open the device that a device name means: "cpu:N".
 *
 * -ENODEV  no such device, or this worker was built without its kind
 * -EINVAL  malformed name
 * -ENOMEM
 */
_must_use_ int device_open(struct device **ret_device, const char *name);
struct device *device_free(struct device *d);
DEFINE_CLEANUP(struct device *, device_free)

#endif

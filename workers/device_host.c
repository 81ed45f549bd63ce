/*
 * device_host.c: the device interface for processors: all memory is theirs already, so there is
 * nothing to pin, and a copy is memcpy. Worker process, its one thread.
 */
#include "workers/device_host.h"

#include <errno.h>
#include <string.h>

static int host_pin(struct device *d, void *data, uint64_t bytes, int writable)
{
	return 0;
}

static void host_unpin(struct device *d, void *data)
{
}

static int host_copy(struct device *d, void *to, const void *from, uint64_t bytes)
{
	if (bytes > 0)
		memcpy(to, from, bytes);
	return 0;
}

static int host_memory(struct device *d, struct device_memory *ret_memory)
{
	long page = sysconf(_SC_PAGESIZE);
	long total = sysconf(_SC_PHYS_PAGES);
	long unused = sysconf(_SC_AVPHYS_PAGES);

	if (page <= 0 || total <= 0 || unused < 0)
		return -ENOTSUP;
	ret_memory->total_bytes = (uint64_t)total * (uint64_t)page;
	ret_memory->free_bytes = (uint64_t)unused * (uint64_t)page;
	return 0;
}

static void host_free(struct device *d)
{
	free(d);
}

static const struct device_ops host_ops = {
	.kind = "cpu",
	.pin = host_pin,
	.unpin = host_unpin,
	.copy = host_copy,
	.memory = host_memory,
	.free = host_free,
};

int device_host_open(struct device **ret_device)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ops = &host_ops;
	*ret_device = d;
	return 0;
}

/*
 * device.c: from a device's name to its implementation. Worker process, its one thread.
 */
#include "workers/device.h"

#include <errno.h>
#include <string.h>

#include "workers/device_host.h"

#define DIGITS_MAX 4u

/* "KIND:N", N without leading zeros. */
static int check_name(const char *name)
{
	const char *colon = strchr(name, ':');
	size_t n;

	if (!colon || colon == name)
		return -EINVAL;
	n = strspn(colon + 1, "0123456789");
	if (n == 0 || n > DIGITS_MAX || colon[1 + n] || (n > 1 && colon[1] == '0'))
		return -EINVAL;
	return 0;
}

int device_open(struct device **ret_device, const char *name)
{
	int r = check_name(name);

	if (r)
		return r;
	if (!strncmp(name, "cpu:", 4))
		return device_host_open(ret_device);
	return -ENODEV;
}

struct device *device_free(struct device *d)
{
	if (d)
		d->ops->free(d);
	return NULL;
}

/* device_open.c: from a device's name to its implementation. Worker process, any thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/device_name.h"
#include "workers/device.h"
#include "workers/device_cuda.h"
#include "workers/device_host.h"

#define DIGITS_MAX 4u

/* N, without leading zeros. */
static bool is_number(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= DIGITS_MAX && !text[n] && (n == 1 || text[0] != '0');
}

static bool is_name(const char *name)
{
	const char *colon = strchr(name, ':'), *gpu = device_name_gpu(name);

	if (!colon || colon == name)
		return false;
	return is_number(colon + 1) || (gpu && device_name_is_uuid(gpu));
}

int device_open(struct device **ret_device, const char *name, char *text)
{
	text[0] = 0;
	if (!is_name(name)) {
		snprintf(text, DEVICE_TEXT_MAX,
			"no device is called that: cpu:N, cuda:N, cuda:GPU-uuid or cuda:MIG-uuid");
		return -EINVAL;
	}
	if (!strncmp(name, "cpu:", 4))
		return device_host_open(ret_device);
	if (device_name_gpu(name))
		return device_cuda_open(ret_device, text);
	snprintf(text, DEVICE_TEXT_MAX, "this build knows cpu:N and cuda:N");
	return -ENODEV;
}

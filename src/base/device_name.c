/* device_name.c: what devices are called. Stateless; any process, any thread. */
#include "base/device_name.h"

#include <string.h>

#define UUID_MAX 59u /* behind GPU- or MIG- */

const char *device_name_gpu(const char *device)
{
	static const char cuda[] = "cuda:";
	size_t n = sizeof(cuda) - 1;

	return strncmp(device, cuda, n) ? NULL : device + n;
}

bool device_name_is_uuid(const char *gpu)
{
	size_t n = strlen("GPU-"), length;

	if (strncmp(gpu, "GPU-", n) != 0 && strncmp(gpu, "MIG-", n) != 0)
		return false;
	length = strspn(gpu + n, "0123456789abcdefABCDEF-/");
	return length > 0 && length <= UUID_MAX && !gpu[n + length];
}

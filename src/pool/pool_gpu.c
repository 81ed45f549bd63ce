/* pool_gpu.c: which of the pool's devices somebody means who is on a GPU himself. Daemon process, loop thread. */
#include <stdio.h>
#include <string.h>

#include "base/device_name.h"
#include "pool/gpus.h"
#include "pool/pool.h"
#include "pool/pool_private.h"

/* "GPU-" or "MIG-": whoever asks CUDA for its device's UUID is not told which. */
#define PREFIX_BYTES 4u

static bool is_same(const struct pool *p, const char *device, const char *wanted)
{
	const char *gpu = device_name_gpu(device), *other = device_name_gpu(wanted);

	if (!gpu || !other)
		return false;
	if (device_name_is_uuid(gpu) && device_name_is_uuid(other))
		return !strcmp(gpu + PREFIX_BYTES, other + PREFIX_BYTES);
	return !strcmp(gpu, other) || gpus_same(p->gpus, device, wanted);
}

const char *pool_find_gpu(const struct pool *p, const char *gpu)
{
	char wanted[96];

	if ((size_t)snprintf(wanted, sizeof(wanted), "cuda:%s", gpu) >= sizeof(wanted))
		return NULL;
	for (size_t i = 0; i < p->n_devices; i++) {
		if (is_same(p, p->devices[i], wanted))
			return p->devices[i];
	}
	return NULL;
}

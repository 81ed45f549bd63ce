/* device_name.h: what devices are called: "cpu:N", "cuda:N", "cuda:GPU-uuid", "cuda:MIG-uuid". Stateless. */
#ifndef BASE_DEVICE_NAME_H
#define BASE_DEVICE_NAME_H

#include <stdbool.h>

/* What stands behind "cuda:"; NULL: it is no GPU. */
const char *device_name_gpu(const char *device);
/* "GPU-..." or "MIG-...", as the driver prints them. */
bool device_name_is_uuid(const char *gpu);

#endif

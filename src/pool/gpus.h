/*
 * gpus.h: how the GPUs of this host are, by the driver's management library, read every two seconds on
 * a thread of its own, since a call may take long and a broken GPU makes it longer. The daemon itself
 * never touches a GPU. Where there is no driver, one line of the log says so and there are none.
 */
#ifndef POOL_GPUS_H
#define POOL_GPUS_H

#include <stddef.h>

#include "base/nvml.h"

struct gpus;

/* Starts looking; returns before anything is known. -ENOMEM, -errno of the thread */
_must_use_ int gpus_new(struct gpus **ret_gpus);
/* Never waits for the library: its thread ends by itself. Accepts NULL; returns NULL. */
struct gpus *gpus_free(struct gpus *g);
/* What was seen last: fills up to `cap`, returns how many there are. Accepts NULL: none. */
size_t gpus_read(struct gpus *g, struct nvml_gpu *ret_list, size_t cap);

#endif

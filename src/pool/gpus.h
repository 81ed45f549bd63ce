/*
 * gpus.h: how the GPUs of this host are, by the driver's management library, read every two seconds on
 * a thread of its own, since a call may take long and a broken GPU makes it longer. The daemon itself
 * never touches a GPU. Where there is no driver, one line of the log says so and there are none.
 *
 * A GPU whose context was lost may need more than a new process: its recovery action says what (NVML field 230). Who
 * needs to know asks for a look, and goes on when it is answered, or when that takes too long.
 */
#ifndef POOL_GPUS_H
#define POOL_GPUS_H

#include <stddef.h>

#include "base/nvml.h"

struct gpus;

/* Starts looking; returns before anything is known. on_look, which may be NULL, is called on the thread whenever
 * all were looked at, or it turns out that nothing can be: it must not block, nor call here. `data` is borrowed, until
 * gpus_free(). -ENOMEM, -errno of the thread */
_must_use_ int gpus_new(struct gpus **ret_gpus, void (*on_look)(void *data), void *data);
/* Never waits for the library: its thread ends by itself, and calls on_look no more. Accepts NULL; returns NULL. */
struct gpus *gpus_free(struct gpus *g);
/* What was seen last: fills up to `cap`, returns how many there are. Accepts NULL: none. */
size_t gpus_read(struct gpus *g, struct nvml_gpu *ret_list, size_t cap);

/* Look at once. Returns a number for gpus_answered(). */
uint64_t gpus_ask(struct gpus *g);
/* Have all been looked at since? True also where nobody can look. */
bool gpus_answered(struct gpus *g, uint64_t look);
/* What the GPU that a worker's device means ("cuda:0", "cuda:GPU-uuid"), or is an instance of ("cuda:MIG-uuid"), has to have
 * done before it is of use again, as it was seen last: 0: nothing; NVML_UNKNOWN. Accepts NULL. */
int64_t gpus_recovery_action(struct gpus *g, const char *device);
/* Do both names mean the same GPU? False also where that is not known, and of an instance that has a UUID of its own. Accepts
 * NULL. */
bool gpus_same(struct gpus *g, const char *device, const char *other);
/* "a reset of the GPU (recovery action 1)"; "" where it is 0 or not known. */
const char *gpus_action_text(int64_t action);

#endif

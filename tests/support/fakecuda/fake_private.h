/* fake_private.h: what the files of the stand-in share. One lock guards everything. */
#ifndef FAKECUDA_FAKE_PRIVATE_H
#define FAKECUDA_FAKE_PRIVATE_H

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/fakecuda/fakecuda.h"

#define FAKE_EXPORT __attribute__((visibility("default")))

struct fake_settings {
	unsigned devices;
	bool driver;
	bool readonly;
	bool stall;
	bool meet;
	uint64_t memory_bytes;
	uint64_t copy_us;
	uint64_t kernel_us;
	char log[256];
	char ipc[256];
	char calls[256];
};

extern pthread_mutex_t fake_lock;
extern pthread_cond_t fake_changed;
extern struct fake_settings fake; /* constant between resets, but for stall */

/* Every entry point begins with FAKE_ENTER and ends with return fake_done(). */
#define FAKE_ENTER()                                                                               \
	do {                                                                                       \
		cudaError_t _error = fake_enter(__func__);                                         \
		if (_error != cudaSuccess)                                                         \
			return fake_done(_error);                                                  \
	} while (0)
/* The same of the driver. Codes that the runtime knows, too, are the same. */
#define FAKE_ENTER_DRIVER()                                                                        \
	do {                                                                                       \
		CUresult _error = (CUresult)fake_enter(__func__);                                  \
		if (_error != CUDA_SUCCESS)                                                        \
			return _error;                                                             \
	} while (0)
cudaError_t fake_enter(const char *name);
cudaError_t fake_done(cudaError_t error);
/* Of an entry point that cannot fail. */
void fake_called(const char *name);
/* From now on everything fails with it. Lock held or not. */
void fake_stick(cudaError_t error);
cudaError_t fake_stuck(void);
/* The number of the GPU that ordinal `device` means, or -1. */
int fake_visible(int device);
void fake_log(const void *stream, const char *what, const char *name);

/* Memory; the lock is held. */
void fake_memory_reset(void);
cudaError_t fake_memory_alloc(void **ret_data, size_t bytes);
cudaError_t fake_memory_free(void *data);
uint64_t fake_memory_used(void);
/* Where [data, data + bytes) of the device can be touched; NULL: it is not device memory, or may not be used so. */
void *fake_memory_alias(const void *data, size_t bytes, bool writing);
bool fake_is_device(const void *data);
/* The block of this process's that begins there: where it lies in its memory. */
bool fake_memory_block(const void *data, uint64_t *ret_at, uint64_t *ret_bytes);

/* Memory of other processes (fake_ipc.c); the lock is held. */
void fake_ipc_reset(void);
/* The file that this process's memory is to be. -1 */
int fake_ipc_file(void);
/* As fake_memory_alias(). */
void *fake_ipc_alias(const void *data, size_t bytes);

/* The driver's virtual memory (fake_vmm.c); the lock is held. */
void fake_vmm_reset(void);
bool fake_vmm_is(const void *data);
/* As fake_memory_alias(). */
void *fake_vmm_alias(const void *data, size_t bytes, bool writing);
/* The mapping that it lies in. */
bool fake_vmm_range(const void *data, unsigned long long *ret_base, size_t *ret_bytes);
/* The GPU whose it is, as this process counts them; -1 */
int fake_vmm_ordinal(const void *data);

enum fake_host { FAKE_PAGEABLE, FAKE_PINNED, FAKE_PINNED_READ_ONLY, FAKE_CROSSES };
enum fake_host fake_host_kind(const void *data, size_t bytes);

void fake_streams_reset(void);
/* Waits until no stream has work. The lock is held, and released meanwhile. */
void fake_streams_settle(void);

/* A kernel: what it does with its arguments, of which device pointers are to be resolved. */
struct fake_kernel {
	const char *name;
	unsigned n_arguments;
	unsigned sizes[8];
	void (*run)(const void *const *arguments);
};
const struct fake_kernel *fake_kernel_find(const char *name);

#endif

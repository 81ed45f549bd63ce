/* kserve_cuda.h: memory on GPUs that clients register by its handle. */
#ifndef SERVICES_KSERVE_CUDA_H
#define SERVICES_KSERVE_CUDA_H

#include <stddef.h>
#include <stdint.h>

struct call;
struct key_region;

/* A registration that waits for what a worker says of the handle. */
struct kserve_cuda_wait {
	struct call *call; /* borrow */
	struct key_region *
		region; /* borrow: registered, and found by nobody yet; NULL: it waits for nothing */
};

/* As in struct method. */
void kserve_cuda_register(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_cuda_register_close(struct call *c, void *state);
void kserve_cuda_unregister(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_cuda_status(struct call *c, void *state, const uint8_t *data, size_t n);

#endif

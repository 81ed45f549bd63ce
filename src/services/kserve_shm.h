/* kserve_shm.h: regions of shared memory by key. */
#ifndef SERVICES_KSERVE_SHM_H
#define SERVICES_KSERVE_SHM_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_system_register(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_system_unregister(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_system_status(struct call *c, void *state, const uint8_t *data, size_t n);

#endif

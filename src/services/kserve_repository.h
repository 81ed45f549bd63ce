/* kserve_repository.h: what the repository has, loading and unloading. */
#ifndef SERVICES_KSERVE_REPOSITORY_H
#define SERVICES_KSERVE_REPOSITORY_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_repository_index(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_repository_model_load(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n);

#endif

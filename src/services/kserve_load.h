/* kserve_load.h: RepositoryModelLoad and RepositoryModelUnload. */
#ifndef SERVICES_KSERVE_LOAD_H
#define SERVICES_KSERVE_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "models/lifecycle.h"
#include "proto/wire.h"

struct call;

/* A call that waits. */
struct kserve_load {
	struct lifecycle_wait wait;
	struct call *call;	      /* borrow */
	char name[WIRE_NAME_MAX + 1]; /* of the model, for what is said of it */
};

/* As in struct method. */
void kserve_repository_model_load(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_load_close(struct call *c, void *state);

#endif

/* kserve_load.h: RepositoryModelLoad and RepositoryModelUnload. */
#ifndef SERVICES_KSERVE_LOAD_H
#define SERVICES_KSERVE_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "models/lifecycle.h"
#include "proto/wire.h"
#include "services/kserve_upload.h"

struct call;

/* A call that waits. */
struct kserve_load {
	struct lifecycle_wait wait;
	struct call *call;	      /* borrow */
	char name[WIRE_NAME_MAX + 1]; /* of the model, for what is said of it */
	struct kserve_upload upload;  /* of a load: its message */
};

/* As in struct method. */
void kserve_load_message_begin(struct call *c, void *state, uint64_t length);
size_t kserve_load_message_data(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_load_message_end(struct call *c, void *state);
void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_load_close(struct call *c, void *state);

#endif

/* model_registry_get.h: GetOrLoadModel. */
#ifndef SERVICES_MODEL_REGISTRY_GET_H
#define SERVICES_MODEL_REGISTRY_GET_H

#include <stddef.h>
#include <stdint.h>

#include "models/lifecycle.h"
#include "proto/wire.h"
#include "services/model_handles.h"

struct call;
struct overlay;

/* A call that may wait. */
struct model_registry_get {
	struct lifecycle_wait wait;
	struct call *call;	 /* borrow */
	struct overlay *overlay; /* ref: config; NULL: there is none */
	uint64_t asked_ns;
	char name[WIRE_NAME_MAX + 1]; /* of the model ... */
	char version[32];	      /* ... and "" or a number */
	char device[128];	      /* "": any */
	char session[MODEL_SESSION_MAX + 1];
};

/* As in struct method. */
void model_registry_get(struct call *c, void *state, const uint8_t *data, size_t n);
void model_registry_get_close(struct call *c, void *state);

#endif

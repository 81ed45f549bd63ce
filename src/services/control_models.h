/* control_models.h: LoadModel, UnloadModel and ReloadModel of the control service. */
#ifndef SERVICES_CONTROL_MODELS_H
#define SERVICES_CONTROL_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "models/lifecycle.h"

struct call;

/* A call that waits. */
struct control_waiter {
	struct lifecycle_wait wait;
	struct call *call; /* borrow */
};

void control_load_message(struct call *c, void *state, const uint8_t *data, size_t n);
void control_unload_message(struct call *c, void *state, const uint8_t *data, size_t n);
void control_reload_message(struct call *c, void *state, const uint8_t *data, size_t n);
void control_models_close(struct call *c, void *state);

#endif

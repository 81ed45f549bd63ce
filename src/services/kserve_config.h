/* kserve_config.h: a model's configuration, completed from its declaration. */
#ifndef SERVICES_KSERVE_CONFIG_H
#define SERVICES_KSERVE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_model_config(struct call *c, void *state, const uint8_t *data, size_t n);

#endif

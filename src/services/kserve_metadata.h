/* kserve_metadata.h: how the server and its models are, and what they take. */
#ifndef SERVICES_KSERVE_METADATA_H
#define SERVICES_KSERVE_METADATA_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_server_live(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_server_ready(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_model_ready(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_server_metadata(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_model_metadata(struct call *c, void *state, const uint8_t *data, size_t n);

#endif

/*
 * holding.h: what workers have of models (struct holding), and what is counted of that: on how many workers a model is ready,
 * on how many it may become so. For src/pool alone.
 */
#ifndef POOL_HOLDING_H
#define POOL_HOLDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/pool_private.h"

/* What w has, or could have, of m; NULL: w is another one's own, or nobody's. */
struct holding *pool_holding(struct pool_model *m, const struct worker *w);
/* The same for each worker that serves and may hold m, from number *i on. Returns NULL after the last. */
struct holding *pool_next_holding(struct pool_model *m, size_t *i, struct worker **ret_worker);
/* Is it meant for the device? */
bool pool_model_on(const struct pool_model *m, const char *device);
/* Is the device one to fall back to? */
bool pool_model_falls_to(const struct pool_model *m, const char *device);
/* That each worker of the device, or, of a program, the device is to have of it; 0: as it finds best. */
uint32_t pool_model_instances(const struct pool_model *m, const char *device);
/* The same, as lanes of one process. */
uint32_t pool_model_lanes(const struct pool_model *m, const char *device);
/* Nothing is held yet. h: zeroed */
void holding_init(struct holding *h, struct pool_model *m, const char *device);
/* NULL: there is no such model. */
struct pool_model *pool_find_model(struct pool *p, uint32_t id);
struct breaker *pool_breaker(struct pool_model *m, uint32_t device_index);
/* on_model, or on_model_gone, is due. */
void pool_model_changed(struct pool_model *m);
/* Call them. */
void pool_tell_models(struct pool *p);
/* The one setter of holding.state; counts. */
void pool_set_holding(struct pool_model *m, struct worker *w, enum holding_state state);
/* Something about a worker has changed, or about all: count its models anew. */
void pool_recount(struct pool *p, struct worker *w);
void pool_recount_all(struct pool *p);
/* The same of one model's, and of those on a device. */
void pool_recount_model(struct pool_model *m);
void pool_recount_device(struct pool_model *m, uint32_t device_index);
/* w has loaded the model, or failed to: note how it is declared, or why. Returns whether w may keep it. */
bool pool_loaded(struct pool_model *m, const struct worker *w, const struct wire_loaded *l);

#endif

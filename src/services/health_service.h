/*
 * health_service.h: grpc.health.v1.Health: Check, Watch, List. Names: "" (the whole server), every
 * service and every model. A watcher hears of each change once, the newest state when it reads
 * slowly.
 */
#ifndef SERVICES_HEALTH_SERVICE_H
#define SERVICES_HEALTH_SERVICE_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "grpc/service.h"

struct health;
struct version;
struct services;

extern const struct service health_service;

/* x is borrowed for the health's life. -ENOMEM */
_must_use_ int health_new(struct health **ret_health, struct services *x);
/* No watcher may be left (asserted). Accepts NULL; returns NULL. */
struct health *health_free(struct health *h);
DEFINE_CLEANUP(struct health *, health_free)

/* Start-up is over (or not): "" and the services may be SERVING. Watchers are told before it
 * returns. */
void health_set_serving(struct health *h, bool serving);
/* The server drains: everything is NOT_SERVING for good. */
void health_set_draining(struct health *h);
/* Start-up is over and the server does not drain. */
bool health_serving(const struct health *h);
/* Readiness of a model changed, or it came, or went. */
void health_model_changed(struct health *h, const struct version *v);

#endif

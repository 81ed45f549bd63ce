/*
 * health.h: how the server, its services and its models are, as grpc.health.v1 has it. Names: "" (the
 * whole server), every service and every model.
 *
 *   ""       SERVING from the end of start-up while every model is ready (strict_readiness) or
 *            at least one is, or there is none at all
 *   service  SERVING from the end of start-up
 *   model    SERVING while a worker that holds it is ready, unless all of its instances have been busy with one batch
 *            for much longer than usual
 * Draining ends all of it.
 *
 * Who watches a name is told in health_flush(), once a turn, whatever happened in it, and only when
 * it is another status. A change costs what it changed: the model's watchers, and those of "".
 */
#ifndef SERVICES_HEALTH_H
#define SERVICES_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct health;
struct health_topic;
struct services;
struct version;

enum health_status {
	HEALTH_UNKNOWN, /* there is nothing of that name */
	HEALTH_NOT_SERVING,
	HEALTH_SERVING,
};

/* x is borrowed for the health's life. -ENOMEM */
_must_use_ int health_new(struct health **ret_health, const struct services *x);
/* No watch may be left (asserted). Accepts NULL; returns NULL. */
struct health *health_free(struct health *h);
DEFINE_CLEANUP(struct health *, health_free)

/* Start-up is over (or not). Watches are told before it returns. */
void health_set_serving(struct health *h, bool serving);
/* The server drains: everything is NOT_SERVING for good. Every watch is told before it returns. */
void health_set_draining(struct health *h);
/* Start-up is over and the server does not drain. */
bool health_serving(const struct health *h);
bool health_draining(const struct health *h);
/* Readiness of a model changed, or it came, or it is going. Watches are told by health_flush(). */
void health_model_changed(struct health *h, const struct version *v);
/* Tell watches what has changed since. Once a loop iteration. */
void health_flush(struct health *h);

enum health_status health_status(struct health *h, const char *name);

/* Embedded by who watches a name. */
struct health_watch {
	struct list node;
	struct health_topic *topic; /* borrow; NULL: it watches nothing */
	/* It is another status, or the server drains. May end this watch and others. */
	void (*on_status)(struct health_watch *w);
};

/* Begin to watch; on_status must be filled in, and is not called before this returns. -ENOMEM */
_must_use_ int health_watch(struct health *h, struct health_watch *w, const char *name);
/* Harmless when it watches nothing (zeroed). */
void health_unwatch(struct health_watch *w);
/* The status that it is told of. */
enum health_status health_watched(const struct health_watch *w);

/* Models and watches looked at so far, to count what a change costs. */
uint64_t health_visits(const struct health *h);

#endif

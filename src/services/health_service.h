/*
 * health_service.h: grpc.health.v1.Health: Check, Watch, List. A watcher hears of each change once,
 * the newest state when it reads slowly.
 */
#ifndef SERVICES_HEALTH_SERVICE_H
#define SERVICES_HEALTH_SERVICE_H

#include "grpc/service.h"

extern const struct service health_service;

#endif

/*
 * model_worker_service.h: remotemedia.model_registry.v1.ModelWorkerService: Infer, InferStream,
 * HealthCheck, GetStatus. docs/services.md says what they promise.
 */
#ifndef SERVICES_MODEL_WORKER_SERVICE_H
#define SERVICES_MODEL_WORKER_SERVICE_H

#include "grpc/service.h"

extern const struct service model_worker_service;

#endif

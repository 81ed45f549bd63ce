/*
 * model_registry_service.h: remotemedia.model_registry.v1.ModelRegistryService: clients have models loaded, and hold them
 * by handles. docs/services.md says what it promises.
 */
#ifndef SERVICES_MODEL_REGISTRY_SERVICE_H
#define SERVICES_MODEL_REGISTRY_SERVICE_H

#include "grpc/service.h"

extern const struct service model_registry_service;

#endif

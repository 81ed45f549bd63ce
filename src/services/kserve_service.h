/* kserve_service.h: inference.GRPCInferenceService: KServe's version 2 protocol with Triton's extensions. */
#ifndef SERVICES_KSERVE_SERVICE_H
#define SERVICES_KSERVE_SERVICE_H

#include "grpc/service.h"

extern const struct service kserve_service;

#endif

/* reflection_service.h: grpc.reflection.v1 and v1alpha: clients without .proto files learn what is served. */
#ifndef SERVICES_REFLECTION_SERVICE_H
#define SERVICES_REFLECTION_SERVICE_H

#include "grpc/service.h"

extern const struct service reflection_service;
/* The same under its older name. */
extern const struct service reflection_v1alpha_service;

#endif

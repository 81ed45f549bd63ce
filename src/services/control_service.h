/* control_service.h: modeld.control.v1.Control: GetServerStatus, what `modelctl status` shows. */
#ifndef SERVICES_CONTROL_SERVICE_H
#define SERVICES_CONTROL_SERVICE_H

#include "grpc/service.h"

extern const struct service control_service;

#endif

/* control_service.h: modeld.control.v1.Control: GetServerStatus, what `modelctl status` shows. */
#ifndef FRONTEND_CONTROL_SERVICE_H
#define FRONTEND_CONTROL_SERVICE_H

#include "frontend/service.h"

extern const struct method control_methods[]; /* ends with path NULL */

#endif

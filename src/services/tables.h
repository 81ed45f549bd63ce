/* tables.h: every service that modeld offers. */
#ifndef SERVICES_TABLES_H
#define SERVICES_TABLES_H

#include "grpc/service.h"

/* NULL-terminated. */
const struct service *const *service_list(void);

#endif

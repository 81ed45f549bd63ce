/* tables.h: every service that modeld offers. */
#ifndef SERVICES_TABLES_H
#define SERVICES_TABLES_H

struct method;

/* The arrays of all services, NULL-terminated. */
const struct method *const *service_tables(void);
/* Full names of all services ("grpc.health.v1.Health"), NULL-terminated: health and, later,
 * reflection use it. */
const char *const *service_names(void);

#endif

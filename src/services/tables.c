/* tables.c: every service that modeld offers. Daemon process, loop thread. */
#include "services/tables.h"

#include <stddef.h>

#include "services/control_service.h"
#include "services/health_service.h"
#include "services/model_worker_service.h"

/* A new service adds its methods here and its name below. */
const struct method *const *service_tables(void)
{
	static const struct method *const tables[] = {
		model_worker_methods,
		health_methods,
		control_methods,
		NULL,
	};

	return tables;
}

const char *const *service_names(void)
{
	static const char *const names[] = {
		"remotemedia.model_registry.v1.ModelWorkerService",
		"grpc.health.v1.Health",
		"modeld.control.v1.Control",
		NULL,
	};

	return names;
}

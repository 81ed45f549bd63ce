/* tables.c: every service that modeld offers. Const. */
#include "services/tables.h"

#include "services/control_service.h"
#include "services/health_service.h"
#include "services/kserve_service.h"
#include "services/model_registry_service.h"
#include "services/model_worker_service.h"
#include "services/reflection_service.h"

/* A new service adds itself here. */
const struct service *const *service_list(void)
{
	static const struct service *const list[] = {
		&model_worker_service,
		&model_registry_service,
		&kserve_service,
		&health_service,
		&control_service,
		&reflection_service,
		&reflection_v1alpha_service,
		NULL,
	};

	return list;
}

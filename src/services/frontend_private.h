/* frontend_private.h: for tests of what frontend.c wires together. */
#ifndef SERVICES_FRONTEND_PRIVATE_H
#define SERVICES_FRONTEND_PRIVATE_H

#include "grpc/service.h"
#include "services/frontend.h"

/* frontend_new() with other services, NULL-terminated. */
_must_use_ int frontend_new_with(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data, const struct service *const *list);

#endif

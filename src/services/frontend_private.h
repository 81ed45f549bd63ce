/* frontend_private.h: for frontend.c and the tests of what it wires together. */
#ifndef SERVICES_FRONTEND_PRIVATE_H
#define SERVICES_FRONTEND_PRIVATE_H

#include "grpc/service.h"
#include "services/frontend.h"

/* frontend_new() with other services: tables as in service_tables(). */
_must_use_ int frontend_new_with(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data, const struct method *const *tables);
/* Take a connected socket as if a listener had accepted it. Returns false when it was refused (and
 * closed). */
bool frontend_adopt(struct frontend *f, int fd, bool is_unix);

#endif

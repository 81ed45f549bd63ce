/* server_status.h: the daemon's status message, fetched. */
#ifndef CLIENTS_MODELCTL_SERVER_STATUS_H
#define CLIENTS_MODELCTL_SERVER_STATUS_H

#include "clients/modelctl/modelctl.h"
#include "proto/control.pb-c.h"

/* 0, or an exit code after saying what failed. The caller frees *ret_status. */
_must_use_ int server_status_fetch(const struct modelctl *m, struct grpc_client *c,
	Modeld__Control__V1__ServerStatusResponse **ret_status);
/* Accepts NULL. */
void server_status_free(Modeld__Control__V1__ServerStatusResponse *s);
DEFINE_CLEANUP(Modeld__Control__V1__ServerStatusResponse *, server_status_free)

#endif

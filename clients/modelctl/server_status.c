/* server_status.c: the daemon's status message, fetched. modelctl, one thread. */
#include "clients/modelctl/server_status.h"

#define STATUS_PATH "/modeld.control.v1.Control/GetServerStatus"
#define STATUS_MAX  (64u * 1024u * 1024u)

int server_status_fetch(const struct modelctl *m, struct grpc_client *c,
	Modeld__Control__V1__ServerStatusResponse **ret_status)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = STATUS_MAX};
	int r = modelctl_call(m, c, STATUS_PATH, NULL, 0, &reply);

	if (r)
		return r;
	*ret_status =
		modeld__control__v1__server_status_response__unpack(NULL, reply.len, reply.data);
	return *ret_status ? 0 : modelctl_fail(MODELCTL_FAILED, "the status reply is malformed");
}

void server_status_free(Modeld__Control__V1__ServerStatusResponse *s)
{
	modeld__control__v1__server_status_response__free_unpacked(s, NULL);
}

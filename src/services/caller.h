/* caller.h: who makes a gRPC call, as inferences want to know it. */
#ifndef SERVICES_CALLER_H
#define SERVICES_CALLER_H

#include <stdbool.h>

#include "dispatch/origin.h"
#include "grpc/call.h"

/* Of the message that is being received, or was last. Valid as long as the call. */
struct origin caller_origin(const struct call *c);
/* By a Unix socket, whose permissions say who may, or from this host. */
bool caller_is_local(const struct call *c);

#endif

/* caller.c: who makes a gRPC call. Daemon process, loop thread. */
#include "services/caller.h"

#include "base/peer.h"

struct origin caller_origin(const struct call *c)
{
	return (struct origin){
		.client = call_connection(c),
		.peer = call_peer(c),
		.deadline_ns = call_deadline_ns(c),
		.received_ns = call_received_ns(c),
		.traceparent = call_traceparent(c),
		.tracestate = call_tracestate(c),
	};
}

bool caller_is_local(const struct call *c)
{
	const struct peer *p = call_peer(c);

	return p->uid >= 0 || p->loopback;
}

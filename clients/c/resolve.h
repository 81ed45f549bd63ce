/* resolve.h: the name of a host, looked up for no longer than the caller has time. */
#ifndef CLIENTS_C_RESOLVE_H
#define CLIENTS_C_RESOLVE_H

#include <netdb.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * Addresses of host and port (a number) for SOCK_STREAM; *ret_found: freeaddrinfo(). Waits until deadline_ns at the
 * latest (CLOCK_NO_DEADLINE: as long as the resolver does).
 *
 * -EHOSTUNREACH  there is no such name, or nobody who knows
 * -ETIMEDOUT     the resolver goes on by itself, on a thread that ends with it
 * -ENOMEM, -EAGAIN (no thread can be had)
 */
_must_use_ int resolve_host(
	struct addrinfo **ret_found, const char *host, const char *port, uint64_t deadline_ns);

#endif

/* connect.h: a client's socket: address text -> connected, non-blocking descriptor. */
#ifndef CLIENTS_C_CONNECT_H
#define CLIENTS_C_CONNECT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/places.h"

/* The first of them where somebody listens, or the last, which is not tried. Does not wait. */
const char *connect_first(const struct places *p);
/*
 * Connect to "host:port", "[ipv6]:port" or "unix:/path"; of a host as connect_any().
 * ret_local: it is a Unix socket. text (cap bytes): a sentence when it fails.
 *
 * -EINVAL, -EHOSTUNREACH (name not found), -ETIMEDOUT, -errno of the last attempt
 */
_must_use_ int connect_address(int *ret_fd, bool *ret_local, const char *address,
	uint64_t deadline_ns, char *text, size_t cap);
/*
 * Connect to the first of these that answers: the next is tried when the one before has failed, or has not answered
 * for a quarter of a second, and goes on (RFC 8305). Of more than 16 the rest is not tried. The descriptor is non-blocking.
 *
 * -ETIMEDOUT, -errno of the last that failed
 */
_must_use_ int connect_any(int *ret_fd, const struct addrinfo *addresses, uint64_t deadline_ns);
/* Connect to the SOCK_SEQPACKET socket at path; the descriptor is blocking. Errors as above. */
_must_use_ int connect_seqpacket(
	int *ret_fd, const char *path, uint64_t deadline_ns, char *text, size_t cap);
/* Wait for poll events on fd until deadline_ns. 0; -ETIMEDOUT; -errno */
_must_use_ int connect_wait(int fd, short events, uint64_t deadline_ns);

#endif

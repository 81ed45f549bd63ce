/* inet_bind.h: a TCP socket's address, as a server takes it. */
#ifndef BASE_INET_BIND_H
#define BASE_INET_BIND_H

#include "base/address.h"
#include "base/cleanup.h"

/* Bind fd, a socket of the address's family (IPv4 or IPv6): past what is left of earlier connections, and
 * IPv6 alone where it is IPv6. -errno */
_must_use_ int inet_bind(int fd, const struct address *a);

#endif

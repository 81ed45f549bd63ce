/* peer.h: who is at the other end of a connected socket. */
#ifndef BASE_PEER_H
#define BASE_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct peer {
	struct address address; /* n_socket 0: not known */
	int64_t uid;		/* of the process, by a Unix socket; -1: not known */
	bool loopback;		/* TCP from this host */
};

/* Ask the kernel. What it does not tell is not known. */
void peer_ask(struct peer *p, int fd);

#endif

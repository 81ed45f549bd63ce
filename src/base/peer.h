/* peer.h: who is at the other end of a connected socket. */
#ifndef BASE_PEER_H
#define BASE_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct peer {
	struct address address; /* n_socket 0: not known */
	int64_t uid;		/* of the process, by a Unix socket; -1: not known */
	int32_t pid;		/* of the process, at the moment of connecting; 0: not known */
	bool loopback;		/* TCP from this host */
	int64_t user; /* uid, or that of a loopback connection's other end; -1: not known */
};

#define PEER_TEXT_MAX ADDRESS_TEXT_MAX

/* Ask the kernel. What it does not tell is not known. */
void peer_ask(struct peer *p, int fd);
/* For the log: "192.0.2.1:41234", "uid:1000,pid:4711" (by a Unix socket), "?" where nothing is known. Returns
 * out. */
const char *peer_format(const struct peer *p, char out[PEER_TEXT_MAX]);

#endif

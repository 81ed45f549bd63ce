/*
 * peer_log.h: lines that peers can provoke. A peer gets a few at once and some a minute then, and all
 * peers together have a limit, too, so that nobody can fill a disk or push others' lines out by what he does
 * wrong; what is left out is counted and told with the next line.
 *
 * A peer is an address (of IPv6 its /64, whatever the port) or, by a Unix socket, a user. A fixed table:
 * peers may fall into one place of it and share what that has.
 */
#ifndef BASE_PEER_LOG_H
#define BASE_PEER_LOG_H

#include <stdint.h>

#include "base/peer.h"

#define PEER_LOG_PLACES	  256u
#define PEER_LOG_TEXT_MAX (PEER_TEXT_MAX + 40u)

/* Lines that may be written: a bucket that fills again. */
struct peer_log_bucket {
	uint64_t full_ns; /* when it is full again */
	uint64_t left_out;
};

/* Zeroed: nothing was written yet. */
struct peer_log {
	struct peer_log_bucket places[PEER_LOG_PLACES];
	struct peer_log_bucket all;
};

/* NULL: the line that the caller has about p is to be left out. Else who it is, for "client=%s":
 * "192.0.2.1:41234"; where lines were left out before, "192.0.2.1:41234 left_out=17". Returns out. */
const char *peer_log_who(
	struct peer_log *l, const struct peer *p, uint64_t now_ns, char out[PEER_LOG_TEXT_MAX]);

#endif

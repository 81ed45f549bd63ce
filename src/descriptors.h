/*
 * descriptors.h: what RLIMIT_NOFILE allows, and who may take how much of it, so that a worker that
 * died can always be started again, however many connections and regions clients have.
 */
#ifndef MODELD_DESCRIPTORS_H
#define MODELD_DESCRIPTORS_H

#include <stdint.h>

#include "base/cleanup.h"

struct config;

/* Raise the soft limit to the hard one. Returns the one in effect. */
uint64_t descriptors_raise(void);
/*
 * Keep what the daemon and its workers need. Where the rest is less than the limits of connections and regions allow
 * together, they are lowered to shares of it, of which each has what others leave; that is logged. -EMFILE: there is
 * no rest (logged, too)
 */
_must_use_ int descriptors_share(struct config *config, uint64_t limit);

#endif

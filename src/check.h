/* check.h: what would keep the daemon from starting, besides what its configuration says by itself: for --check. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

#include "base/cleanup.h"
#include "config.h"

/*
 * Addresses that can be listened on, groups that exist, a runtime directory, a worker program: each that is not so is a line
 * on `out`. What another process has (an address in use) is a line, too, but no fault: it may be this daemon, running.
 * Returns how many faults there are. Creates nothing that stays.
 */
_must_use_ unsigned check_surroundings(const struct config *c, FILE *out);

#endif

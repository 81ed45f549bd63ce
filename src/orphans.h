/*
 * orphans.h: children that the daemon never asked for. As process 1 of a container, as a child
 * subreaper, or after an exec by a shell that had children, it is given strangers: they are waited
 * for, or they would stay zombies.
 */
#ifndef MODELD_ORPHANS_H
#define MODELD_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Wait for each child that has ended and that is_ours(data, pid) says no to; does not block. Returns
 * true when one of ours was in the way, behind which there may be more: call again when its owner has
 * waited for it.
 */
bool orphans_reap(bool (*is_ours)(void *data, pid_t pid), void *data);

#endif

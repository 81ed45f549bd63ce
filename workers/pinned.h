/*
 * pinned.h: the mappings of this process that its device may read or write without another copy:
 * segments and regions, registered whole when they are mapped. No tensor lies across two of them,
 * so a copy is always wholly inside of one or outside of all. What cannot be registered is staged
 * (transfer.h); that is said once.
 *
 * Worker process. Any thread may ask; one at a time adds and removes.
 */
#ifndef WORKERS_PINNED_H
#define WORKERS_PINNED_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/device.h"

struct pinned;

/* The device is borrowed. On a host nothing is ever kept: everything is pinned there. -ENOMEM */
_must_use_ int pinned_new(struct pinned **ret_pinned, struct device *d);
/* Unregisters what is left. Accepts NULL; returns NULL. */
struct pinned *pinned_free(struct pinned *p);
DEFINE_CLEANUP(struct pinned *, pinned_free)

/*
 * [data, data + bytes) was mapped here. 0 also where the device does not take it: it is staged then.
 * Only what ends the process is an error: a fatal result of device.h.
 */
_must_use_ int pinned_add(struct pinned *p, void *data, uint64_t bytes, enum device_access access);
/* It is about to be unmapped; no copy from or to it is under way. Not added is as good. */
void pinned_remove(struct pinned *p, const void *data);
/* May the device copy [data, data + bytes) directly? */
bool pinned_has(struct pinned *p, const void *data, uint64_t bytes);

#endif

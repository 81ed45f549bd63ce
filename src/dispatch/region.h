/*
 * region.h: memory of a local client that requests may name, as dispatch sees it. Made by the
 * handoff, or on a GPU by a service, named by requests, mapped by workers; the daemon itself never maps it.
 *
 * References: the handoff holds one while the region is registered, each request that names it
 * one. With the last one the workers are told to unmap it, and on_gone follows when no process of
 * ours can touch it any more.
 */
#ifndef DISPATCH_REGION_H
#define DISPATCH_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/span.h"

struct region;
struct region_desk;

/*
 * k: dispatch_regions(). fd: a checked and sealed memfd of `size` bytes; the region owns it from here on, also when this
 * fails. on_gone(data, fd) comes once, from the loop, after the last reference went, and owns fd: closing it may take long
 * (pool_dispose()).
 * -ENOMEM
 */
_must_use_ int region_new(struct region **ret_region, struct region_desk *k, int fd, uint64_t size,
	bool writable, void (*on_gone)(void *data, int fd), void *data);
/*
 * Memory of a client's on a GPU: `handle`, WIRE_HANDLE_BYTES, is copied; `device`, a worker's ("cuda:0"), is borrowed. It can be read and
 * written by workers of that device that take such memory. on_gone(data, -1).
 * -ENOMEM
 */
_must_use_ int region_new_on_device(struct region **ret_region, struct region_desk *k,
	const char *device, const uint8_t *handle, uint64_t size,
	void (*on_gone)(void *data, int fd), void *data);
/*
 * The same by a descriptor that it was exported to (cuMemExportToShareableHandle()), as it came from the client: the region owns it from
 * here on, also when this fails, and on_gone has it again. Without `writable` it can only be read.
 * -ENOMEM
 */
_must_use_ int region_new_exported(struct region **ret_region, struct region_desk *k,
	const char *device, int fd, uint64_t size, bool writable,
	void (*on_gone)(void *data, int fd), void *data);
/*
 * Ask one of them whether it can have it: on_tried(on_gone's data, e, why) as pool_memory_try() once, from the loop, unless the last reference
 * goes before.
 * -ENODEV: there is none now
 */
_must_use_ int region_try(struct region *r, void (*on_tried)(void *data, int e, const char *why));
struct region *region_ref(struct region *r);
/* Accepts NULL; returns NULL. */
struct region *region_unref(struct region *r);
DEFINE_CLEANUP(struct region *, region_unref)

uint64_t region_size(const struct region *r);
bool region_writable(const struct region *r);
/* Where it can be used alone; NULL: everywhere. */
const char *region_device(const struct region *r);
/* on_gone's. */
void *region_data(const struct region *r);
/* [offset, offset + length) as a span. -ERANGE where it is not wholly inside. */
_must_use_ int region_span(
	const struct region *r, uint64_t offset, uint64_t length, struct span *ret_span);

#endif

/*
 * region.c: memory of a local client: a descriptor, its size, and the pool's name for it. It is never
 * mapped here.
 *
 * Invariant: with references the pool knows it; without, it waits for the pool's on_gone. Daemon process, loop thread.
 */
#include "dispatch/region.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/region_private.h"
#include "pool/pool.h"

struct region {
	struct region_desk *desk;  /* borrow: outlives all regions */
	struct pool_memory *known; /* own; NULL: freed, on_gone is due */
	uint32_t refs;
	int fd;		    /* own; -1: it is on a GPU, and has a handle */
	const char *device; /* borrow; NULL: it is on the host */
	uint64_t handle[WIRE_HANDLE_WORDS];
	void (*on_tried)(void *data, int e, const char *why);
	uint64_t id;
	uint64_t size;
	bool writable;
	void (*on_gone)(void *data, int fd);
	void *data; /* borrow: on_gone's */
};

static void on_gone(void *data)
{
	struct region *r = data;
	struct region_desk *k = r->desk;

	r->on_gone(r->data, steal_fd(&r->fd));
	free(r);
	assert(k->n > 0);
	k->n--;
	k->on_gone(k->data);
}

/* One that nobody knows of yet. Owns fd, also where it cannot be made. */
static struct region *blank_region(struct region_desk *k, int fd, uint64_t size,
	void (*on_region_gone)(void *data, int fd), void *data)
{
	struct region *r = calloc(1, sizeof(*r));

	if (r)
		*r = (struct region){
			.desk = k,
			.refs = 1,
			.fd = fd,
			.id = WIRE_REGION_BIT | ++k->last_id,
			.size = size,
			.on_gone = on_region_gone,
			.data = data,
		};
	else
		close_fd(&fd);
	return r;
}

/* The pool knows it, unless it failed to: then it is freed. Returns that. */
static int begin(struct region *r, int e, struct region **ret_region)
{
	if (e) {
		close_fd(&r->fd);
		free(r);
		return e;
	}
	r->desk->n++;
	*ret_region = r;
	return 0;
}

int region_new(struct region **ret_region, struct region_desk *k, int fd, uint64_t size,
	bool writable, void (*on_region_gone)(void *data, int fd), void *data)
{
	struct region *r = blank_region(k, fd, size, on_region_gone, data);
	int e;

	if (!r)
		return -ENOMEM;
	r->writable = writable;
	e = pool_memory_new(&r->known, k->pool, r->id, fd, size, writable, on_gone, r);
	return begin(r, e, ret_region);
}

/* Make the pool know it. Frees it on failure. */
static int import(struct region *r, const char *device, const struct pool_import *how,
	struct region **ret_region)
{
	int e = pool_memory_import(&r->known, r->desk->pool, r->id, how, on_gone, r);

	r->device = device;
	r->writable = how->writable;
	return begin(r, e, ret_region);
}

int region_new_on_device(struct region **ret_region, struct region_desk *k, const char *device,
	const uint8_t *handle, uint64_t size, void (*on_region_gone)(void *data, int fd),
	void *data)
{
	struct region *r = blank_region(k, -1, size, on_region_gone, data);

	if (!r)
		return -ENOMEM;
	memcpy(r->handle, handle, sizeof(r->handle));
	return import(r, device,
		&(struct pool_import){
			.handle = r->handle, .fd = -1, .size = size, .writable = true},
		ret_region);
}

int region_new_exported(struct region **ret_region, struct region_desk *k, const char *device,
	int fd, uint64_t size, bool writable, void (*on_region_gone)(void *data, int fd),
	void *data)
{
	struct region *r = blank_region(k, fd, size, on_region_gone, data);

	if (!r)
		return -ENOMEM;
	return import(r, device,
		&(struct pool_import){.fd = fd, .size = size, .writable = writable}, ret_region);
}

static void on_tried(void *data, int e, const char *why)
{
	struct region *r = data;

	r->on_tried(r->data, e, why);
}

int region_try(struct region *r, void (*on_region_tried)(void *data, int e, const char *why))
{
	r->on_tried = on_region_tried;
	return pool_memory_try(r->known, r->device, on_tried);
}

const char *region_device(const struct region *r)
{
	return r->device;
}

struct region *region_ref(struct region *r)
{
	assert(r->refs > 0);
	r->refs++;
	return r;
}

struct region *region_unref(struct region *r)
{
	if (!r)
		return NULL;
	assert(r->refs > 0);
	if (--r->refs == 0)
		pool_memory_free(steal_ptr(r->known));
	return NULL;
}

uint64_t region_size(const struct region *r)
{
	return r->size;
}

bool region_writable(const struct region *r)
{
	return r->writable;
}

void *region_data(const struct region *r)
{
	return r->data;
}

int region_span(const struct region *r, uint64_t offset, uint64_t length, struct span *ret_span)
{
	if (offset > r->size || length > r->size - offset)
		return -ERANGE;
	*ret_span = (struct span){.arena = r->id, .offset = offset, .length = length};
	return 0;
}

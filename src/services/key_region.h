/*
 * key_region.h: POSIX shared memory that clients name by its key (shm_open(3)) and that the daemon opens itself, as
 * Triton does. Such an object cannot be sealed: its maker may cut it short at any time. So it is never mapped; bytes are
 * moved with pread() and pwrite() (key_move.h), and a request whose bytes are gone fails alone.
 *
 * Or memory of a GPU, named by a handle that its owner has made (cudaIpcMemHandle_t): it is opened by workers of that GPU alone.
 * Such a region is dispatch's, and requests name it as one that was handed over (dispatch/region.h).
 *
 * A name belongs to the user who registered it: others have names of their own, and never see it. Both kinds have one set of
 * names, and count alike.
 */
#ifndef SERVICES_KEY_REGION_H
#define SERVICES_KEY_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "services/infer_failure.h"

struct peer;
struct region;
struct region_desk;

/* Who may register keys, and handles: [server] client_shm, client_cuda_shm. */
enum client_shm {
	CLIENT_SHM_OFF,
	CLIENT_SHM_LOCAL, /* who is on this host, by a Unix socket or its loopback */
	CLIENT_SHM_ANY, /* everybody: who comes from elsewhere may name each object that the daemon may open */
};

enum key_kind {
	KEY_SYSTEM,
	KEY_CUDA,
};

#define KEY_REGION_NAME_MAX 255u /* characters of a name, and of a key */

struct key_region {
	struct list node; /* in key_regions.all; alone: not registered any more */
	uint32_t refs;	  /* one while it is registered, one for each piece that is to be moved */
	int fd;		  /* own; -1: it is on a GPU, and has: */
	struct region *device; /* ref */
	void (*on_opened)(
		void *data, int e, const char *why); /* is due; until then nobody finds it */
	void *data;				     /* borrow: on_opened's */
	int64_t user;				     /* whose it is; KEY_REGION_STRANGER */
	uint64_t start;				     /* in the object; the GPU's number */
	uint64_t size;
	const char *key; /* behind the name */
	char name[];
};

/* Everybody who is not on this host. */
#define KEY_REGION_STRANGER INT64_C(-1)

struct key_regions {
	enum client_shm allowed;
	enum client_shm cuda_allowed;
	uint32_t max; /* [limits] max_shm_regions */
	struct list all;
	uint32_t n;
};

/* max: of all users; of one half of them, rounded up. */
void key_regions_init(
	struct key_regions *s, enum client_shm allowed, enum client_shm cuda_allowed, uint32_t max);
/* Those in use stay until they are given back. */
void key_regions_deinit(struct key_regions *s);

/* INFER_E_FAILED: *f has Triton's status and words */
_must_use_ int key_regions_register(struct key_regions *s, const struct peer *p, const char *name,
	const char *key, uint64_t offset, uint64_t size, struct infer_failure *f);
/* What is registered of a GPU. */
struct key_device {
	struct region_desk *desk; /* borrow */
	const char *device;	  /* what its workers call it, borrowed; NULL: none is on it */
	int64_t number;		  /* of the client's choice: which GPU */
	const uint8_t *handle;
	size_t n_handle;
	uint64_t size;
	/* Once, from the loop: what a worker says of the handle, NULL: it can be used. Not after it was forgotten. */
	void (*on_opened)(void *data, int e, const char *why);
	void *data;
};
/* The same of memory on a GPU. It is found once on_opened was told that it can be used; else it is to be forgotten. INFER_E_FAILED */
_must_use_ int key_regions_register_device(struct key_regions *s, const struct peer *p,
	const char *name, const struct key_device *d, struct key_region **ret_region,
	struct infer_failure *f);
void key_regions_forget(struct key_regions *s, struct key_region *r);
/* May p register any object, and unregister it? INFER_E_FAILED */
_must_use_ int key_regions_admit(
	const struct key_regions *s, const struct peer *p, struct infer_failure *f);
/* p's region of that name, n bytes; NULL: there is none. With a reference where it is kept: key_region_ref(). */
struct key_region *key_regions_find(
	const struct key_regions *s, const struct peer *p, const char *name, size_t n);
/* p's region of that name, and that kind; "": all of p's. One that there is not needs no unregistering. */
void key_regions_unregister(
	struct key_regions *s, const struct peer *p, const char *name, enum key_kind kind);
enum key_kind key_region_kind(const struct key_region *r);
/* Is it p's? */
bool key_region_is_of(const struct key_region *r, const struct peer *p);

struct key_region *key_region_ref(struct key_region *r);
/* Accepts NULL; returns NULL. */
struct key_region *key_region_unref(struct key_region *r);
DEFINE_CLEANUP(struct key_region *, key_region_unref)

/* [offset, offset + length) of the region. INFER_E_FAILED: Triton's words */
_must_use_ int key_region_check(
	const struct key_region *r, uint64_t offset, uint64_t length, struct infer_failure *f);

#endif

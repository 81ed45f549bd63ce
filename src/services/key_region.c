/* key_region.c: names of shared memory, and whose they are. Daemon process, loop thread. */
#include "services/key_region.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/peer.h"
#include "dispatch/region.h"
#include "proto/wire.h"

#define REGION(at) list_entry(at, struct key_region, node)
/* Where shm_open() makes objects. */
#define DIRECTORY	"/dev/shm/"
#define RESERVED_PREFIX "triton_python_backend_shm_region_"

void key_regions_init(
	struct key_regions *s, enum client_shm allowed, enum client_shm cuda_allowed, uint32_t max)
{
	*s = (struct key_regions){.allowed = allowed, .cuda_allowed = cuda_allowed, .max = max};
	list_init(&s->all);
}

void key_regions_forget(struct key_regions *s, struct key_region *r)
{
	r->on_opened = NULL;
	list_remove(&r->node);
	s->n--;
	key_region_unref(r);
}

void key_regions_deinit(struct key_regions *s)
{
	list_for_each (&s->all, node)
		key_regions_forget(s, REGION(node));
}

struct key_region *key_region_ref(struct key_region *r)
{
	assert(r->refs > 0);
	r->refs++;
	return r;
}

struct key_region *key_region_unref(struct key_region *r)
{
	if (!r)
		return NULL;
	assert(r->refs > 0);
	if (--r->refs == 0) {
		close_fd(&r->fd);
		region_unref(r->device);
		free(r);
	}
	return NULL;
}

/* --- Whose it is ------------------------------------------------------------------------------ */

static int64_t user_of(const struct peer *p)
{
	return p->user >= 0 ? p->user : KEY_REGION_STRANGER;
}

bool key_region_is_of(const struct key_region *r, const struct peer *p)
{
	return r->user == user_of(p);
}

static int admit(
	const struct peer *p, enum client_shm allowed, const char *setting, struct infer_failure *f)
{
	bool local = p->uid >= 0 || p->loopback;

	if (allowed == CLIENT_SHM_LOCAL && !local)
		return infer_fail(f, GRPC_PERMISSION_DENIED,
			"shared memory is registered from this host only ([server] %s)", setting);
	if (local && p->user < 0)
		return infer_fail(f, GRPC_PERMISSION_DENIED,
			"the kernel does not tell whose connection this is: use the Unix socket");
	return 0;
}

int key_regions_admit(const struct key_regions *s, const struct peer *p, struct infer_failure *f)
{
	if (s->allowed == CLIENT_SHM_OFF)
		return infer_fail(f, GRPC_UNIMPLEMENTED,
			"Client shared memory is disabled ([server] client_shm). Hand memory over "
			"on the handoff socket instead: its token is a region's name.");
	return admit(p, s->allowed, "client_shm", f);
}

static int admit_device(const struct key_regions *s, const struct peer *p, const char *name,
	struct infer_failure *f)
{
	if (s->cuda_allowed == CLIENT_SHM_OFF)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"failed to register shared memory region '%.*s': invalid args (GPUs not "
			"supported: [server] client_cuda_shm is off)",
			(int)KEY_REGION_NAME_MAX, name);
	return admit(p, s->cuda_allowed, "client_cuda_shm", f);
}

/* --- Finding ---------------------------------------------------------------------------------- */

/* Also one that is not to be found yet. */
static struct key_region *find(
	const struct key_regions *s, const struct peer *p, const char *name, size_t n)
{
	list_for_each (&s->all, node) {
		struct key_region *r = REGION(node);

		if (key_region_is_of(r, p) && strlen(r->name) == n && !memcmp(r->name, name, n))
			return r;
	}
	return NULL;
}

struct key_region *key_regions_find(
	const struct key_regions *s, const struct peer *p, const char *name, size_t n)
{
	struct key_region *r = find(s, p, name, n);

	return r && !r->on_opened ? r : NULL;
}

enum key_kind key_region_kind(const struct key_region *r)
{
	return r->device ? KEY_CUDA : KEY_SYSTEM;
}

void key_regions_unregister(
	struct key_regions *s, const struct peer *p, const char *name, enum key_kind kind)
{
	list_for_each (&s->all, node) {
		struct key_region *r = REGION(node);

		if (key_region_kind(r) == kind && !r->on_opened && key_region_is_of(r, p) &&
			(!*name || !strcmp(r->name, name)))
			key_regions_forget(s, r);
	}
}

/* --- Opening ---------------------------------------------------------------------------------- */

/* May the user read and write it? By the object's owner alone, and what it lets everybody do. */
static bool may_use(const struct peer *p, const struct stat *st)
{
	if (p->user < 0)
		return true; /* [server] client_shm = any says so */
	return p->user == 0 || p->user == st->st_uid || (st->st_mode & 06) == 06;
}

static int fail_open(struct infer_failure *f, const char *key)
{
	return infer_fail(f, GRPC_INTERNAL, "Unable to open shared memory region: '%.*s'",
		(int)KEY_REGION_NAME_MAX, key);
}

static int fail_arguments(struct infer_failure *f, const char *name)
{
	return infer_fail(f, GRPC_INVALID_ARGUMENT,
		"failed to register shared memory region '%.*s': invalid args",
		(int)KEY_REGION_NAME_MAX, name);
}

/* One name: what is opened lies in DIRECTORY and nowhere else. */
static int check_key(const char *name, const char *key, struct infer_failure *f)
{
	const char *bare = key + strspn(key, "/");

	if (!*bare)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"cannot register shared memory region '%.*s' - invalid shm key '%.*s'",
			(int)KEY_REGION_NAME_MAX, name, (int)KEY_REGION_NAME_MAX, key);
	if (!strncmp(bare, RESERVED_PREFIX, strlen(RESERVED_PREFIX)))
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"cannot register shared memory region '%.*s' with key '%.*s' as the key "
			"contains the reserved prefix '" RESERVED_PREFIX "'",
			(int)KEY_REGION_NAME_MAX, name, (int)KEY_REGION_NAME_MAX, key);
	if (strlen(key) > KEY_REGION_NAME_MAX || strchr(bare, '/') || !strcmp(bare, ".") ||
		!strcmp(bare, ".."))
		return fail_open(f, key);
	return 0;
}

/* The descriptor is the caller's. INFER_E_FAILED */
static int open_key(int *ret_fd, const struct peer *p, const char *name, const char *key,
	uint64_t offset, uint64_t size, struct infer_failure *f)
{
	char path[sizeof(DIRECTORY) + KEY_REGION_NAME_MAX];
	_cleanup_(close_fd) int fd = -1;
	struct stat st;

	if (check_key(name, key, f))
		return INFER_E_FAILED;
	snprintf(path, sizeof(path), DIRECTORY "%s", key + strspn(key, "/"));
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || !may_use(p, &st))
		return fail_open(f, key);
	if (size == 0 || offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return fail_arguments(f, name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* --- Registering ------------------------------------------------------------------------------ */

static int check_room(const struct key_regions *s, const struct peer *p, struct infer_failure *f)
{
	uint32_t own = 0;

	list_for_each (&s->all, node)
		own += key_region_is_of(REGION(node), p);
	if (s->n < s->max && own < (s->max + 1) / 2)
		return 0;
	return infer_fail(f, GRPC_RESOURCE_EXHAUSTED,
		"%" PRIu32 " shared memory regions are registered, %" PRIu32
		" of them by this user, who may have half of [limits] max_shm_regions, %" PRIu32,
		s->n, own, s->max);
}

static struct key_region *key_region_new(const char *name, const char *key)
{
	size_t n_name = strlen(name) + 1, n_key = strlen(key) + 1;
	struct key_region *r = malloc(sizeof(*r) + n_name + n_key);

	if (!r)
		return NULL;
	*r = (struct key_region){.refs = 1, .fd = -1};
	list_init(&r->node);
	memcpy(r->name, name, n_name);
	memcpy(r->name + n_name, key, n_key);
	r->key = r->name + n_name;
	return r;
}

static int check_name(const struct key_regions *s, const struct peer *p, const char *name,
	struct infer_failure *f)
{
	size_t n = strlen(name);

	if (n == 0 || n > KEY_REGION_NAME_MAX)
		return fail_arguments(f, name);
	if (!find(s, p, name, n))
		return 0;
	return infer_fail(
		f, GRPC_ALREADY_EXISTS, "shared memory region '%s' already in manager", name);
}

int key_regions_register(struct key_regions *s, const struct peer *p, const char *name,
	const char *key, uint64_t offset, uint64_t size, struct infer_failure *f)
{
	_cleanup_(key_region_unrefp) struct key_region *r = NULL;

	if (key_regions_admit(s, p, f) || check_name(s, p, name, f) || check_room(s, p, f))
		return INFER_E_FAILED;
	if (check_key(name, key, f))
		return INFER_E_FAILED;
	r = key_region_new(name, key);
	if (!r)
		return infer_fail_memory(f);
	if (open_key(&r->fd, p, name, key, offset, size, f))
		return INFER_E_FAILED;
	r->user = user_of(p);
	r->start = offset;
	r->size = size;
	list_push_back(&s->all, &r->node);
	s->n++;
	r = NULL;
	return 0;
}

/* --- On a GPU --------------------------------------------------------------------------------- */

static int check_device(const char *name, const struct key_device *d, struct infer_failure *f)
{
	if (d->n_handle != WIRE_HANDLE_BYTES || d->size == 0)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"failed to register shared memory region '%.*s': invalid args (a handle of "
			"%u "
			"bytes is expected, got %zu, of %" PRIu64 " bytes of memory)",
			(int)KEY_REGION_NAME_MAX, name, WIRE_HANDLE_BYTES, d->n_handle, d->size);
	if (!d->device)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"failed to register shared memory region '%.*s': invalid args (no worker "
			"is on "
			"GPU %" PRId64 ")",
			(int)KEY_REGION_NAME_MAX, name, d->number);
	return 0;
}

static void on_tried(void *data, int e, const char *why)
{
	struct key_region *r = data;
	void (*on_opened)(void *data, int e, const char *why) = r->on_opened;

	r->on_opened = NULL;
	on_opened(r->data, e, why);
}

/* What there was of it is with its owner. */
static void on_gone(void *data, int fd)
{
	(void)data;
	(void)fd;
}

static int open_device(struct key_region *r, const struct key_device *d, struct infer_failure *f)
{
	if (region_new_on_device(&r->device, d->desk, d->device, d->handle, d->size, on_gone, r))
		return infer_fail_memory(f);
	if (!region_try(r->device, on_tried))
		return 0;
	return infer_fail(f, GRPC_UNAVAILABLE,
		"failed to register shared memory region '%s': no worker on %s is there that takes "
		"memory of clients",
		r->name, d->device);
}

int key_regions_register_device(struct key_regions *s, const struct peer *p, const char *name,
	const struct key_device *d, struct key_region **ret_region, struct infer_failure *f)
{
	_cleanup_(key_region_unrefp) struct key_region *r = NULL;

	if (admit_device(s, p, name, f) || check_name(s, p, name, f) || check_room(s, p, f) ||
		check_device(name, d, f))
		return INFER_E_FAILED;
	r = key_region_new(name, "");
	if (!r)
		return infer_fail_memory(f);
	if (open_device(r, d, f))
		return INFER_E_FAILED;
	r->on_opened = d->on_opened;
	r->data = d->data;
	r->user = user_of(p);
	r->start = (uint64_t)d->number;
	r->size = d->size;
	list_push_back(&s->all, &r->node);
	s->n++;
	*ret_region = steal_ptr(r);
	return 0;
}

int key_region_check(
	const struct key_region *r, uint64_t offset, uint64_t length, struct infer_failure *f)
{
	if (offset >= r->size && length > 0)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"Invalid offset for shared memory region: '%s'", r->name);
	if (offset > r->size || length > r->size - offset)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"Invalid offset + byte size for shared memory region: '%s'", r->name);
	return 0;
}

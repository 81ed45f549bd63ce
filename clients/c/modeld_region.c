/*
 * modeld_region.c: shared memory: made by the daemon, or the caller's own. Memory from the daemon is
 * mapped only when its seals are there, so nobody can take it away under the caller.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "clients/c/modeld_private.h"
#include "shm/view.h"

/* What populating memory may cost the daemon: 250 MB/s. */
#define POPULATE_NS_PER_BYTE 4u

void region_drop(struct modeld_region *r)
{
	if (r->view)
		view_free(r->view);
	else if (r->base && !r->on_device)
		(void)munmap(r->base, r->bytes);
	list_remove(&r->node);
	free(r);
}

static void region_dropp(struct modeld_region **r)
{
	if (*r)
		region_drop(*r);
}

static struct modeld_region *region_new(struct modeld *m)
{
	struct modeld_region *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	list_init(&r->node);
	r->m = m;
	r->epoch = m->epoch;
	return r;
}

static void take_registered(struct modeld_region *r, const struct handoff_registered *from)
{
	r->number = from->number;
	r->epoch = r->m->epoch;
	memcpy(r->token, from->token, sizeof(r->token));
	for (size_t i = 0; i < sizeof(r->token); i++)
		(void)snprintf(r->id + 2 * i, 3, "%02x", r->token[i]);
}

/* Tell the daemon, if it is still the one that knows of it. What it answers changes nothing here, if it only answers. */
static void unregister(struct modeld_region *r)
{
	struct handoff_message q = {
		.type = HANDOFF_UNREGISTER, .unregister = {r->token, sizeof(r->token)}};
	struct modeld *m = r->m;
	const struct handoff_message *answer;
	struct modeld_error error;

	if (m->lost.code || r->epoch != m->epoch)
		return;
	(void)(link_ask(m, &q, -1, HANDOFF_UNREGISTERED, clock_add(clock_ns(), m->timeout_ns),
		       &answer, NULL, &error) == 0);
}

/* Memory of the daemon's making. -EPROTO: it is not as it says */
static int map_made(struct modeld_region *r, int fd, const struct handoff_registered *from)
{
	struct span all = {.arena = from->number, .length = from->size};
	int e = view_new_region(&r->view, fd, from->number, from->size, true);

	if (e)
		return e == -EINVAL || e == -EPERM ? -EPROTO : e;
	r->bytes = from->size;
	r->base = view_data_writable(r->view, &all);
	r->writable = true;
	return 0;
}

int region_take(struct modeld_region **ret_region, struct modeld *m,
	const struct handoff_registered *from, int fd)
{
	_cleanup_(region_dropp) struct modeld_region *r = region_new(m);
	int e = r ? map_made(r, fd, from) : -ENOMEM;

	if (e)
		return e;
	take_registered(r, from);
	list_push_back(&m->regions, &r->node);
	*ret_region = steal_ptr(r);
	return 0;
}

/* Map what Allocate brought. */
static int map_allocated(struct modeld_region *r, int fd, uint64_t wanted,
	const struct handoff_registered *from, struct modeld_error *error)
{
	int e = from->size < wanted ? -EPROTO : map_made(r, fd, from);

	if (e == -EPROTO) {
		link_lost(r->m, e);
		return *error = r->m->lost, error->code;
	}
	if (e) {
		unregister(r);
		return error_system(error, e, "cannot map the region");
	}
	return 0;
}

int modeld_allocate(struct modeld *m, uint64_t bytes, struct modeld_region **ret_region,
	struct modeld_error *error)
{
	_cleanup_(region_dropp) struct modeld_region *r = region_new(m);
	struct handoff_message q = {.type = HANDOFF_ALLOCATE, .allocate.size = bytes};
	_cleanup_(close_fd) int fd = -1;
	const struct handoff_message *answer;
	struct handoff_registered registered;
	uint64_t populate_ns, deadline_ns = clock_add(clock_ns(), m->timeout_ns);
	int e;

	if (!r)
		return error_system(error, -ENOMEM, "a region");
	if (bytes == 0)
		return error_set(error, MODELD_E_USAGE, "a region of 0 bytes");
	if (!__builtin_mul_overflow(bytes, POPULATE_NS_PER_BYTE, &populate_ns))
		deadline_ns = clock_add(deadline_ns, populate_ns);
	e = connection_ask(m, &q, -1, HANDOFF_REGISTERED, deadline_ns, &answer, &fd, error);
	if (e)
		return e;
	registered = answer->registered;
	take_registered(r, &registered);
	e = map_allocated(r, fd, bytes, &registered, error);
	if (e)
		return e;
	list_push_back(&m->regions, &r->node);
	*ret_region = steal_ptr(r);
	return 0;
}

/* Read-write, or read-only where the seals allow no more. */
static int map_own(struct modeld_region *r, int fd, uint64_t bytes, struct modeld_error *error)
{
	struct stat st;
	void *base;

	if (fstat(fd, &st))
		return error_system(error, -errno, "the descriptor to register");
	if (bytes == 0 || st.st_size < 0 || (uint64_t)st.st_size != bytes)
		return error_set(error, MODELD_E_USAGE,
			"the descriptor to register has %lld bytes, not %llu",
			(long long)st.st_size, (unsigned long long)bytes);
	r->writable = true;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED && (errno == EPERM || errno == EACCES)) {
		r->writable = false;
		base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
		/* F_SEAL_WRITE, before Linux 6.7: it never changes, so private is the same. */
		if (base == MAP_FAILED && errno == EPERM)
			base = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (base == MAP_FAILED)
		return error_system(error, -errno, "cannot map the descriptor to register");
	r->base = base;
	r->bytes = bytes;
	return 0;
}

/* Have the daemon know it, by its descriptor. device: "": it is on the host */
static int enroll(struct modeld_region *r, int fd, const char *device, struct modeld_error *error)
{
	struct handoff_message q = {.type = HANDOFF_REGISTER,
		.registration = {.size = r->bytes, .read_only = !r->writable, .device = device}};
	struct modeld *m = r->m;
	const struct handoff_message *answer;
	int e = connection_ask(m, &q, fd, HANDOFF_REGISTERED, clock_add(clock_ns(), m->timeout_ns),
		&answer, NULL, error);

	if (e)
		return e;
	if (answer->registered.size != r->bytes) {
		link_lost(m, -EPROTO);
		return *error = m->lost, error->code;
	}
	take_registered(r, &answer->registered);
	list_push_back(&m->regions, &r->node);
	return 0;
}

int modeld_register(struct modeld *m, int memfd, uint64_t bytes, struct modeld_region **ret_region,
	struct modeld_error *error)
{
	_cleanup_(region_dropp) struct modeld_region *r = region_new(m);
	int e;

	if (!r)
		return error_system(error, -ENOMEM, "a region");
	e = map_own(r, memfd, bytes, error);
	if (!e)
		e = enroll(r, memfd, "", error);
	if (!e)
		*ret_region = steal_ptr(r);
	return e;
}

static int check_device_memory(
	const struct modeld_device_memory *memory, struct modeld_error *error)
{
	if (memory->bytes == 0 || !memory->data)
		return error_set(
			error, MODELD_E_USAGE, "memory of 0 bytes on a GPU, or at no address");
	if (!memory->gpu || !*memory->gpu)
		return error_set(error, MODELD_E_USAGE, "memory on a GPU that is not named");
	if (memory->fd < 0)
		return error_set(error, MODELD_E_USAGE, "memory on a GPU without a descriptor");
	return 0;
}

int modeld_register_device(struct modeld *m, const struct modeld_device_memory *memory,
	struct modeld_region **ret_region, struct modeld_error *error)
{
	_cleanup_(region_dropp) struct modeld_region *r = region_new(m);
	int e;

	if (!r)
		return error_system(error, -ENOMEM, "a region");
	e = check_device_memory(memory, error);
	if (e)
		return e;
	r->on_device = true;
	r->base = memory->data;
	r->bytes = memory->bytes;
	r->writable = !memory->read_only;
	e = enroll(r, memory->fd, memory->gpu, error);
	if (!e)
		*ret_region = steal_ptr(r);
	return e;
}

void modeld_release(struct modeld_region *r)
{
	if (!r)
		return;
	call_forget_region(r->m, r);
	unregister(r);
	region_drop(r);
}

int modeld_region_busy(struct modeld_region *r)
{
	link_take_in(r->m);
	return r->epoch == r->m->epoch && call_may_write(r->m, r, 0, r->bytes);
}

void *modeld_region_data(const struct modeld_region *r)
{
	return r->base;
}

uint64_t modeld_region_bytes(const struct modeld_region *r)
{
	return r->bytes;
}

const char *modeld_region_id(const struct modeld_region *r)
{
	return r->id;
}

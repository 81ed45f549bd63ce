/*
 * device_region.c: memory that a client has on a GPU, by the descriptor that it was exported to. Only a worker of that GPU can say what
 * it is, so its client's answer waits for that. Until then nobody has been told its token; it counts already. Daemon process, loop
 * thread.
 */
#include "handoff/device_region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/err.h"
#include "dispatch/region.h"
#include "handoff/handoff_private.h"
#include "pool/pool.h"

#define TEXT_MAX 512u

/* The region's owner is its entry, which its guest may have left behind with a request that is under way. */
static void on_tried(void *data, int r, const char *why)
{
	struct entry *e = data;
	struct guest *p = e->guest;

	if (!p)
		return;
	p->n_tried--;
	if (!r) {
		guest_answer(p,
			&(struct handoff_message){.seq = e->seq,
				.type = HANDOFF_REGISTERED,
				.registered = entry_registered(e)},
			-1);
		return;
	}
	guest_refuse(p, e->seq, r == -ENODEV ? GRPC_UNAVAILABLE : GRPC_INVALID_ARGUMENT,
		"memory of %" PRIu64 " bytes on %s cannot be had: %s", e->bytes,
		region_device(e->region), why);
	entry_unregister(e);
}

/*
 * May a worker be given it? To close a file is for some file systems to wait for whoever serves them, which may be the client, and a
 * socket may have others in it. What drivers export is a device's, or of no kind at all; a memory file is nobody's but the kernel's.
 */
static bool may_be_exported(int fd)
{
	struct statx st;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	/* By what is known of it here: its file system is not asked. */
	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) &&
	       (S_ISCHR(st.stx_mode) || (st.stx_mode & S_IFMT) == 0);
}

/* Where it is, as its workers call it; NULL: the refusal was sent. */
static const char *find_device(struct guest *p, const struct handoff_message *m)
{
	const char *gpu = m->registration.device;
	const char *device = pool_find_gpu(dispatch_pool(p->handoff->dispatch), gpu);

	if (!device)
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT, "no worker is on GPU '%.64s'", gpu);
	return device;
}

static bool enroll(struct guest *p, const struct handoff_message *m, int fd)
{
	uint64_t size = m->registration.size;
	char text[TEXT_MAX];

	if (!may_be_exported(fd)) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT,
			"the descriptor is none that memory of a GPU was exported to");
		return false;
	}
	if (size == 0) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT, "a region cannot have 0 bytes");
		return false;
	}
	if (guest_charge_device(p, size, text, sizeof(text))) {
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED, "%s", text);
		return false;
	}
	return true;
}

static void try(struct guest *p, struct entry *e, uint64_t seq)
{
	e->seq = seq;
	if (!region_try(e->region, on_tried)) {
		p->n_tried++;
		return;
	}
	guest_refuse(p, seq, GRPC_UNAVAILABLE,
		"no worker on %s is there that takes memory of clients", region_device(e->region));
	entry_unregister(e);
}

void device_region_register(struct guest *p, const struct handoff_message *m, int *fd)
{
	struct entry_options options = {
		.size = m->registration.size,
		.writable = !m->registration.read_only,
		.user = p->user,
	};
	struct entry *e;
	int r;

	options.device = find_device(p, m);
	if (!options.device || !enroll(p, m, *fd))
		return;
	options.fd = steal_fd(fd);
	r = entry_new(&e, &p->handoff->entries, p->handoff->dispatch, p, &options);
	if (r)
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED, "the region cannot be kept: %s",
			err_str(r));
	else
		try(p, e, m->seq);
}

/*
 * serve.c: what a client may ask, and what it gets. A request that cannot be fulfilled is answered by an
 * error which says what and which limit; it never costs the connection. Daemon process, loop thread.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/err.h"
#include "handoff/device_region.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"
#include "handoff/inference.h"
#include "handoff/serve.h"

#define TEXT_MAX 512u

static void answer_limits(struct guest *p, uint64_t seq)
{
	struct handoff *h = p->handoff;
	const struct handoff_settings *s = h->settings;

	unread_sweep(&h->unread, &h->disposals, CLOCK_NO_DEADLINE);
	lent_sweep(&h->lent, CLOCK_NO_DEADLINE);
	guest_answer(p,
		&(struct handoff_message){.seq = seq,
			.type = HANDOFF_LIMITS,
			.limits = {.protocol = HANDOFF_PROTOCOL,
				.total_bytes = s->shm_total_bytes,
				.total_used_bytes = h->users.bytes,
				.user_bytes = s->user_bytes,
				.user_used_bytes = p->user->bytes,
				.user_regions = s->user_regions,
				.user_used_regions = p->user->regions + p->user->unread,
				.max_inline_bytes = HANDOFF_INLINE_MAX,
				.max_requests = s->max_requests,
				.busy_poll_us = s->busy_poll_us,
				.user_device_bytes = s->user_device_bytes,
				.user_device_used_bytes = p->user->device_bytes}},
		-1);
}

/* One descriptor more than one memory would be two charges, and two regions that overlap unseen. */
static bool known(const struct guest *p, const struct memfd_identity *identity)
{
	list_for_each (&p->entries, node) {
		const struct entry *e = list_entry(node, struct entry, held.node);

		if (!e->on_device && e->identity.device == identity->device &&
			e->identity.inode == identity->inode)
			return true;
	}
	return false;
}

/* Each check of the memory, then the charge. */
static bool enroll(
	struct guest *p, const struct handoff_message *m, int fd, struct entry_options *ret_options)
{
	uint64_t size = m->registration.size;
	struct memfd_identity identity;
	char text[TEXT_MAX];

	if (memfd_check(fd, size, m->registration.read_only, &identity, text, sizeof(text))) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT, "%s", text);
		return false;
	}
	if (known(p, &identity)) {
		guest_refuse(p, m->seq, GRPC_ALREADY_EXISTS,
			"this memory is registered on this connection already");
		return false;
	}
	if (guest_charge(p, size, text, sizeof(text))) {
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED, "%s", text);
		return false;
	}
	*ret_options = (struct entry_options){
		.fd = -1,
		.size = size,
		.writable = !m->registration.read_only,
		.identity = identity,
		.user = p->user,
	};
	return true;
}

static void serve_register(struct guest *p, const struct handoff_message *m, int *fds, size_t n_fds)
{
	struct handoff *h = p->handoff;
	struct entry_options options;
	struct entry *e;
	int r;

	if (n_fds != 1) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT,
			"exactly one descriptor travels with Register, not %zu", n_fds);
		return;
	}
	if (*m->registration.device) {
		device_region_register(p, m, &fds[0]);
		return;
	}
	if (!enroll(p, m, fds[0], &options))
		return;
	options.fd = steal_fd(&fds[0]);
	r = entry_new(&e, &h->entries, h->dispatch, p, &options);
	if (r) {
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED, "the region cannot be kept: %s",
			err_str(r));
		return;
	}
	guest_answer(p,
		&(struct handoff_message){.seq = m->seq,
			.type = HANDOFF_REGISTERED,
			.registered = entry_registered(e)},
		-1);
}

static void on_allocated(struct guest *p, void *data, const struct allocation_end *end)
{
	if (end->error) {
		guest_refuse(p, end->seq, GRPC_RESOURCE_EXHAUSTED,
			"a region of %" PRIu64 " bytes cannot be made: %s", end->size,
			err_str(end->error));
		return;
	}
	guest_answer(p,
		&(struct handoff_message){.seq = end->seq,
			.type = HANDOFF_REGISTERED,
			.registered = entry_registered(end->entry)},
		end->fd);
}

static void serve_allocate(struct guest *p, const struct handoff_message *m)
{
	char text[TEXT_MAX];
	uint64_t size;
	int r;

	if (memfd_round(m->allocate.size, &size)) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT,
			"a region cannot have %" PRIu64 " bytes", m->allocate.size);
		return;
	}
	if (guest_charge(p, size, text, sizeof(text))) {
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED, "%s", text);
		return;
	}
	r = allocation_start(
		p, &(struct allocation_order){.seq = m->seq, .size = size, .on_end = on_allocated});
	if (r)
		guest_refuse(p, m->seq, GRPC_RESOURCE_EXHAUSTED,
			"a region of %" PRIu64 " bytes cannot be made: %s", size, err_str(r));
}

static void serve_unregister(struct guest *p, const struct handoff_message *m)
{
	struct entry *e = NULL;

	if (m->unregister.n_token == HANDOFF_TOKEN_BYTES)
		e = entry_find(&p->handoff->entries, m->unregister.token);
	if (!e || e->guest != p) {
		guest_refuse(p, m->seq, GRPC_NOT_FOUND,
			"no region with this token is registered on this connection");
		return;
	}
	entry_unregister(e);
	guest_answer(p, &(struct handoff_message){.seq = m->seq, .type = HANDOFF_UNREGISTERED}, -1);
}

void serve_message(struct guest *p, const struct handoff_message *m, int *fds, size_t n_fds)
{
	if (n_fds > 0 && m->type != HANDOFF_REGISTER) {
		guest_refuse(p, m->seq, GRPC_INVALID_ARGUMENT,
			"%zu descriptors came with a message that takes none", n_fds);
		return;
	}
	switch (m->type) {
	case HANDOFF_GET_LIMITS:
		answer_limits(p, m->seq);
		break;
	case HANDOFF_REGISTER:
		serve_register(p, m, fds, n_fds);
		break;
	case HANDOFF_ALLOCATE:
		serve_allocate(p, m);
		break;
	case HANDOFF_UNREGISTER:
		serve_unregister(p, m);
		break;
	case HANDOFF_INFER:
		inference_begin(p, m->seq, &m->infer);
		break;
	default: /* handoff_unpack_request() lets nothing else through */
		inference_cancel(p, m->seq, m->cancel.of);
		break;
	}
}

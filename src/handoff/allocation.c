/*
 * allocation.c: memory made for a client.
 *
 * Invariants: n_running <= RUNNING_MAX, the others wait in order; the charge is the allocation's until
 * an entry takes it over. populate() runs on a thread of libuv's and touches fd, size, stop and result
 * alone; everything else on the loop's thread. Daemon process.
 */
#include "handoff/allocation.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"

/* libuv has four threads for everybody. */
#define RUNNING_MAX 2u
#define MEMORY_NAME "modeld-region"

void allocation_desk_init(struct allocation_desk *d)
{
	*d = (struct allocation_desk){0};
	list_init(&d->waiting);
}

static void release(struct allocation *a)
{
	list_remove(&a->held.node);
	list_remove(&a->node);
	close_fd(&a->fd);
	if (a->user)
		user_refund(a->user, a->size);
	a->handoff->allocations.n--;
	free(a);
}

static void populate(uv_work_t *work)
{
	struct allocation *a = work->data;

	a->result = memfd_populate_all(a->fd, a->size, &a->stop);
}

/* The region, and a descriptor of it for the client. */
static int enter(struct allocation *a, struct entry **ret_entry, int *ret_fd)
{
	struct handoff *h = a->handoff;
	_cleanup_(close_fd) int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	struct entry_options options = {.size = a->size, .writable = true, .user = a->user};
	struct stat st;
	int r;

	if (fd < 0 || fstat(a->fd, &st))
		return -errno;
	options.identity = (struct memfd_identity){st.st_dev, st.st_ino};
	options.fd = steal_fd(&a->fd);
	a->user = NULL;
	r = entry_new(ret_entry, &h->entries, h->dispatch, a->guest, &options);
	if (r)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void answer(struct allocation *a)
{
	struct entry *e = NULL;
	int fd = -1;
	int r = a->result ? a->result : enter(a, &e, &fd);

	if (r) {
		guest_refuse(a->guest, a->seq, GRPC_RESOURCE_EXHAUSTED,
			"a region of %" PRIu64 " bytes cannot be made: %s", a->size, err_str(r));
		return;
	}
	assert(e);
	guest_answer(a->guest,
		&(struct handoff_message){.seq = a->seq,
			.type = HANDOFF_REGISTERED,
			.registered = {.token = e->token,
				.n_token = HANDOFF_TOKEN_BYTES,
				.number = e->number,
				.size = e->bytes}},
		fd);
}

static void run_waiting(struct handoff *h);

static void on_populated(uv_work_t *work, int status)
{
	struct allocation *a = work->data;
	struct handoff *h = a->handoff;

	h->allocations.n_running--;
	if (status)
		a->result = status;
	if (a->guest)
		answer(a);
	release(a);
	run_waiting(h);
}

static void run_waiting(struct handoff *h)
{
	struct allocation_desk *d = &h->allocations;
	struct list *node;

	while (d->n_running < RUNNING_MAX && (node = list_first(&d->waiting))) {
		struct allocation *a = list_entry(node, struct allocation, node);
		int r;

		list_remove(node);
		d->n_running++;
		r = uv_queue_work(h->loop, &a->work, populate, on_populated);
		assert(r == 0);
		(void)r;
	}
}

/* The guest goes. */
static void drop(struct held *held)
{
	struct allocation *a = container_of(held, struct allocation, held);

	list_remove(&a->held.node);
	a->guest = NULL;
	atomic_store(&a->stop, true);
	if (!list_empty(&a->node))
		release(a);
}

static int make_memory(struct allocation *a, uint64_t size)
{
	int r = memfd_new(MEMORY_NAME, size, &a->fd);

	if (!r)
		r = memfd_seal(a->fd, MEMFD_SIZE_SEALED);
	return r;
}

int allocation_start(struct guest *p, uint64_t seq, uint64_t size)
{
	struct handoff *h = p->handoff;
	struct allocation *a = calloc(1, sizeof(*a));
	int r = -ENOMEM;

	if (a) {
		a->fd = -1;
		r = make_memory(a, size);
	}
	if (r) {
		if (a)
			close_fd(&a->fd);
		free(a);
		user_refund(p->user, size);
		return r;
	}
	a->handoff = h;
	a->guest = p;
	a->user = p->user;
	a->seq = seq;
	a->size = size;
	a->work.data = a;
	atomic_init(&a->stop, false);
	list_init(&a->node);
	a->held.drop = drop;
	list_init(&a->held.node);
	list_push_back(&p->allocations, &a->held.node);
	list_push_back(&h->allocations.waiting, &a->node);
	h->allocations.n++;
	run_waiting(h);
	return 0;
}

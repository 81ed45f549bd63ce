/*
 * allocation.c: memory made for a client.
 *
 * Invariants: n_running <= RUNNING_MAX, the others wait in order; the charge is the allocation's until
 * an entry takes it over. prepare() runs on a thread of libuv's and touches fd, order, stop and result
 * alone; everything else on the loop's thread. Daemon process.
 */
#include "handoff/allocation.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "handoff/guest.h"
#include "handoff/handoff_private.h"
#include "pool/pool.h"
#include "pool/worker.h"

/* libuv has four threads for everybody. */
#define RUNNING_MAX 2u
#define MEMORY_NAME "modeld-region"

void allocation_desk_init(struct allocation_desk *d)
{
	*d = (struct allocation_desk){0};
	list_init(&d->waiting);
}

struct allocation_content *allocation_content_free(struct allocation_content *c)
{
	if (c)
		output_lease_unref(c->lease);
	free(c);
	return NULL;
}

static void release(struct allocation *a)
{
	list_remove(&a->held.node);
	list_remove(&a->node);
	if (a->fd >= 0)
		pool_dispose(dispatch_pool(a->handoff->dispatch), steal_fd(&a->fd));
	allocation_content_free(a->order.content);
	if (a->user)
		user_refund(a->user, a->order.size);
	a->handoff->allocations.n--;
	free(a);
}

static void prepare(uv_work_t *work)
{
	struct allocation *a = work->data;
	const struct allocation_content *c = a->order.content;
	int r = c ? 0 : memfd_populate_all(a->fd, a->order.size, &a->stop);

	for (size_t i = 0; !r && c && i < c->n; i++)
		r = memfd_write(a->fd, c->pieces[i].offset, c->pieces[i].data, c->pieces[i].length,
			&a->stop);
	a->result = r;
}

/* The client's descriptor, and ours, by which it can be told whether he still has his. Where that cannot be, as without /proc,
 * *ret_lent is NULL. */
static int lend(struct allocation *a, struct lent **ret_lent, int *ret_fd)
{
	_cleanup_(close_fd) int theirs = -1;
	_cleanup_(close_fd) int ours = -1;
	int r;

	if (memfd_reopen(a->fd, &theirs) || memfd_reopen(a->fd, &ours)) {
		*ret_lent = NULL;
		*ret_fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? -errno : 0;
	}
	r = lent_new(ret_lent, &a->handoff->lent, a->user, a->order.size);
	if (r)
		return r;
	close_fd(&a->fd);
	a->fd = steal_fd(&ours);
	*ret_fd = steal_fd(&theirs);
	return 0;
}

/* The region, and a descriptor of it for the client. */
static int enter(struct allocation *a, struct allocation_end *end)
{
	struct handoff *h = a->handoff;
	_cleanup_(close_fd) int fd = -1;
	struct entry_options options = {.size = a->order.size, .writable = true, .user = a->user};
	struct stat st;
	int r;

	if (fstat(a->fd, &st))
		return -errno;
	r = lend(a, &options.lent, &fd);
	if (r)
		return r;
	options.identity = (struct memfd_identity){st.st_dev, st.st_ino};
	options.fd = steal_fd(&a->fd);
	a->user = NULL;
	r = entry_new(&end->entry, &h->entries, h->dispatch, a->guest, &options);
	if (r)
		return r;
	end->fd = steal_fd(&fd);
	return 0;
}

static void tell(struct allocation *a)
{
	struct allocation_end end = {
		.seq = a->order.seq, .error = a->result, .fd = -1, .size = a->order.size};

	if (!end.error)
		end.error = enter(a, &end);
	a->order.on_end(a->guest, a->order.data, &end);
}

static void run_waiting(struct handoff *h);

static void on_prepared(uv_work_t *work, int status)
{
	struct allocation *a = work->data;
	struct handoff *h = a->handoff;

	h->allocations.n_running--;
	if (status)
		a->result = status;
	if (a->guest)
		tell(a);
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
		r = uv_queue_work(h->loop, &a->work, prepare, on_prepared);
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

int allocation_start(struct guest *p, const struct allocation_order *order)
{
	struct handoff *h = p->handoff;
	struct allocation *a = calloc(1, sizeof(*a));
	int r = -ENOMEM;

	if (a) {
		a->fd = -1;
		r = make_memory(a, order->size);
	}
	if (r) {
		if (a)
			close_fd(&a->fd);
		free(a);
		allocation_content_free(order->content);
		user_refund(p->user, order->size);
		return r;
	}
	a->handoff = h;
	a->guest = p;
	a->user = p->user;
	a->order = *order;
	a->work.data = a;
	atomic_init(&a->stop, false);
	list_init(&a->node);
	a->held.drop = drop;
	list_init(&a->held.node);
	list_push_back(&p->allocations, &a->held.node);
	if (order->content)
		list_push_front(&h->allocations.waiting, &a->node);
	else
		list_push_back(&h->allocations.waiting, &a->node);
	h->allocations.n++;
	run_waiting(h);
	return 0;
}

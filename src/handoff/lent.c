/*
 * lent.c: who still has memory that was made for him. Those that were given back last are looked at first: most clients let
 * go of it at once. Daemon process, loop thread.
 */
#include "handoff/lent.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "handoff/user.h"
#include "pool/pool.h"
#include "shm/memfd.h"

#define SWEEP_NS (20 * NS_PER_MS)
/* In one go: two system calls each. */
#define SWEEP_MAX 64u

struct lent {
	struct lent_desk *desk; /* borrow */
	struct list node;	/* in desk.all: given back */
	struct user *user;	/* charged for `bytes` */
	uint64_t bytes;
	int fd; /* own; -1: not given back yet */
};

void lent_desk_init(struct lent_desk *k, struct dispatch *d)
{
	*k = (struct lent_desk){.dispatch = d};
	list_init(&k->all);
}

int lent_new(struct lent **ret_lent, struct lent_desk *k, struct user *u, uint64_t bytes)
{
	struct lent *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	*l = (struct lent){.desk = k, .user = u, .bytes = bytes, .fd = -1};
	list_init(&l->node);
	*ret_lent = l;
	return 0;
}

struct lent *lent_free(struct lent *l)
{
	free(l);
	return NULL;
}

static void end(struct lent *l)
{
	list_remove(&l->node);
	l->desk->n--;
	pool_dispose(dispatch_pool(l->desk->dispatch), steal_fd(&l->fd));
	user_refund(l->user, l->bytes);
	free(l);
}

void lent_give_back(struct lent *l, int fd)
{
	l->fd = fd;
	list_push_front(&l->desk->all, &l->node);
	l->desk->n++;
	if (memfd_is_alone(fd))
		end(l);
}

void lent_sweep(struct lent_desk *k, uint64_t now_ns)
{
	uint32_t n = k->n < SWEEP_MAX ? k->n : SWEEP_MAX;

	if (list_empty(&k->all) || (now_ns != CLOCK_NO_DEADLINE && now_ns - k->swept_ns < SWEEP_NS))
		return;
	if (now_ns != CLOCK_NO_DEADLINE)
		k->swept_ns = now_ns;
	for (; n > 0; n--) {
		struct lent *l = list_entry(k->all.next, struct lent, node);

		list_remove(&l->node);
		list_push_back(&k->all, &l->node);
		if (memfd_is_alone(l->fd))
			end(l);
	}
}

void lent_desk_deinit(struct lent_desk *k)
{
	list_for_each (&k->all, node)
		end(list_entry(node, struct lent, node));
}

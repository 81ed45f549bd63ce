/*
 * unread.c: what clients have not read. The kernel tells how many bytes of ours lie in the other end's socket
 * (SIOCOUTQ): when there are none, all was read. Daemon process, loop thread.
 */
#include "handoff/unread.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "handoff/disposal.h"
#include "handoff/user.h"

#define SWEEP_NS (20 * NS_PER_MS)

struct unread {
	struct list node; /* in unread_desk.all */
	struct user
		*user; /* charged for n of them; where the socket is kept, for a connection too */
	int fd;	       /* borrow: the guest's; own where it is kept */
	bool kept;
	uint32_t n;	   /* n_queued included */
	uint32_t n_queued; /* not sent yet */
};

void unread_desk_init(struct unread_desk *k)
{
	*k = (struct unread_desk){0};
	list_init(&k->all);
}

int unread_add(struct unread **at, struct unread_desk *k, struct user *u, int fd)
{
	struct unread *r = *at;

	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r)
			return -ENOMEM;
		r->user = u;
		r->fd = fd;
		list_init(&r->node);
		*at = r;
	}
	if (r->n++ == 0)
		list_push_back(&k->all, &r->node);
	r->n_queued++;
	user_charge_unread(u);
	return 0;
}

void unread_sent(struct unread *r)
{
	assert(r->n_queued > 0);
	r->n_queued--;
}

void unread_dropped(struct unread *r)
{
	unread_sent(r);
	user_refund_unread(r->user);
	if (--r->n == 0)
		list_remove(&r->node);
}

static void refund(struct unread *r)
{
	for (; r->n > 0; r->n--)
		user_refund_unread(r->user);
	list_remove(&r->node);
}

static bool all_read(const struct unread *r)
{
	int bytes = 0;

	return r->n_queued == 0 && (ioctl(r->fd, SIOCOUTQ, &bytes) || bytes == 0);
}

static void end_kept(struct unread *r, struct disposal_desk *disposals)
{
	disposal_start(disposals, r->user, &r->fd, 1);
	user_disconnect(r->user);
	free(r);
}

void unread_sweep(struct unread_desk *k, struct disposal_desk *disposals, uint64_t now_ns)
{
	if (list_empty(&k->all) || (now_ns != CLOCK_NO_DEADLINE && now_ns - k->swept_ns < SWEEP_NS))
		return;
	if (now_ns != CLOCK_NO_DEADLINE)
		k->swept_ns = now_ns;
	list_for_each (&k->all, node) {
		struct unread *r = list_entry(node, struct unread, node);

		if (!all_read(r))
			continue;
		refund(r);
		if (r->kept)
			end_kept(r, disposals);
	}
}

bool unread_keep(struct unread *r, int fd)
{
	if (!r || r->n == 0 || all_read(r))
		return false;
	r->fd = fd;
	r->kept = true;
	user_hold(r->user);
	return true;
}

struct unread *unread_free(struct unread *r)
{
	if (r)
		refund(r);
	free(r);
	return NULL;
}

void unread_desk_deinit(struct unread_desk *k, struct disposal_desk *disposals)
{
	list_for_each (&k->all, node) {
		struct unread *r = list_entry(node, struct unread, node);

		refund(r);
		if (r->kept)
			end_kept(r, disposals);
	}
}

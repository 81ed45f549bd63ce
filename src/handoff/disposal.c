/* disposal.c: who is charged for descriptors that are being closed. Daemon process, loop thread. */
#include "handoff/disposal.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/closing.h"
#include "handoff/user.h"

struct disposal {
	struct list node;	 /* in disposal_desk.running */
	struct user *user;	 /* charged for a connection */
	struct closing *closing; /* own */
};

void disposal_desk_init(struct disposal_desk *k)
{
	list_init(&k->running);
}

void disposal_start(struct disposal_desk *k, struct user *u, const int *fds, size_t n)
{
	struct disposal *d = malloc(sizeof(*d));
	struct closing *closing = closing_start(fds, n);

	/* Without memory for the account there is no charge. */
	if (!d || !closing) {
		closing_release(closing);
		free(d);
		return;
	}
	*d = (struct disposal){.user = u, .closing = closing};
	user_hold(u);
	list_init(&d->node);
	list_push_back(&k->running, &d->node);
}

static void let_go(struct disposal *d)
{
	list_remove(&d->node);
	user_disconnect(d->user);
	closing_release(d->closing);
	free(d);
}

void disposal_desk_sweep(struct disposal_desk *k)
{
	list_for_each (&k->running, node) {
		struct disposal *d = list_entry(node, struct disposal, node);

		if (closing_done(d->closing))
			let_go(d);
	}
}

void disposal_desk_deinit(struct disposal_desk *k)
{
	list_for_each (&k->running, node)
		let_go(list_entry(node, struct disposal, node));
}

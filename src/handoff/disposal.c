/*
 * disposal.c: a detached thread for each disposal. It shares nothing with the loop but its own struct:
 * `state` says who frees it. Daemon process; dispose() on the thread, the rest on the loop's.
 */
#include "handoff/disposal.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/signals.h"
#include "handoff/user.h"

#define STACK_BYTES ((size_t)256 << 10)

enum disposal_state {
	DISPOSAL_RUNNING,
	DISPOSAL_DONE, /* the loop frees it */
	DISPOSAL_LEFT, /* the thread does */
};

struct disposal {
	struct list node;  /* in disposal_desk.running */
	struct user *user; /* charged for a connection */
	_Atomic enum disposal_state state;
	size_t n;
	int fds[]; /* own */
};

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close_fd(&fds[i]);
}

static void *dispose(void *data)
{
	struct disposal *d = data;

	close_all(d->fds, d->n);
	if (atomic_exchange(&d->state, DISPOSAL_DONE) == DISPOSAL_LEFT)
		free(d);
	return NULL;
}

static bool start(struct disposal *d)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t before;
	int r = pthread_attr_init(&attributes);

	if (r)
		return false;
	signals_block(&before);
	r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (!r)
		r = pthread_create(&thread, &attributes, dispose, d);
	signals_restore(&before);
	pthread_attr_destroy(&attributes);
	return r == 0;
}

void disposal_desk_init(struct disposal_desk *k)
{
	list_init(&k->running);
}

void disposal_start(struct disposal_desk *k, struct user *u, const int *fds, size_t n)
{
	struct disposal *d = malloc(sizeof(*d) + n * sizeof(fds[0]));

	if (d) {
		*d = (struct disposal){.user = u, .n = n};
		memcpy(d->fds, fds, n * sizeof(fds[0]));
		list_init(&d->node);
	}
	if (!d || !start(d)) {
		for (size_t i = 0; i < n; i++)
			close_fd(&(int){fds[i]});
		free(d);
		return;
	}
	user_hold(u);
	list_push_back(&k->running, &d->node);
}

/* The charge and the place in the list end; the struct with whoever is last. */
static void let_go(struct disposal *d)
{
	list_remove(&d->node);
	user_disconnect(d->user);
	if (atomic_exchange(&d->state, DISPOSAL_LEFT) == DISPOSAL_DONE)
		free(d);
}

void disposal_desk_sweep(struct disposal_desk *k)
{
	list_for_each (&k->running, node) {
		struct disposal *d = list_entry(node, struct disposal, node);

		if (atomic_load(&d->state) == DISPOSAL_DONE)
			let_go(d);
	}
}

void disposal_desk_deinit(struct disposal_desk *k)
{
	list_for_each (&k->running, node)
		let_go(list_entry(node, struct disposal, node));
}

/*
 * disposer.c: a queue and the thread behind it. Daemon process; dispose_all() on the thread, the rest on the
 * loop's.
 */
#include "pool/disposer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/signals.h"
#include "shm/view.h"

/* What is smaller costs less to give back than to hand over. */
#define SMALL_BYTES (UINT64_C(256) << 10)
#define STACK_BYTES ((size_t)256 << 10)

struct remains {
	struct list node;
	struct view *view; /* own; NULL: none */
	int fd;		   /* own; -1: none */
};

struct disposer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	struct list queue; /* struct remains.node */
	uint64_t n_done;
	bool started;
	bool ended;
};

static void dispose(struct remains *r)
{
	view_free(r->view);
	close_fd(&r->fd);
	free(r);
}

static void *dispose_all(void *data)
{
	struct disposer *d = data;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		struct list *first = list_first(&d->queue);

		if (!first && d->ended)
			break;
		if (!first) {
			pthread_cond_wait(&d->changed, &d->lock);
			continue;
		}
		list_remove(first);
		pthread_mutex_unlock(&d->lock);
		dispose(list_entry(first, struct remains, node));
		pthread_mutex_lock(&d->lock);
		d->n_done++;
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int disposer_new(struct disposer **ret_disposer)
{
	struct disposer *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	list_init(&d->queue);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	*ret_disposer = d;
	return 0;
}

struct disposer *disposer_free(struct disposer *d)
{
	if (!d)
		return NULL;
	pthread_mutex_lock(&d->lock);
	d->ended = true;
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
	if (d->started)
		pthread_join(d->thread, NULL);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return NULL;
}

static bool start(struct disposer *d)
{
	pthread_attr_t attributes;
	sigset_t before;
	int r = pthread_attr_init(&attributes);

	if (r)
		return false;
	signals_block(&before);
	r = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (!r)
		r = pthread_create(&d->thread, &attributes, dispose_all, d);
	signals_restore(&before);
	pthread_attr_destroy(&attributes);
	d->started = r == 0;
	return d->started;
}

/* Takes both over. */
static void push(struct disposer *d, struct view *v, int fd)
{
	struct remains *r = malloc(sizeof(*r));

	if (!r || (!d->started && !start(d))) {
		free(r);
		view_free(v);
		close_fd(&fd);
		return;
	}
	r->view = v;
	r->fd = fd;
	list_init(&r->node);
	pthread_mutex_lock(&d->lock);
	list_push_back(&d->queue, &r->node);
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

void disposer_view(struct disposer *d, struct view *v, int fd)
{
	if (v && view_size(v) > SMALL_BYTES) {
		push(d, v, fd);
		return;
	}
	view_free(v);
	close_fd(&fd);
}

void disposer_fd(struct disposer *d, int fd)
{
	if (fd >= 0)
		push(d, NULL, fd);
}

uint64_t disposer_n_done(struct disposer *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->n_done;
	pthread_mutex_unlock(&d->lock);
	return n;
}

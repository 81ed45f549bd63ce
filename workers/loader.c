/*
 * loader.c: a queue and the thread behind it. Worker process; the functions of the header are for any
 * other thread.
 */
#include "workers/loader.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

struct loader {
	void (*handle)(void *data, const struct wire_message *m);
	void *data;		      /* borrow */
	struct wire_scratch *scratch; /* own; the thread's */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list jobs; /* own */
	bool busy;
	bool ended;
};

static void handle_job(struct loader *l, struct job *job)
{
	const struct wire_message *m;
	size_t used;
	int r = wire_unpack(l->scratch, job->message, job->n, &used, &m);

	assert(r == 0);
	(void)r;
	l->handle(l->data, m);
	free(job);
}

static void *serve(void *arg)
{
	struct loader *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->ended) {
		struct list *first = list_first(&l->jobs);

		if (!first) {
			pthread_cond_wait(&l->changed, &l->lock);
			continue;
		}
		list_remove(first);
		l->busy = true;
		pthread_mutex_unlock(&l->lock);
		handle_job(l, list_entry(first, struct job, node));
		pthread_mutex_lock(&l->lock);
		l->busy = false;
		pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int loader_new(struct loader **ret_loader, void (*handle)(void *data, const struct wire_message *m),
	void *data)
{
	_cleanup_(loader_freep) struct loader *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->handle = handle;
	l->data = data;
	list_init(&l->jobs);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	r = wire_scratch_new(&l->scratch);
	if (!r)
		r = -pthread_create(&l->thread, NULL, serve, l);
	if (r)
		return r;
	l->started = true;
	*ret_loader = steal_ptr(l);
	return 0;
}

static void forget(struct loader *l)
{
	list_for_each (&l->jobs, node) {
		list_remove(node);
		free(list_entry(node, struct job, node));
	}
}

void loader_end(struct loader *l)
{
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (l->started)
		pthread_join(l->thread, NULL);
	l->started = false;
}

struct loader *loader_free(struct loader *l)
{
	if (!l)
		return NULL;
	loader_end(l);
	forget(l);
	wire_scratch_free(l->scratch);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

void loader_push(struct loader *l, struct job *job)
{
	pthread_mutex_lock(&l->lock);
	list_push_back(&l->jobs, &job->node);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

bool loader_is_idle(struct loader *l)
{
	bool is;

	pthread_mutex_lock(&l->lock);
	is = !l->busy && list_empty(&l->jobs);
	pthread_mutex_unlock(&l->lock);
	return is;
}

void loader_wait_idle(struct loader *l)
{
	pthread_mutex_lock(&l->lock);
	forget(l);
	while (l->busy)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

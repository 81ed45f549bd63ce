/*
 * resolve.c: getaddrinfo(3) knows no time limit and cannot be ended, so it runs on a thread of its own, which is left
 * behind when the time is up. A lookup belongs to both: whoever is done with it last frees it. Numbers are not looked up.
 * Client process; the caller's thread, and the lookup's.
 */
#include "clients/c/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/host_port.h"
#include "base/signals.h"

struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;	/* by the thread */
	bool abandoned; /* by the caller */
	int result;	/* of getaddrinfo() */
	struct addrinfo *found;
	char host[HOST_MAX];
	char port[8];
};

static int ask(struct addrinfo **ret_found, const char *host, const char *port, int flags)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};

	return getaddrinfo(host, port, &hints, ret_found);
}

static void lookup_free(struct lookup *l)
{
	pthread_cond_destroy(&l->ended);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void *run(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo *found = NULL;
	int result = ask(&found, l->host, l->port, 0);
	bool abandoned;

	pthread_mutex_lock(&l->lock);
	abandoned = l->abandoned;
	l->done = true;
	l->result = result;
	l->found = found;
	pthread_cond_signal(&l->ended);
	pthread_mutex_unlock(&l->lock);
	if (!abandoned)
		return NULL;
	if (!result)
		freeaddrinfo(found);
	lookup_free(l);
	return NULL;
}

static struct lookup *lookup_new(const char *host, const char *port)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_condattr_t monotonic;

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	(void)snprintf(l->host, sizeof(l->host), "%s", host);
	(void)snprintf(l->port, sizeof(l->port), "%s", port);
	return l;
}

/* The program's signals are for its own threads. -errno */
static int start(struct lookup *l)
{
	pthread_attr_t detached;
	pthread_t thread;
	sigset_t before;
	int r;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	signals_block(&before);
	r = pthread_create(&thread, &detached, run, l);
	signals_restore(&before);
	pthread_attr_destroy(&detached);
	return -r;
}

/* -ETIMEDOUT: the lookup is the thread's */
static int await(struct lookup *l, uint64_t deadline_ns)
{
	const struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S)};
	int r = 0;

	pthread_mutex_lock(&l->lock);
	while (!l->done && !r)
		r = pthread_cond_timedwait(&l->ended, &l->lock, &until);
	l->abandoned = !l->done;
	r = l->done ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&l->lock);
	return r;
}

int resolve_host(
	struct addrinfo **ret_found, const char *host, const char *port, uint64_t deadline_ns)
{
	struct lookup *l;
	int r;

	if (!ask(ret_found, host, port, AI_NUMERICHOST))
		return 0;
	if (deadline_ns == CLOCK_NO_DEADLINE)
		return ask(ret_found, host, port, 0) ? -EHOSTUNREACH : 0;
	l = lookup_new(host, port);
	if (!l)
		return -ENOMEM;
	r = start(l);
	if (!r)
		r = await(l, deadline_ns);
	if (r == -ETIMEDOUT)
		return r;
	if (!r && l->result)
		r = -EHOSTUNREACH;
	if (!r)
		*ret_found = l->found;
	lookup_free(l);
	return r;
}

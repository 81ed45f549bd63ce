/*
 * closing.c: a detached thread for each. It shares nothing with its maker but its own struct: `state` says who
 * frees it. close_all() on the thread, the rest on the maker's.
 */
#include "base/closing.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/detached.h"

enum closing_state {
	CLOSING_RUNNING,
	CLOSING_DONE, /* the maker frees it */
	CLOSING_LEFT, /* the thread does */
};

struct closing {
	_Atomic enum closing_state state;
	size_t n;
	int fds[]; /* own */
};

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close_fd(&(int){fds[i]});
}

static void *run(void *data)
{
	struct closing *c = data;

	close_all(c->fds, c->n);
	if (atomic_exchange(&c->state, CLOSING_DONE) == CLOSING_LEFT)
		free(c);
	return NULL;
}

struct closing *closing_start(const int *fds, size_t n)
{
	struct closing *c = malloc(sizeof(*c) + n * sizeof(fds[0]));

	if (c) {
		atomic_init(&c->state, CLOSING_RUNNING);
		c->n = n;
		for (size_t i = 0; i < n; i++)
			c->fds[i] = fds[i];
	}
	if (c && !detached_start(run, c))
		return c;
	close_all(fds, n);
	free(c);
	return NULL;
}

bool closing_done(const struct closing *c)
{
	return atomic_load(&c->state) == CLOSING_DONE;
}

struct closing *closing_release(struct closing *c)
{
	if (c && atomic_exchange(&c->state, CLOSING_LEFT) == CLOSING_DONE)
		free(c);
	return NULL;
}

void close_elsewhere(int fd)
{
	if (fd >= 0)
		closing_release(closing_start(&fd, 1));
}

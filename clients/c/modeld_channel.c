/*
 * modeld_channel.c: the connections of gRPC that libmodeld has: one for new calls, and those that the daemon takes no more
 * calls on (GOAWAY), each for as long as a call is open there: at most one for each such call of the caller's.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "clients/c/grpc_client_private.h"
#include "clients/c/modeld_private.h"

bool channel_is_over(const struct modeld *m)
{
	return grpc_client_is_going(m->grpc);
}

static int watch(struct modeld *m, struct grpc_client *c)
{
	struct epoll_event readable = {.events = EPOLLIN};

	return epoll_ctl(m->watch, EPOLL_CTL_ADD, grpc_client_fd(c), &readable) ? -errno : 0;
}

/* A child of fork(2) may have its descriptor as well, so that closing it would not end the watch. */
static void let_go(struct modeld *m, struct grpc_client *c)
{
	if (m->watch >= 0)
		(void)epoll_ctl(m->watch, EPOLL_CTL_DEL, grpc_client_fd(c), NULL);
	grpc_client_free(c);
}

/* Beside those that are there, which go. */
static int watch_both(struct modeld *m, struct grpc_client *fresh)
{
	int r = 0;

	if (m->watch < 0) {
		m->watch = epoll_create1(EPOLL_CLOEXEC);
		r = m->watch < 0 ? -errno : watch(m, m->grpc);
	}
	if (!r)
		r = watch(m, fresh);
	if (r && list_empty(&m->ending))
		close_fd(&m->watch);
	return r;
}

static bool is_needed(const struct grpc_client *c)
{
	return !grpc_client_is_lost(c) && !grpc_client_is_idle(c);
}

/* In place of m->grpc, which is kept while it is needed. */
static int replace(struct modeld *m, struct grpc_client *fresh)
{
	struct grpc_client *before = m->grpc;
	bool needed = before && is_needed(before);
	int r = 0;

	if (needed)
		r = watch_both(m, fresh);
	else if (m->watch >= 0)
		r = watch(m, fresh);
	if (r)
		return r;
	if (needed)
		list_push_back(&m->ending, &before->node);
	else if (before)
		let_go(m, before);
	m->grpc = fresh;
	return 0;
}

int channel_open(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	_cleanup_(grpc_client_freep) struct grpc_client *fresh = NULL;
	uint64_t now = clock_ns();
	int r = grpc_client_new(&fresh, m->address, deadline_ns > now ? deadline_ns - now : 0,
		error->text, sizeof(error->text));

	if (r)
		return error->code = error_code(r);
	r = replace(m, fresh);
	if (r)
		return error_system(error, r, "watching several connections");
	fresh = NULL;
	return 0;
}

void channel_sweep(struct modeld *m)
{
	list_for_each (&m->ending, node) {
		struct grpc_client *c = list_entry(node, struct grpc_client, node);

		if (is_needed(c))
			continue;
		list_remove(&c->node);
		let_go(m, c);
	}
	if (list_empty(&m->ending))
		close_fd(&m->watch);
}

int channel_descriptor(const struct modeld *m)
{
	return m->watch >= 0 ? m->watch : m->grpc ? grpc_client_fd(m->grpc) : -1;
}

void channel_close(struct modeld *m)
{
	list_for_each (&m->ending, node) {
		struct grpc_client *c = list_entry(node, struct grpc_client, node);

		list_remove(&c->node);
		grpc_client_free(c);
	}
	m->grpc = grpc_client_free(m->grpc);
	close_fd(&m->watch);
}

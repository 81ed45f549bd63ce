/*
 * modeld_connection.c: libmodeld's connection is opened with a question for the daemon's limits, which says too that both
 * speak the same protocol; and opened anew by the next one who needs it after it was lost. What a daemon had of a
 * connection (memory, requests) is gone with it, so regions belong to an epoch.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/seqpacket.h"
#include "clients/c/connect.h"
#include "clients/c/modeld_private.h"

/* In a row, where each is ended before it was greeted. */
#define CONNECTIONS_MAX 3u

static int connect_handoff(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	int r;

	close_fd(&m->fd);
	r = connect_seqpacket(&m->fd, m->path, deadline_ns, error->text, sizeof(error->text));
	if (r)
		return error->code = error_code(r);
	r = seqpacket_set_send_buffer(m->fd, HANDOFF_MESSAGE_MAX);
	return r ? error_system(error, r, "the send buffer of the handoff socket") : 0;
}

static int ask_limits(struct modeld *m, uint64_t deadline_ns, struct handoff_limits *ret_limits,
	struct modeld_error *error)
{
	struct handoff_message q = {.type = HANDOFF_GET_LIMITS};
	const struct handoff_message *answer;
	int e = link_ask(m, &q, -1, HANDOFF_LIMITS, deadline_ns, &answer, NULL, error);

	if (!e)
		*ret_limits = answer->limits;
	return e;
}

/* The daemon's protocol, and its busy_poll_us where the caller wants the same. */
static int greet(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	struct handoff_limits limits;
	uint32_t busy_poll_us = m->busy_poll_us;
	int e = ask_limits(m, deadline_ns, &limits, error);

	if (e)
		return e;
	if (limits.protocol != HANDOFF_PROTOCOL)
		return error_set(error, MODELD_E_SYSTEM,
			"the daemon at %s speaks handoff protocol %u, this library %u", m->path,
			limits.protocol, HANDOFF_PROTOCOL);
	if (busy_poll_us == UINT32_MAX)
		busy_poll_us = limits.busy_poll_us;
	m->busy_poll_ns = busy_poll_us * NS_PER_US;
	return 0;
}

/* One that goes may have taken the connection just before, and end it. */
static bool ended_meanwhile(const struct modeld *m, int e)
{
	return e == MODELD_E_SYSTEM && m->lost.code && !m->distrusted;
}

static int open_handoff(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	int e = 0;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		e = connect_handoff(m, deadline_ns, error);
		if (e)
			return e;
		m->epoch++;
		m->lost.code = 0;
		m->going = false;
		e = greet(m, deadline_ns, error);
		if (!ended_meanwhile(m, e))
			break;
	}
	if (e)
		m->lost = *error;
	else
		error->code = 0;
	return e;
}

/* Who takes no more calls by gRPC goes, or ends just this connection (http2.max_age_ms; a proxy does so too): one that goes has ended
 * its handoff socket's input before, so that a question there tells them apart. MODELD_E_TIMEOUT: it does not answer. */
static int ask_who_goes(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	struct handoff_limits limits;
	int e = m->lost.code ? 0 : ask_limits(m, deadline_ns, &limits, error);

	if (e && !m->lost.code)
		return e;
	error->code = 0;
	return 0;
}

int connection_ready(struct modeld *m, uint64_t deadline_ns, struct modeld_error *error)
{
	int e = 0;

	if (!list_empty(&m->ending))
		channel_sweep(m);
	if (m->grpc && channel_is_over(m))
		e = ask_who_goes(m, deadline_ns, error);
	if (e)
		return e;
	if (m->distrusted)
		return *error = m->lost, error->code;
	if (m->lost.code)
		e = open_handoff(m, deadline_ns, error);
	if (!e && m->address && (!m->grpc || channel_is_over(m)))
		e = channel_open(m, deadline_ns, error);
	return e;
}

bool connection_is_lost(struct modeld *m)
{
	link_take_in(m);
	if (m->grpc)
		(void)(grpc_client_run(m->grpc, NULL, 0) == 0);
	return m->lost.code || (m->grpc && channel_is_over(m));
}

int connection_ask(struct modeld *m, struct handoff_message *request, int fd,
	enum handoff_type type, uint64_t deadline_ns, const struct handoff_message **ret_answer,
	int *ret_fd, struct modeld_error *error)
{
	for (bool again = false;; again = true) {
		int e = connection_ready(m, deadline_ns, error);

		if (e)
			return e;
		e = link_ask(m, request, fd, type, deadline_ns, ret_answer, ret_fd, error);
		if (e != MODELD_E_SYSTEM || again || !m->lost.code)
			return e;
		error->code = 0;
	}
}

int connection_limits(struct modeld *m, uint64_t deadline_ns, struct handoff_limits *ret_limits,
	struct modeld_error *error)
{
	struct handoff_message q = {.type = HANDOFF_GET_LIMITS};
	const struct handoff_message *answer;
	int e = connection_ask(m, &q, -1, HANDOFF_LIMITS, deadline_ns, &answer, NULL, error);

	if (!e)
		*ret_limits = answer->limits;
	return e;
}

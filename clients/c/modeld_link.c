/*
 * modeld_link.c: records over the handoff socket. Answers come in any order; the sequence number says
 * whose each is: the one control request that is waited for, or an open call. Answers to what nobody
 * waits for any more are dropped; one to what was never asked ends the connection, as does everything
 * else that breaks the protocol.
 *
 * The socket is blocking, and every send and receive says MSG_DONTWAIT. Client process, the caller's
 * thread.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/seqpacket.h"
#include "clients/c/connect.h"
#include "clients/c/modeld_private.h"

static void end_everything(struct modeld *m)
{
	m->on_lost(m);
	if (m->control)
		*m->control->done = true;
}

void link_lost(struct modeld *m, int err)
{
	const char *cause = err == -EPIPE    ? "closed by the daemon"
			    : err == -EPROTO ? "the daemon broke the protocol"
					     : err_str(err);

	if (!m->lost.code)
		(void)error_set(
			&m->lost, MODELD_E_SYSTEM, "connection to %s lost: %s", m->path, cause);
	m->distrusted |= err == -EPROTO;
	end_everything(m);
}

/* The daemon's last words: an error that answers nothing. */
static int last_words(struct modeld *m, const struct handoff_message *answer)
{
	if (answer->type != HANDOFF_ERROR)
		return -EPROTO;
	(void)error_set(&m->lost, (int)answer->error.code, "%s", answer->error.message);
	return -ECONNRESET;
}

/* Takes *fd when somebody wants it. */
static int deliver(struct modeld *m, const struct handoff_message *answer, int *fd)
{
	if (answer->seq == 0)
		return last_words(m, answer);
	if (answer->seq >= m->next_seq)
		return -EPROTO;
	if (m->control && m->control->seq == answer->seq) {
		m->control->answer = answer;
		m->control->fd = steal_fd(fd);
		*m->control->done = true;
		return 0;
	}
	return m->on_answer(m, answer, *fd);
}

/* -EAGAIN: nothing is there. Any other failure ends the connection. */
static int receive(struct modeld *m)
{
	_cleanup_(close_fd) int fd = -1;
	const struct handoff_message *answer;
	size_t n, n_fds;
	int r = seqpacket_recv(m->fd, m->record, HANDOFF_MESSAGE_MAX, &n, &fd, 1, &n_fds, 1);

	if (r == -EAGAIN)
		return r;
	if (!r)
		r = handoff_unpack_answer(m->scratch, m->record, n, &answer);
	if (!r)
		r = deliver(m, answer, &fd);
	if (r)
		link_lost(m, r);
	else
		m->n_received++;
	return r;
}

void link_take_in(struct modeld *m)
{
	while (!m->lost.code && receive(m) == 0)
		;
}

/* A daemon that takes no more, since it ends or another one takes its place, still answers what it has taken. 0: that is all in, and the
 * connection lost; -ETIMEDOUT */
static int take_in_the_rest(struct modeld *m, uint64_t deadline_ns)
{
	m->going = true;
	while (!m->lost.code) {
		int r = receive(m) == -EAGAIN ? connect_wait(m->fd, POLLIN, deadline_ns) : 0;

		if (r == -ETIMEDOUT)
			return r;
		if (r)
			link_lost(m, r);
	}
	return 0;
}

/* 0: sent; -ETIMEDOUT; or the connection is lost. */
static int send_record(
	struct modeld *m, const uint8_t *data, size_t n, int fd, uint64_t deadline_ns)
{
	int r;

	while (!m->lost.code) {
		r = seqpacket_send(m->fd, data, n, &fd, fd >= 0 ? 1 : 0, 1);
		if (r == -EAGAIN) {
			/* It may wait for us to read: whatever has come is taken in. */
			r = connect_wait(m->fd, POLLIN | POLLOUT, deadline_ns);
			if (r == -ETIMEDOUT)
				return r;
			while (!r)
				r = receive(m);
			if (r == -EAGAIN)
				continue;
		}
		if (!r)
			return 0;
		/* What the daemon said before it went is worth more than EPIPE. */
		if (r == -EPIPE) {
			r = take_in_the_rest(m, deadline_ns);
			if (r)
				return r;
			break;
		}
		link_take_in(m);
		link_lost(m, r);
	}
	return -EPIPE;
}

int link_send(struct modeld *m, const struct handoff_message *request, int fd, uint64_t deadline_ns,
	struct modeld_error *error)
{
	const uint8_t *data;
	size_t n;
	int r;

	if (m->lost.code)
		return *error = m->lost, error->code;
	if (handoff_pack(m->scratch, request, &data, &n))
		return error_set(error, MODELD_E_USAGE,
			"the request is beyond the limit of a record, %u bytes",
			HANDOFF_MESSAGE_MAX);
	r = send_record(m, data, n, fd, deadline_ns);
	if (r == -ETIMEDOUT)
		return error_system(error, r, "the daemon takes no requests");
	return r ? (*error = m->lost, error->code) : 0;
}

int link_wait(struct modeld *m, const bool *done, uint64_t deadline_ns)
{
	uint64_t spin_until = m->busy_poll_ns ? clock_add(clock_ns(), m->busy_poll_ns) : 0;
	int r;

	if (spin_until > deadline_ns)
		spin_until = deadline_ns;
	while (!*done) {
		r = receive(m);
		if (r != -EAGAIN)
			continue;
		if (spin_until && clock_ns() < spin_until) {
			/* Who is waited for may have no other CPU than this one. */
			sched_yield();
			continue;
		}
		r = connect_wait(m->fd, POLLIN, deadline_ns);
		if (r == -ETIMEDOUT)
			return r;
		if (r)
			link_lost(m, r);
	}
	return 0;
}

/* What the answer is worth to link_ask(). */
static int judge(struct modeld *m, struct control *c, enum handoff_type type, bool wants_fd,
	struct modeld_error *error)
{
	if (!c->answer)
		return *error = m->lost, error->code;
	if (c->answer->type == HANDOFF_ERROR && c->fd < 0)
		return error_set(error, (int)c->answer->error.code, "%s", c->answer->error.message);
	if (c->answer->type == type && (c->fd >= 0) == wants_fd)
		return 0;
	link_lost(m, -EPROTO);
	return *error = m->lost, error->code;
}

int link_ask(struct modeld *m, struct handoff_message *request, int fd, enum handoff_type type,
	uint64_t deadline_ns, const struct handoff_message **ret_answer, int *ret_fd,
	struct modeld_error *error)
{
	bool done = false;
	struct control control = {.done = &done, .fd = -1};
	int r;

	request->seq = control.seq = m->next_seq++;
	r = link_send(m, request, fd, deadline_ns, error);
	if (r)
		return r;
	m->control = &control;
	r = link_wait(m, &done, deadline_ns);
	m->control = NULL;
	if (r) {
		/* What the daemon did, or will do, about it is not known. */
		link_lost(m, r);
		return error_system(error, r, "the daemon does not answer");
	}
	r = judge(m, &control, type, ret_fd != NULL, error);
	if (!r) {
		*ret_answer = control.answer;
		if (ret_fd)
			*ret_fd = steal_fd(&control.fd);
	}
	close_fd(&control.fd);
	return r;
}

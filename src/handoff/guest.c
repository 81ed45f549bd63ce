/*
 * guest.c: one connected client.
 *
 * Answers are queued and sent by handoff_flush(), once a loop iteration; so nothing that answers can
 * find its guest gone afterwards, except where it closes it itself. Whatever ends a guest (its own end,
 * a malformed record, answers that it does not read) costs it its connection and everything that hangs
 * from it, and nobody else anything.
 *
 * One that is leaving (handoff_drain()) is not refused anything: the kernel takes no more records from it, those that it has taken are
 * served, and it is closed behind the last answer. So a client knows of each request whether it was begun.
 *
 * Invariants: not closed means: in handoff.guests, connected in its user's account, polled. Closed: no
 * entries, inferences, allocations or answers. Daemon process, loop thread.
 */
#include "handoff/guest.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "dispatch/client.h"
#include "dispatch/dispatch.h"
#include "handoff/entry.h"
#include "handoff/handoff_private.h"
#include "pool/pool.h"

#define RECORD_BATCH	16u /* in one go; other guests get their turn then */
#define HANDOFF_FDS_MAX 8u  /* of a record */
#define TEXT_MAX	768u

static void on_poll(uv_poll_t *poll, int status, int events);

/* Of one that can send no more the kernel only tells that it has gone: by POLLHUP, which UV_PRIORITIZED stands for. */
static int watch_again(struct guest *p)
{
	return uv_poll_start(&p->poll,
		(p->all_read ? UV_PRIORITIZED : UV_READABLE) | (p->blocked ? UV_WRITABLE : 0),
		on_poll);
}

static void watch(struct guest *p, bool blocked)
{
	if (p->blocked == blocked)
		return;
	p->blocked = blocked;
	(void)watch_again(p);
}

static bool idle(const struct guest *p)
{
	return p->n_inferences == 0 && p->n_tried == 0 && list_empty(&p->allocations) &&
	       list_empty(&p->answers);
}

/* 0: all is sent, or the rest waits. */
static int send_answers(struct guest *p)
{
	bool blocked = p->blocked;
	int r = guest_send_answers(p, &blocked);

	if (!r)
		watch(p, blocked);
	return r;
}

void guest_flush(struct guest *p)
{
	list_remove(&p->dirty_node);
	if (p->ended || send_answers(p) || (p->all_read && idle(p)))
		guest_close(p);
}

typedef int charge_call(struct user *u, uint64_t bytes, char *text, size_t cap);

static int charge(struct guest *p, charge_call *call, uint64_t bytes, char *text, size_t cap)
{
	struct handoff *h = p->handoff;
	int r = call(p->user, bytes, text, cap);

	if (r != USER_E_LIMIT)
		return r;
	unread_sweep(&h->unread, &h->disposals, CLOCK_NO_DEADLINE);
	lent_sweep(&h->lent, CLOCK_NO_DEADLINE);
	return call(p->user, bytes, text, cap);
}

int guest_charge(struct guest *p, uint64_t bytes, char *text, size_t cap)
{
	return charge(p, user_charge, bytes, text, cap);
}

int guest_charge_device(struct guest *p, uint64_t bytes, char *text, size_t cap)
{
	return charge(p, user_charge_device, bytes, text, cap);
}

/* --- Records ---------------------------------------------------------------------------------- */

static const char *end_text(int r)
{
	switch (r) {
	case -EMSGSIZE:
		return "a record beyond HANDOFF_MESSAGE_MAX";
	case -EPROTO:
		return "no room for its descriptors";
	default:
		return err_str(r);
	}
}

/* What was not taken of the descriptors that came: who knows what they are. */
static void dispose(struct guest *p, int *fds, size_t n_fds)
{
	size_t n = 0;

	for (size_t i = 0; i < n_fds; i++) {
		if (fds[i] >= 0)
			fds[n++] = fds[i];
	}
	if (n > 0)
		disposal_start(&p->handoff->disposals, p->user, fds, n);
	if (p->user->connections > p->handoff->settings->max_connections)
		guest_end(p, "descriptors come faster than they can be closed");
}

static int take_record(struct guest *p, size_t n, int *fds, size_t n_fds)
{
	struct handoff *h = p->handoff;
	const struct handoff_message *m;

	if (n_fds > HANDOFF_FDS_MAX) {
		guest_end(p, "too many descriptors in a record");
		return -EPROTO;
	}
	h->n_record = n;
	if (handoff_unpack_request(h->scratch, h->record, n, &m)) {
		guest_end(p, "a malformed record");
		return -EPROTO;
	}
	h->serve(p, m, fds, n_fds);
	return 0;
}

/* 0: go on; -EAGAIN: nothing there; else the end. */
static int receive(struct guest *p)
{
	int fds[SEQPACKET_FDS_MAX];
	size_t n_fds = 0;
	size_t n;
	int r = seqpacket_recv(p->fd, p->handoff->record, HANDOFF_MESSAGE_MAX, &n, fds,
		SEQPACKET_FDS_MAX, &n_fds, 1);

	if (!r)
		r = take_record(p, n, fds, n_fds);
	else if (r != -EAGAIN && r != -EPIPE)
		guest_end(p, end_text(r));
	if (n_fds > 0)
		dispose(p, fds, n_fds);
	return r;
}

/* The end of the input of one that is leaving: what it had sent is being served. */
static int read_to_the_end(struct guest *p)
{
	p->all_read = true;
	guest_flush_later(p);
	return watch_again(p);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct guest *p = poll->data;
	int r = status;

	if (events & UV_WRITABLE)
		guest_flush_later(p);
	if (p->all_read) {
		if (r || (events & UV_PRIORITIZED))
			guest_close(p);
		return;
	}
	for (uint32_t i = 0; !r && i < RECORD_BATCH && !p->ended; i++)
		r = receive(p);
	if (r == -EPIPE && p->leaving)
		r = read_to_the_end(p);
	if (r && r != -EAGAIN)
		guest_close(p);
}

void guest_leave(struct guest *p)
{
	if (p->leaving)
		return;
	p->leaving = true;
	if (seqpacket_end_input(p->fd))
		guest_end(p, "its input cannot be ended");
}

/* --- Life ------------------------------------------------------------------------------------- */

static int identify(struct guest *p)
{
	struct ucred credentials;
	socklen_t n = sizeof(credentials);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &n))
		return -errno;
	p->peer = (struct peer){.uid = credentials.uid, .pid = credentials.pid};
	return 0;
}

static int admit(struct guest *p)
{
	char text[TEXT_MAX];
	int r = user_connect(
		&p->user, &p->handoff->users, (uint32_t)p->peer.uid, text, sizeof(text));

	if (r == USER_E_LIMIT)
		log_debug("handoff connection refused", "pid=%d why=\"%s\"", p->peer.pid, text);
	return r;
}

static int set_up(struct guest *p)
{
	struct handoff *h = p->handoff;
	int r = identify(p);

	if (!r)
		r = admit(p);
	if (!r)
		r = client_new(&p->client, dispatch_tally(h->dispatch));
	if (!r)
		r = seqpacket_set_send_buffer(p->fd, HANDOFF_MESSAGE_MAX);
	if (!r)
		r = uv_poll_init(h->loop, &p->poll, p->fd);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	struct guest *p = handle->data;

	p->handoff->n_guests--;
	p->handoff->n_invited -= p->invited;
	free(p);
}

int guest_open(struct handoff *h, int fd, bool invited)
{
	struct guest *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->handoff = h;
	p->fd = fd;
	p->invited = invited;
	p->id = ++h->last_guest;
	list_init(&p->dirty_node);
	list_init(&p->entries);
	list_init(&p->allocations);
	list_init(&p->inferences);
	list_init(&p->answers);
	r = set_up(p);
	if (r) {
		client_unref(p->client);
		if (p->user)
			user_disconnect(p->user);
		free(p);
		return r;
	}
	p->poll.data = p;
	list_init(&p->node);
	list_push_back(&h->guests, &p->node);
	h->n_guests++;
	h->n_invited += invited;
	if (watch_again(p))
		guest_close(p);
	return 0;
}

/* Records that were not read end with the socket, and whatever descriptors they have: theirs, and ours at their end. */
static void close_socket(struct guest *p)
{
	bool drained = seqpacket_end(p->fd);

	if (unread_keep(p->unread, p->fd)) {
		p->unread = NULL;
		p->fd = -1;
		return;
	}
	p->unread = unread_free(p->unread);
	if (!drained)
		disposal_start(&p->handoff->disposals, p->user, &(int){steal_fd(&p->fd)}, 1);
	close_fd(&p->fd);
}

static void drop_all(struct list *all)
{
	while (!list_empty(all)) {
		struct held *h = list_entry(all->next, struct held, node);

		h->drop(h);
	}
}

void guest_close(struct guest *p)
{
	if (p->fd < 0)
		return;
	log_debug("handoff connection ended", "pid=%d uid=%" PRIu32 " requests=%" PRIu32,
		p->peer.pid, (uint32_t)p->peer.uid, p->n_inferences);
	p->ended = true;
	list_remove(&p->node);
	list_remove(&p->dirty_node);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	guest_drop_answers(p);
	close_socket(p);
	drop_all(&p->inferences);
	drop_all(&p->allocations);
	drop_all(&p->entries);
	p->client = client_unref(p->client);
	user_disconnect(steal_ptr(p->user));
}

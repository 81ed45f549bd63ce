/*
 * guest.c: one connected client.
 *
 * Answers are queued and sent by handoff_flush(), once a loop iteration; so nothing that answers can
 * find its guest gone afterwards, except where it closes it itself. Whatever ends a guest (its own end,
 * a malformed record, answers that it does not read) costs it its connection and everything that hangs
 * from it, and nobody else anything.
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

struct answer {
	struct list node; /* in guest.answers */
	int fd;		  /* own; -1: none */
	uint64_t seq;
	struct parts_queued *parts;	    /* borrow: it counts there; NULL: nowhere */
	uint8_t token[HANDOFF_TOKEN_BYTES]; /* where fd is one: of its region */
	size_t n;
	uint8_t data[];
};

/* Its descriptor may be the last of large memory. */
static void answer_free(struct guest *p, struct answer *a)
{
	if (a->fd >= 0)
		pool_dispose(dispatch_pool(p->handoff->dispatch), steal_fd(&a->fd));
	free(a);
}

static void make_dirty(struct guest *p)
{
	if (list_empty(&p->dirty_node))
		list_push_back(&p->handoff->dirty, &p->dirty_node);
}

/* Nothing more is read; what is queued is not sent either. */
static void guest_end(struct guest *p, const char *why)
{
	char text[PEER_LOG_TEXT_MAX];

	if (p->ended)
		return;
	p->ended = true;
	if (peer_log_who(&p->handoff->peer_log, &p->peer, clock_ns(), text))
		log_warning("handoff connection closed", "client=%s why=\"%s\"", text, why);
	make_dirty(p);
}

/* --- Answers ---------------------------------------------------------------------------------- */

static const struct handoff_registered *region_of(const struct handoff_message *m)
{
	return m->type == HANDOFF_REGISTERED ? &m->registered : m->inferred.room;
}

/* fd: of the region that the answer tells of, or -1. */
static int answer_new(struct answer **ret_answer, struct guest *p, const struct handoff_message *m,
	const uint8_t *data, size_t n, int *fd)
{
	struct answer *a = malloc(sizeof(*a) + n);

	if (!a || (*fd >= 0 && unread_add(&p->unread, &p->handoff->unread, p->user, p->fd))) {
		free(a);
		return -ENOMEM;
	}
	a->seq = m->seq;
	a->parts = NULL;
	if (*fd >= 0)
		memcpy(a->token, region_of(m)->token, sizeof(a->token));
	a->fd = steal_fd(fd);
	a->n = n;
	memcpy(a->data, data, n);
	*ret_answer = a;
	return 0;
}

/* parts: where it counts; NULL: nowhere. */
static void queue_answer(
	struct guest *p, const struct handoff_message *m, int fd, struct parts_queued *parts)
{
	_cleanup_(close_fd) int owned = fd;
	struct answer *a;
	const uint8_t *data;
	size_t n;

	if (p->fd < 0 || p->ended)
		return;
	if (handoff_pack(p->handoff->scratch, m, &data, &n)) {
		guest_end(p, "an answer beyond the limits of the protocol");
		return;
	}
	if (answer_new(&a, p, m, data, n, &owned)) {
		guest_end(p, "out of memory");
		return;
	}
	a->parts = parts;
	if (parts)
		parts->n++;
	list_push_back(&p->answers, &a->node);
	p->answer_bytes += sizeof(*a) + n;
	make_dirty(p);
	if (p->answer_bytes > p->handoff->settings->max_output_bytes)
		guest_end(p, "it does not read its answers: [handoff] max_output_bytes");
}

void guest_answer(struct guest *p, const struct handoff_message *m, int fd)
{
	queue_answer(p, m, fd, NULL);
}

void guest_answer_part(
	struct guest *p, const struct handoff_message *m, int fd, struct parts_queued *parts)
{
	queue_answer(p, m, fd, parts);
}

void guest_forget_parts(struct guest *p, struct parts_queued *parts)
{
	if (parts->n == 0)
		return;
	list_for_each (&p->answers, node) {
		struct answer *a = list_entry(node, struct answer, node);

		if (a->parts == parts)
			a->parts = NULL;
	}
}

void guest_refuse(struct guest *p, uint64_t seq, enum grpc_status code, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	guest_answer(p,
		&(struct handoff_message){.seq = seq, .type = HANDOFF_ERROR, .error = {code, text}},
		-1);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct guest *p, bool blocked)
{
	if (p->blocked == blocked)
		return;
	p->blocked = blocked;
	uv_poll_start(&p->poll, UV_READABLE | (blocked ? UV_WRITABLE : 0), on_poll);
}

static void remove_answer(struct guest *p, struct answer *a)
{
	if (a->parts)
		a->parts->n--;
	p->answer_bytes -= sizeof(*a) + a->n;
	list_remove(&a->node);
	answer_free(p, a);
}

/* It is not sent: the region that it tells of goes. */
static void withhold(struct guest *p, struct answer *a)
{
	struct entry *e = a->fd >= 0 ? entry_find(&p->handoff->entries, a->token) : NULL;

	if (e && e->guest == p)
		entry_unregister(e);
	if (a->fd >= 0)
		unread_dropped(p->unread);
	remove_answer(p, a);
}

/* The kernel takes no more descriptors of ours: that request has failed, and its memory goes, and what is queued behind
 * this answer of its. Who still gives answers in part is told, and says so in the last one. */
static int answer_refusal(struct guest *p, struct answer *a)
{
	struct parts_queued *parts = a->parts;
	uint64_t seq = a->seq;

	list_for_each (&p->answers, node) {
		struct answer *behind = list_entry(node, struct answer, node);

		if (behind->seq == seq)
			withhold(p, behind);
	}
	if (parts)
		parts->refused = true;
	else
		guest_refuse(p, seq, GRPC_RESOURCE_EXHAUSTED, "%s", GUEST_FDS_UNREAD_TEXT);
	return p->ended ? -ENOBUFS : 0;
}

/* 0: all is sent, or the rest waits. */
static int send_answers(struct guest *p)
{
	while (!list_empty(&p->answers)) {
		struct answer *a = list_entry(p->answers.next, struct answer, node);
		int r = seqpacket_send(p->fd, a->data, a->n, &a->fd, a->fd >= 0, 1);

		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM) {
			watch(p, true);
			return 0;
		}
		if (r == -ETOOMANYREFS && a->fd >= 0) {
			r = answer_refusal(p, a);
			if (!r)
				continue;
		}
		if (r)
			return r;
		if (a->fd >= 0)
			unread_sent(p->unread);
		remove_answer(p, a);
	}
	watch(p, false);
	return 0;
}

static bool idle(const struct guest *p)
{
	return p->n_inferences == 0 && list_empty(&p->allocations) && list_empty(&p->answers);
}

bool guest_is_leaving(const struct guest *p)
{
	return p->invited ? p->handoff->dismissed : p->handoff->draining;
}

void guest_flush(struct guest *p)
{
	list_remove(&p->dirty_node);
	if (p->ended || send_answers(p) || (guest_is_leaving(p) && idle(p)))
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

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct guest *p = poll->data;
	int r = status;

	if (events & UV_WRITABLE)
		make_dirty(p);
	for (uint32_t i = 0; !r && i < RECORD_BATCH && !p->ended; i++)
		r = receive(p);
	if (r && r != -EAGAIN)
		guest_close(p);
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
	if (uv_poll_start(&p->poll, UV_READABLE, on_poll))
		guest_close(p);
	return 0;
}

static void drop_answers(struct guest *p)
{
	struct list *node;

	while ((node = list_first(&p->answers))) {
		struct answer *a = list_entry(node, struct answer, node);

		if (a->fd >= 0)
			unread_dropped(p->unread);
		remove_answer(p, a);
	}
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
	drop_answers(p);
	close_socket(p);
	drop_all(&p->inferences);
	drop_all(&p->allocations);
	drop_all(&p->entries);
	p->client = client_unref(p->client);
	user_disconnect(steal_ptr(p->user));
}

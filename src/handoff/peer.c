/*
 * peer.c: one connected client.
 *
 * Answers are queued and sent by handoff_flush(), once a loop iteration; so nothing that answers can
 * find its peer gone afterwards, except where it closes it itself. Whatever ends a peer (its own end,
 * a malformed record, answers that it does not read) costs it its connection and everything that hangs
 * from it, and nobody else anything.
 *
 * Invariants: not closed means: in handoff.peers, connected in its user's account, polled. Closed: no
 * entries, inferences, allocations or answers. Daemon process, loop thread.
 */
#include "handoff/peer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "dispatch/client.h"
#include "handoff/handoff_private.h"

#define RECORD_BATCH	16u /* in one go; other peers get their turn then */
#define HANDOFF_FDS_MAX 8u  /* of a record */
#define TEXT_MAX	768u

struct answer {
	struct list node; /* in peer.answers */
	int fd;		  /* own; -1: none */
	size_t n;
	uint8_t data[];
};

static void answer_free(struct answer *a)
{
	close_fd(&a->fd);
	free(a);
}

static void make_dirty(struct peer *p)
{
	if (list_empty(&p->dirty_node))
		list_push_back(&p->handoff->dirty, &p->dirty_node);
}

/* Nothing more is read; what is queued is not sent either. */
static void peer_end(struct peer *p, const char *why)
{
	if (p->ended)
		return;
	p->ended = true;
	log_warning("handoff connection closed", "pid=%d uid=%" PRIu32 " why=\"%s\"", p->pid,
		p->uid, why);
	make_dirty(p);
}

/* --- Answers ---------------------------------------------------------------------------------- */

static int answer_new(struct answer **ret_answer, const uint8_t *data, size_t n, int *fd)
{
	struct answer *a = malloc(sizeof(*a) + n);

	if (!a)
		return -ENOMEM;
	a->fd = steal_fd(fd);
	a->n = n;
	memcpy(a->data, data, n);
	*ret_answer = a;
	return 0;
}

void peer_answer(struct peer *p, const struct handoff_message *m, int fd)
{
	_cleanup_(close_fd) int owned = fd;
	struct answer *a;
	const uint8_t *data;
	size_t n;

	if (p->fd < 0 || p->ended)
		return;
	if (handoff_pack(p->handoff->scratch, m, &data, &n)) {
		peer_end(p, "an answer beyond the limits of the protocol");
		return;
	}
	if (answer_new(&a, data, n, &owned)) {
		peer_end(p, "out of memory");
		return;
	}
	list_push_back(&p->answers, &a->node);
	p->answer_bytes += sizeof(*a) + n;
	make_dirty(p);
	if (p->answer_bytes > p->handoff->settings->max_output_bytes)
		peer_end(p, "it does not read its answers: [handoff] max_output_bytes");
}

void peer_refuse(struct peer *p, uint64_t seq, enum grpc_status code, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	peer_answer(p,
		&(struct handoff_message){.seq = seq, .type = HANDOFF_ERROR, .error = {code, text}},
		-1);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct peer *p, bool blocked)
{
	if (p->blocked == blocked)
		return;
	p->blocked = blocked;
	uv_poll_start(&p->poll, UV_READABLE | (blocked ? UV_WRITABLE : 0), on_poll);
}

/* 0: all is sent, or the rest waits. */
static int send_answers(struct peer *p)
{
	while (!list_empty(&p->answers)) {
		struct answer *a = list_entry(p->answers.next, struct answer, node);
		int r = seqpacket_send(p->fd, a->data, a->n, &a->fd, a->fd >= 0, 1);

		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM) {
			watch(p, true);
			return 0;
		}
		if (r)
			return r;
		p->answer_bytes -= sizeof(*a) + a->n;
		list_remove(&a->node);
		answer_free(a);
	}
	watch(p, false);
	return 0;
}

static bool idle(const struct peer *p)
{
	return p->n_inferences == 0 && list_empty(&p->allocations) && list_empty(&p->answers);
}

void peer_flush(struct peer *p)
{
	list_remove(&p->dirty_node);
	if (p->ended || send_answers(p) || (p->handoff->draining && idle(p)))
		peer_close(p);
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
static void dispose(struct peer *p, int *fds, size_t n_fds)
{
	size_t n = 0;

	for (size_t i = 0; i < n_fds; i++) {
		if (fds[i] >= 0)
			fds[n++] = fds[i];
	}
	if (n > 0)
		disposal_start(&p->handoff->disposals, p->user, fds, n);
	if (p->user->connections > p->handoff->settings->max_connections)
		peer_end(p, "descriptors come faster than they can be closed");
}

static int take_record(struct peer *p, size_t n, int *fds, size_t n_fds)
{
	struct handoff *h = p->handoff;
	const struct handoff_message *m;

	if (n_fds > HANDOFF_FDS_MAX) {
		peer_end(p, "too many descriptors in a record");
		return -EPROTO;
	}
	if (handoff_unpack_request(h->scratch, h->record, n, &m)) {
		peer_end(p, "a malformed record");
		return -EPROTO;
	}
	h->serve(p, m, fds, n_fds);
	return 0;
}

/* 0: go on; -EAGAIN: nothing there; else the end. */
static int receive(struct peer *p)
{
	int fds[SEQPACKET_FDS_MAX];
	size_t n_fds = 0;
	size_t n;
	int r = seqpacket_recv(p->fd, p->handoff->record, HANDOFF_MESSAGE_MAX, &n, fds,
		SEQPACKET_FDS_MAX, &n_fds, 1);

	if (!r)
		r = take_record(p, n, fds, n_fds);
	else if (r != -EAGAIN && r != -EPIPE)
		peer_end(p, end_text(r));
	if (n_fds > 0)
		dispose(p, fds, n_fds);
	return r;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct peer *p = poll->data;
	int r = status;

	if (events & UV_WRITABLE)
		make_dirty(p);
	for (uint32_t i = 0; !r && i < RECORD_BATCH && !p->ended; i++)
		r = receive(p);
	if (r && r != -EAGAIN)
		peer_close(p);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int identify(struct peer *p)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n))
		return -errno;
	p->uid = peer.uid;
	p->pid = peer.pid;
	return 0;
}

static int admit(struct peer *p)
{
	char text[TEXT_MAX];
	int r = user_connect(&p->user, &p->handoff->users, p->uid, text, sizeof(text));

	if (r == USER_E_LIMIT)
		log_debug("handoff connection refused", "pid=%d why=\"%s\"", p->pid, text);
	return r;
}

static int set_up(struct peer *p)
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
	struct peer *p = handle->data;

	p->handoff->n_peers--;
	free(p);
}

int peer_open(struct handoff *h, int fd)
{
	_cleanup_(close_fd) int owned = fd;
	struct peer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->handoff = h;
	p->fd = fd;
	p->id = ++h->last_peer;
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
	steal_fd(&owned);
	p->poll.data = p;
	list_init(&p->node);
	list_push_back(&h->peers, &p->node);
	h->n_peers++;
	r = uv_poll_start(&p->poll, UV_READABLE, on_poll);
	if (r)
		peer_close(p);
	return r;
}

static void drop_answers(struct peer *p)
{
	struct list *node;

	while ((node = list_first(&p->answers))) {
		list_remove(node);
		answer_free(list_entry(node, struct answer, node));
	}
	p->answer_bytes = 0;
}

/* Records that were not read end with the socket, and whatever descriptors they have. */
static void close_socket(struct peer *p)
{
	char byte;

	if (shutdown(p->fd, SHUT_RDWR) || recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT))
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

void peer_close(struct peer *p)
{
	if (p->fd < 0)
		return;
	log_debug("handoff connection ended", "pid=%d uid=%" PRIu32 " requests=%" PRIu32, p->pid,
		p->uid, p->n_inferences);
	p->ended = true;
	list_remove(&p->node);
	list_remove(&p->dirty_node);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	close_socket(p);
	drop_all(&p->inferences);
	drop_all(&p->allocations);
	drop_all(&p->entries);
	drop_answers(p);
	p->client = client_unref(p->client);
	user_disconnect(steal_ptr(p->user));
}

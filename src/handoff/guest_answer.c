/*
 * guest_answer.c: the answers of a connected client: queued, and sent by guest_flush(); one that cannot be is the end of the
 * connection. Daemon process, loop thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "dispatch/dispatch.h"
#include "handoff/entry.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"
#include "pool/pool.h"

#define TEXT_MAX 768u

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

void guest_flush_later(struct guest *p)
{
	if (list_empty(&p->dirty_node))
		list_push_back(&p->handoff->dirty, &p->dirty_node);
}

void guest_end(struct guest *p, const char *why)
{
	char text[PEER_LOG_TEXT_MAX];

	if (p->ended)
		return;
	p->ended = true;
	if (peer_log_who(&p->handoff->peer_log, &p->peer, clock_ns(), text))
		log_warning("handoff connection closed", "client=%s why=\"%s\"", text, why);
	guest_flush_later(p);
}

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
	guest_flush_later(p);
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

int guest_send_answers(struct guest *p, bool *ret_blocked)
{
	while (!list_empty(&p->answers)) {
		struct answer *a = list_entry(p->answers.next, struct answer, node);
		int r = seqpacket_send(p->fd, a->data, a->n, &a->fd, a->fd >= 0, 1);

		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM) {
			*ret_blocked = true;
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
	*ret_blocked = false;
	return 0;
}

void guest_drop_answers(struct guest *p)
{
	struct list *node;

	while ((node = list_first(&p->answers))) {
		struct answer *a = list_entry(node, struct answer, node);

		if (a->fd >= 0)
			unread_dropped(p->unread);
		remove_answer(p, a);
	}
}

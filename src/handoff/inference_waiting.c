/*
 * inference_waiting.c: answers that are not passed on at once, and what becomes of them where the request fails. Where outputs find no
 * room, a region is made for them: they stay in the worker's memory until a thread has copied them there, and all answers of the
 * request that come behind wait for that, in order. The region is the client's from then on, and charged to its user from the start.
 *
 * Invariants: n_waiting is the length of `waiting`; with `copying` the first one is in allocation.c's hands, which calls
 * on_copied() unless the guest goes. Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

/* Where outputs begin in a region that is made for them. */
#define ROOM_ALIGN 64u

/* An answer, and what it borrowed: outputs and their dimensions lie behind this struct. */
struct waiting_answer {
	struct list node; /* in inference.waiting */
	struct output_lease
		*lease; /* ref: of its data; NULL: given to who copies it, or there is none */
	uint64_t room;	/* bytes, whole pages, of the region that it needs; 0: none */
	struct handoff_inferred inferred;
	char worker[64];
	struct handoff_tensor outputs[];
};

static void waiting_free(struct inference *i, struct waiting_answer *w)
{
	list_remove(&w->node);
	i->n_waiting--;
	output_lease_unref(w->lease);
	free(w);
}

void inference_drop_waiting(struct inference *i, bool all)
{
	list_for_each (&i->waiting, node) {
		if (all || !i->copying || node != list_first(&i->waiting))
			waiting_free(i, list_entry(node, struct waiting_answer, node));
	}
}

/* --- Failures --------------------------------------------------------------------------------- */

void inference_stop(struct inference *i)
{
	i->over = true;
	inference_drop_waiting(i, false);
	if (!i->ended)
		i->ended = !i->request || request_withdraw(i->request);
}

static void set_failure(
	struct inference *i, enum grpc_status status, const char *format, va_list args)
{
	i->status = status;
	vsnprintf(i->why, sizeof(i->why), format, args);
}

void inference_fail(struct inference *i, enum grpc_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_failure(i, status, format, args);
	va_end(args);
	inference_stop(i);
}

void inference_end(struct inference *i, enum grpc_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_failure(i, status, format, args);
	va_end(args);
}

void inference_refuse(struct inference *i, const struct handoff_inferred *inferred,
	enum grpc_status code, const char *text)
{
	if (inferred->more)
		inference_fail(i, code, "%s", text);
	else if (i->n_waiting > 0)
		inference_end(i, code, "%s", text);
	else
		inference_tell_sizes(i, inferred, code, text);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static uint64_t align(uint64_t n)
{
	return (n + ROOM_ALIGN - 1) & ~(uint64_t)(ROOM_ALIGN - 1);
}

/* Whole pages for the outputs that are at no target, each of which is told its place. */
static uint64_t lay_out(struct waiting_answer *w)
{
	uint64_t at = 0;
	int r;

	for (size_t k = 0; k < w->inferred.n_outputs; k++) {
		if (w->outputs[k].region)
			continue;
		w->outputs[k].offset = at;
		at += align(w->outputs[k].length);
	}
	r = memfd_round(at, &at);
	assert(r == 0); /* it lies in a worker's memory */
	(void)r;
	return at;
}

int inference_wait(struct inference *i, const struct handoff_inferred *inferred,
	struct output_lease *lease, bool room)
{
	size_t n = inferred->n_outputs;
	int64_t(*dims)[TENSOR_RANK_MAX];
	struct waiting_answer *w = malloc(sizeof(*w) + n * (sizeof(w->outputs[0]) + sizeof(*dims)));

	if (!w)
		return -ENOMEM;
	w->inferred = *inferred;
	w->inferred.outputs = w->outputs;
	snprintf(w->worker, sizeof(w->worker), "%s", inferred->worker);
	w->inferred.worker = w->worker;
	dims = (int64_t(*)[TENSOR_RANK_MAX])(w->outputs + n);
	for (size_t k = 0; k < n; k++) {
		w->outputs[k] = inferred->outputs[k];
		memcpy(dims[k], inferred->outputs[k].dims, w->outputs[k].rank * sizeof(dims[k][0]));
		w->outputs[k].dims = dims[k];
	}
	w->lease = inference_inline_bytes(inferred) > 0 ? output_lease_ref(lease) : NULL;
	w->room = room ? lay_out(w) : 0;
	list_init(&w->node);
	list_push_back(&i->waiting, &w->node);
	i->n_waiting++;
	return 0;
}

/* --- The first one ---------------------------------------------------------------------------- */

/* It is dropped. Behind it nothing may go out: either it was the last, or the inference fails. */
static void refuse(struct inference *i, struct waiting_answer *w, const char *text)
{
	if (w->inferred.more) {
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED, "%s", text);
		return;
	}
	i->n_waiting--;
	inference_refuse(i, &w->inferred, GRPC_RESOURCE_EXHAUSTED, text);
	i->n_waiting++;
	waiting_free(i, w);
}

static void refuse_room(struct inference *i, struct waiting_answer *w, int error)
{
	char text[INFERENCE_TEXT_MAX];

	snprintf(text, sizeof(text),
		"model '%s': a region of %" PRIu64 " bytes for its outputs cannot be made: %s",
		version_settings(i->model)->name, w->room, err_str(error));
	refuse(i, w, text);
}

static struct allocation_content *content_new(struct waiting_answer *w)
{
	struct allocation_content *c =
		malloc(sizeof(*c) + w->inferred.n_outputs * sizeof(c->pieces[0]));

	if (!c)
		return NULL;
	c->lease = steal_ptr(w->lease);
	c->n = 0;
	for (size_t k = 0; k < w->inferred.n_outputs; k++) {
		const struct handoff_tensor *t = &w->outputs[k];

		if (!t->region)
			c->pieces[c->n++] = (struct allocation_piece){
				.data = t->data, .length = t->length, .offset = t->offset};
	}
	return c;
}

static void send_with_room(
	struct inference *i, struct waiting_answer *w, const struct allocation_end *end)
{
	struct handoff_registered room = entry_registered(end->entry);

	for (size_t k = 0; k < w->inferred.n_outputs; k++) {
		if (w->outputs[k].region)
			continue;
		w->outputs[k].region = room.number;
		w->outputs[k].data = NULL;
		w->outputs[k].n_data = 0;
	}
	w->inferred.room = &room;
	w->inferred.n_room = 1;
	inference_send(i, &w->inferred, end->fd);
	waiting_free(i, w);
}

static void on_copied(struct guest *p, void *data, const struct allocation_end *end)
{
	struct inference *i = data;
	struct waiting_answer *w = list_entry(list_first(&i->waiting), struct waiting_answer, node);
	int fd = end->fd;

	(void)p;
	/* Nothing comes behind one that could not be sent. */
	if (i->parts.refused && !i->over)
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED, "%s", GUEST_FDS_UNREAD_TEXT);
	i->copying = false;
	if (i->over) {
		if (end->entry)
			entry_unregister(end->entry);
		close_fd(&fd);
		waiting_free(i, w);
	} else if (end->error) {
		refuse_room(i, w, end->error);
	} else {
		send_with_room(i, w, end);
	}
	inference_advance(i);
	i->on_progress(i);
}

static void make_room(struct inference *i, struct waiting_answer *w)
{
	struct allocation_content *content;
	char text[INFERENCE_TEXT_MAX];
	int r = -ENOMEM;

	if (guest_charge(i->guest, w->room, text, sizeof(text))) {
		refuse(i, w, text);
		return;
	}
	content = content_new(w);
	if (content)
		r = allocation_start(i->guest, &(struct allocation_order){.seq = i->seq,
						       .size = w->room,
						       .content = content,
						       .on_end = on_copied,
						       .data = i});
	else
		user_refund(i->guest->user, w->room);
	if (r)
		refuse_room(i, w, r);
	else
		i->copying = true;
}

void inference_advance(struct inference *i)
{
	struct list *node;

	while (!i->copying && (node = list_first(&i->waiting))) {
		struct waiting_answer *w = list_entry(node, struct waiting_answer, node);

		if (w->room > 0) {
			make_room(i, w);
			continue;
		}
		inference_send(i, &w->inferred, -1);
		waiting_free(i, w);
	}
}

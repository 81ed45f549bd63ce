/*
 * infer_stream.c: a call with any number of inferences.
 *
 * Every request has a slot, from the end of its message until its last answer is handed to the
 * transport. Answers go out from the front; one that comes before its turn is kept, and so are answers in part,
 * but no more than max_unread_answers of them: then the request fails. At most
 * max_stream_requests slots are taken, none while the client does not read, or a request waits for its model to be
 * loaded, and one while a limit of dispatch on what waits is reached, which refuses unary calls: then no bytes are taken
 * either, and the transport closes the stream's window. Where failures are no answers (infer_kind.refuse), a request that fails ends the stream when it is at the front: what was asked
 * behind it is dropped.
 *
 * Invariants: n_slots is the length of slots; the front slot is never answered (it would have been sent).
 * Whoever may have ended the call returns false, and its state must not be touched any more.
 * Daemon process, loop thread.
 */
#include "services/infer_stream.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/output_share.h"
#include "grpc/message.h"
#include "services/caller.h"
#include "services/infer.h"
#include "services/infer_reply.h"

/* An answer in part that came before its turn. */
struct part_reply {
	struct list node; /* in infer_slot.parts */
	struct infer_reply reply;
};

struct infer_slot {
	struct list node;
	struct infer_stream *stream; /* borrow */
	struct list parts;	     /* struct part_reply.node: own */
	uint32_t n_unread;	     /* answers in part that the client is not ready for */
	struct infer_reply *reply;   /* own: the last one came before its turn */
	_Alignas(max_align_t) struct infer infer; /* last: of its kind's size */
};

static size_t slot_size(const struct infer_stream *s)
{
	return offsetof(struct infer_slot, infer) + s->kind->size;
}

static void on_done(struct infer *i, const struct request_result *result);
static void on_read(struct infer *i);

static struct infer_slot *slot_new(struct infer_stream *s)
{
	struct list *node = list_first(&s->spare);
	struct infer_slot *slot;

	if (!node) {
		slot = calloc(1, slot_size(s));
		if (!slot)
			return NULL;
	} else {
		list_remove(node);
		slot = list_entry(node, struct infer_slot, node);
		memset(slot, 0, slot_size(s));
	}
	slot->stream = s;
	infer_init(&slot->infer, s->kind, s->receive.services, on_done, slot);
	slot->infer.allows_partial = s->kind->partial;
	slot->infer.allows_excess = true;
	slot->infer.on_read = on_read;
	list_init(&slot->parts);
	list_init(&slot->node);
	list_push_back(&s->slots, &slot->node);
	s->n_slots++;
	return slot;
}

static void part_free(struct part_reply *p)
{
	list_remove(&p->node);
	infer_reply_deinit(&p->reply);
	free(p);
}

static void slot_free(struct infer_slot *slot)
{
	struct infer_stream *s = slot->stream;
	struct list *node;

	while ((node = list_first(&slot->parts)))
		part_free(list_entry(node, struct part_reply, node));
	list_remove(&slot->node);
	s->n_slots--;
	if (slot->reply)
		infer_reply_deinit(slot->reply);
	free(slot->reply);
	infer_deinit(&slot->infer);
	if (list_empty(&s->spare))
		list_push_back(&s->spare, &slot->node);
	else
		free(slot);
}

static bool slot_failed(const struct infer_slot *slot)
{
	return slot->infer.failure.status != GRPC_OK;
}

static bool slot_send(struct infer_slot *slot, struct infer_reply *reply)
{
	struct call *c = slot->stream->call;

	if (infer_reply_send(reply, c)) {
		message_no_memory(c);
		return false;
	}
	slot_free(slot);
	return true;
}

/* True: a failure is an answer like others, and the stream goes on. */
static bool goes_on(const struct infer_stream *s)
{
	return s->kind->refuse != NULL;
}

/* The front slot has failed. False: the call has ended. */
static bool tell_failure(struct infer_slot *slot)
{
	struct infer_stream *s = slot->stream;
	bool last = s->refusing && s->slots.prev == &slot->node;
	struct infer_reply reply;

	if (!goes_on(s) || last) {
		infer_reply_failure(s->call, &slot->infer.failure);
		return false;
	}
	infer_reply_init(&reply, INFER_REPLY_MEMORY_MAX);
	if (s->kind->refuse(&slot->infer, &reply) == 0)
		return slot_send(slot, &reply);
	infer_reply_deinit(&reply);
	message_no_memory(s->call);
	return false;
}

/* Its turn has come. False: the call has ended. */
static bool send_parts(struct infer_slot *slot)
{
	struct call *c = slot->stream->call;
	struct list *node;

	while ((node = list_first(&slot->parts))) {
		struct part_reply *p = list_entry(node, struct part_reply, node);
		int r = infer_reply_send(&p->reply, c);

		part_free(p);
		if (r) {
			message_no_memory(c);
			return false;
		}
	}
	return true;
}

/* Send what is due from the front; end the call where that is due. */
static bool advance(struct infer_stream *s)
{
	struct list *node;

	while ((node = list_first(&s->slots))) {
		struct infer_slot *slot = list_entry(node, struct infer_slot, node);

		if (!send_parts(slot))
			return false;
		if (!slot_failed(slot) && !slot->reply)
			return true;
		if (slot_failed(slot) ? !tell_failure(slot) : !slot_send(slot, slot->reply))
			return false;
	}
	if (!s->half_closed)
		return true;
	call_finish(s->call, GRPC_OK, NULL);
	return false;
}

/* Are the limits on what waits reached? Where nothing of the stream is in flight, whose end would tell that
 * it may go on, it has one more. */
static bool must_wait(const struct infer_stream *s)
{
	const struct infer_slot *last;

	if (s->n_slots == 0)
		return false;
	last = list_entry(s->slots.prev, struct infer_slot, node);
	return dispatch_full(
		s->receive.services->dispatch, call_connection(s->call), last->infer.model);
}

static bool is_full(const struct infer_stream *s)
{
	return s->n_slots >= s->receive.services->settings->max_stream_requests ||
	       s->receive.kept || call_blocked(s->call) || must_wait(s);
}

/* Take bytes again if that was stopped. May end the call. */
static void unstall(struct infer_stream *s)
{
	if (!s->stalled || is_full(s))
		return;
	s->stalled = false;
	call_resume(s->call);
}

/* A request has failed: does what comes behind it count? */
static void failed(struct infer_stream *s)
{
	if (!goes_on(s))
		s->refusing = true;
}

/* Not its turn yet: keep the answer. */
static void save(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct infer_reply *reply = malloc(sizeof(*reply));

	if (!reply) {
		infer_fail_memory(&i->failure);
	} else {
		infer_reply_init(reply, INFER_REPLY_MEMORY_MAX);
		slot->reply = reply;
		if (i->kind->reply(i, result, reply) == 0)
			return;
	}
	failed(slot->stream);
}

/* True: go on. */
static bool answer(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct infer_reply reply;

	infer_reply_init(&reply, INFER_REPLY_MEMORY_MAX);
	if (i->kind->reply(i, result, &reply) == 0)
		return slot_send(slot, &reply);
	infer_reply_deinit(&reply);
	failed(slot->stream);
	return true;
}

/* --- Answers in part -------------------------------------------------------------------------- */

/* Not its turn yet. INFER_E_FAILED */
static int save_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct part_reply *p = malloc(sizeof(*p));
	int r;

	if (!p)
		return infer_fail_memory(&i->failure);
	list_init(&p->node);
	infer_reply_init(&p->reply, INFER_REPLY_MEMORY_MAX);
	r = i->kind->reply(i, result, &p->reply);
	if (r)
		part_free(p);
	else
		list_push_back(&slot->parts, &p->node);
	return r;
}

static int send_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct infer_reply reply;
	int r;

	infer_reply_init(&reply, INFER_REPLY_MEMORY_MAX);
	r = i->kind->reply(i, result, &reply);
	if (!r && infer_reply_send(&reply, slot->stream->call))
		r = infer_fail_memory(&i->failure);
	infer_reply_deinit(&reply);
	return r;
}

/* What a client does not read is limited, and its memory: a run that waited for it would keep its lane from others. */
static int count_unread(struct infer_slot *slot, bool ready)
{
	bool over = !ready && output_share_over(call_connection(slot->stream->call));

	slot->n_unread = ready ? 0 : slot->n_unread + 1;
	if (!over && slot->n_unread <= slot->stream->receive.services->settings->max_unread_answers)
		return 0;
	return infer_fail(&slot->infer.failure, GRPC_RESOURCE_EXHAUSTED,
		"%" PRIu32 " answers of one request wait for the client to read, above %s",
		slot->n_unread,
		over ? "its share of [worker] output_arena_bytes" : "[limits] max_unread_answers");
}

static void on_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer_stream *s = slot->stream;
	bool front = list_first(&s->slots) == &slot->node;
	int r = count_unread(slot, front && !call_blocked(s->call));

	if (!r)
		r = front ? send_part(slot, result) : save_part(slot, result);
	if (!r)
		return;
	infer_cancel(&slot->infer);
	failed(s);
	if (advance(s))
		unstall(s);
}

static void on_done(struct infer *i, const struct request_result *result)
{
	struct infer_slot *slot = i->data;
	struct infer_stream *s = slot->stream;

	if (result->partial) {
		on_part(slot, result);
		return;
	}
	if (slot_failed(slot)) {
		failed(s);
	} else if (list_first(&s->slots) != &slot->node) {
		save(slot, result);
		return;
	} else if (!answer(slot, result)) {
		return;
	}
	if (advance(s))
		unstall(s);
}

static void on_read(struct infer *i)
{
	unstall(((struct infer_slot *)i->data)->stream);
}

static const struct infer_room_events room_events;

void infer_stream_open(struct infer_stream *s, struct call *c, const struct infer_kind *kind)
{
	s->call = c;
	s->kind = kind;
	list_init(&s->slots);
	list_init(&s->spare);
	infer_receive_init(
		&s->receive, kind->table, call_context(c), call_connection(c), &room_events, s);
}

void infer_stream_close(struct call *c, void *state)
{
	struct infer_stream *s = state;
	struct list *node;

	(void)c;
	while ((node = list_first(&s->slots)))
		slot_free(list_entry(node, struct infer_slot, node));
	if ((node = list_first(&s->spare))) {
		list_remove(node);
		free(list_entry(node, struct infer_slot, node));
	}
	infer_receive_deinit(&s->receive);
}

/* The request whose message was received last has failed on the way in. True: the call goes on. */
static bool refuse(struct infer_stream *s)
{
	struct infer_slot *slot = slot_new(s);

	failed(s);
	s->skipping = true;
	if (!slot) {
		infer_reply_failure(s->call, &s->receive.failure);
		return false;
	}
	infer_failure_move(&slot->infer.failure, &s->receive.failure);
	return advance(s);
}

/* The stream ends behind the answers that are due. */
static void end_behind(struct infer_stream *s, enum grpc_status status, const char *text)
{
	infer_fail(&s->receive.failure, status, "%s", text);
	s->refusing = true;
	refuse(s);
}

/* The rest of the message stays with the transport where the stream ends when its turn comes. */
static void on_expired(void *data)
{
	struct infer_stream *s = data;

	if (refuse(s) && goes_on(s))
		call_resume(s->call);
}

static void on_room(void *data)
{
	struct infer_stream *s = data;

	call_resume(s->call);
}

static const struct infer_room_events room_events = {
	.on_room = on_room,
	.on_expired = on_expired,
};

void infer_stream_message_begin(struct call *c, void *state, uint64_t length)
{
	struct infer_stream *s = state;

	(void)c;
	s->skipping = s->refusing;
	if (!s->skipping)
		infer_receive_begin(&s->receive, length);
}

size_t infer_stream_message_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct infer_stream *s = state;
	size_t taken;

	(void)c;
	if (s->refusing || s->skipping)
		return n;
	if (is_full(s)) {
		s->stalled = true;
		return 0;
	}
	switch (infer_receive_data(&s->receive, data, n, &taken)) {
	case 0:
		return n;
	case INFER_E_WAITING:
		return taken;
	default:
		refuse(s);
		return n;
	}
}

/* A stream may go on for ever, so it ends behind the answers that are due. A message that has come
 * in part is not begun: the client is told to go elsewhere with it. */
void infer_stream_drain(struct call *c, void *state)
{
	struct infer_stream *s = state;

	(void)c;
	if (s->refusing || s->half_closed)
		return;
	end_behind(s, GRPC_UNAVAILABLE, infer_ending_text(s->kind));
}

void infer_stream_message_end(struct call *c, void *state)
{
	struct infer_stream *s = state;
	struct infer_slot *slot;
	struct origin origin;

	if (s->refusing || s->skipping)
		return;
	/* An empty message: the others stopped at their first byte. */
	if (s->receive.kept || s->n_slots >= s->receive.services->settings->max_stream_requests) {
		end_behind(s, GRPC_RESOURCE_EXHAUSTED,
			"empty requests, and no more are taken now: [limits] max_stream_requests");
		return;
	}
	slot = slot_new(s);
	if (!slot) {
		message_no_memory(c);
		return;
	}
	origin = caller_origin(c);
	message_work(c, s->receive.scanner.n_kept);
	if (infer_submit(&slot->infer, &origin, &s->receive) == 0)
		return;
	failed(s);
	advance(s);
}

void infer_stream_half_close(struct call *c, void *state)
{
	struct infer_stream *s = state;

	(void)c;
	s->half_closed = true;
	advance(s);
}

void infer_stream_writable(struct call *c, void *state)
{
	(void)c;
	unstall(state);
}

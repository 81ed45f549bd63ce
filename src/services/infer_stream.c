/*
 * infer_stream.c: a call with any number of inferences.
 *
 * Every request has a slot (infer_slot.h). Answers go out from the front; one that comes before its turn is kept, and so are
 * answers in part, but no more than max_unread_answers of them: then the request fails. At most max_stream_requests slots are
 * taken, none while the client does not read, or a request waits for its model to be loaded, and one while a limit of dispatch
 * on what waits is reached, which refuses unary calls: then no bytes are taken either, and the transport closes the stream's
 * window. Where failures are no answers (infer_kind.refuse), a request that fails ends the stream when it is at the front: what
 * was asked behind it is dropped.
 *
 * Invariants: n_slots is the length of slots; the front slot is never answered (it would have been sent).
 * Whoever may have ended the call returns false, and its state must not be touched any more.
 * Daemon process, loop thread.
 */
#include "services/infer_stream.h"

#include "grpc/message.h"
#include "services/caller.h"
#include "services/infer_reply.h"
#include "services/infer_slot.h"

static void on_done(struct infer *i, const struct request_result *result);
static void on_read(struct infer *i);

/* NULL: no memory */
static struct infer_slot *add_slot(struct infer_stream *s)
{
	return infer_slot_new(s, on_done, on_read);
}

/* The front slot's last answer. False: the call has ended. */
static bool slot_send(struct infer_slot *slot, struct infer_reply *reply)
{
	struct call *c = slot->stream->call;

	if (infer_reply_send(reply, c)) {
		message_no_memory(c);
		return false;
	}
	infer_slot_free(slot);
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
static bool send_kept(struct infer_slot *slot)
{
	struct call *c = slot->stream->call;

	if (infer_slot_send_kept(slot) == 0)
		return true;
	message_no_memory(c);
	return false;
}

/* Send what is due from the front; end the call where that is due. */
static bool advance(struct infer_stream *s)
{
	struct list *node;

	while ((node = list_first(&s->slots))) {
		struct infer_slot *slot = list_entry(node, struct infer_slot, node);

		if (!send_kept(slot))
			return false;
		if (!infer_slot_failed(slot) && !slot->reply)
			return true;
		if (infer_slot_failed(slot) ? !tell_failure(slot) : !slot_send(slot, slot->reply))
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

static void on_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer_stream *s = slot->stream;
	bool front = list_first(&s->slots) == &slot->node;
	int r = infer_slot_count_unread(slot, front && !call_blocked(s->call));

	if (!r)
		r = front ? infer_slot_send_part(slot, result) : infer_slot_keep_part(slot, result);
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
	if (infer_slot_failed(slot)) {
		failed(s);
	} else if (list_first(&s->slots) != &slot->node) {
		if (infer_slot_keep(slot, result))
			failed(s);
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
		infer_slot_free(list_entry(node, struct infer_slot, node));
	infer_slot_free_spare(s);
	infer_receive_deinit(&s->receive);
}

/* The request whose message was received last has failed on the way in. True: the call goes on. */
static bool refuse(struct infer_stream *s)
{
	struct infer_slot *slot = add_slot(s);

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

/* The rest of the message stays with the transport where the stream ends when its turn comes. Where it ends anyway the
 * message is not begun. */
static void on_expired(void *data)
{
	struct infer_stream *s = data;

	if (!s->refusing && refuse(s) && goes_on(s))
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
	if (infer_receive_data(&s->receive, data, n, &taken) != INFER_E_FAILED) {
		call_keep(c, scanner_memory(&s->receive.scanner));
		return taken;
	}
	refuse(s);
	return n;
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
	slot = add_slot(s);
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

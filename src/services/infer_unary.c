/* infer_unary.c: a call with one inference. Daemon process, loop thread. */
#include "services/infer_unary.h"

#include "base/clock.h"
#include "grpc/message.h"
#include "services/caller.h"
#include "services/infer_reply.h"

static void on_done(struct infer *i, const struct request_result *result)
{
	struct call *c = ((struct infer_unary *)i->data)->call;
	struct infer_reply reply;

	infer_reply_init(&reply, INFER_REPLY_MEMORY_MAX);
	if (i->failure.status != GRPC_OK || i->kind->reply(i, result, &reply)) {
		infer_reply_deinit(&reply);
		infer_reply_failure(c, &i->failure);
		return;
	}
	((struct infer_unary *)i->data)->done_ns = result->times.done_ns;
	if (infer_reply_send(&reply, c))
		message_no_memory(c);
	else
		call_finish(c, GRPC_OK, NULL);
}

static void on_expired(void *data)
{
	struct infer_unary *u = data;

	infer_reply_failure(u->call, &u->receive.failure);
}

static void on_room(void *data)
{
	struct infer_unary *u = data;

	call_resume(u->call);
}

static const struct infer_room_events room_events = {
	.on_room = on_room,
	.on_expired = on_expired,
};

void infer_unary_open(
	struct infer_unary *u, struct call *c, const struct infer_kind *kind, struct infer *i)
{
	u->call = c;
	u->infer = i;
	infer_receive_init(
		&u->receive, kind->table, call_context(c), call_connection(c), &room_events, u);
	infer_init(i, kind, call_context(c), on_done, u);
}

void infer_unary_message_begin(struct call *c, void *state, uint64_t length)
{
	struct infer_unary *u = state;

	(void)c;
	infer_receive_begin(&u->receive, length);
}

size_t infer_unary_message_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct infer_unary *u = state;
	size_t taken;

	if (infer_receive_data(&u->receive, data, n, &taken) != INFER_E_FAILED) {
		call_keep(c, scanner_memory(&u->receive.scanner));
		return taken;
	}
	infer_reply_failure(c, &u->receive.failure);
	return n;
}

void infer_unary_message_end(struct call *c, void *state)
{
	struct infer_unary *u = state;
	const struct origin origin = caller_origin(c);

	message_work(c, u->receive.scanner.n_kept);
	if (infer_submit(u->infer, &origin, &u->receive))
		infer_reply_failure(c, &u->infer->failure);
}

void infer_unary_close(struct call *c, void *state)
{
	struct infer_unary *u = state;

	(void)c;
	if (u->done_ns)
		version_note_reply(u->infer->model, clock_ns() - u->done_ns);
	infer_deinit(u->infer);
	infer_receive_deinit(&u->receive);
}

/*
 * call_turn.c: how many messages are handled in one turn of the loop. Megabytes of them may lie in a socket, and one that asks for
 * little may be answered with a list of everything: so work is counted, in messages' worth, and when there was enough of it in a turn
 * a call keeps its message, whole, and what is behind it, for a later one. Connections take turns then, a call each. It keeps it, too,
 * while its client does not read: messages that have no bytes, and such as came before there was anything to read, are not stopped by
 * whoever takes bytes.
 *
 * Invariant: a session that has such calls is in calls.late; one that is there may have none any more. Daemon process, loop thread.
 */
#include <assert.h>

#include "grpc/call_private.h"

static void begin_turn(struct calls *s)
{
	s->work_turn = s->transport->conns.turn;
	s->work = 0;
	s->work_max = WORK_A_TURN;
}

static void wait_for_turn(struct call *c)
{
	struct session_late *late = session_late(c->stream.session);

	if (calls_want_turn(call_calls(c))) {
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	c->awaits_turn = true;
	list_push_back(&late->streams, &c->turn_node);
	if (list_empty(&late->node))
		list_push_back(&call_calls(c)->late, &late->node);
}

/* For what is answered. If not the call waits for that first. */
static bool has_room(struct call *c)
{
	if (!stream_full(&c->stream))
		return true;
	c->awaits_room = true;
	stream_wait(&c->stream);
	return false;
}

bool call_turn_take(struct call *c)
{
	struct calls *s = call_calls(c);

	if (!has_room(c))
		return false;
	if (s->work_turn != s->transport->conns.turn)
		begin_turn(s);
	if (s->work < s->work_max) {
		s->work++;
		return true;
	}
	wait_for_turn(c);
	return false;
}

void call_await_turn(struct call *c)
{
	assert(c->method->turn && !c->awaits_turn);
	c->turn_asked = true;
	wait_for_turn(c);
}

void call_work(struct call *c, size_t n)
{
	struct calls *s = call_calls(c);

	s->work = n < UINT32_MAX - s->work ? s->work + (uint32_t)n : UINT32_MAX;
}

/* One of the connection that has waited longest, which is the last one then. NULL: there is none. */
static struct call *next_late(struct calls *s)
{
	struct list *node;

	while ((node = list_first(&s->late))) {
		struct session_late *late = list_entry(node, struct session_late, node);
		struct list *first = list_first(&late->streams);

		list_remove(node);
		if (!first)
			continue;
		list_remove(first);
		if (!list_empty(&late->streams))
			list_push_back(&s->late, node);
		return list_entry(first, struct call, turn_node);
	}
	return NULL;
}

static void go_on(struct call *c, void (*receive_held)(struct call *c))
{
	struct calls *s = call_calls(c);

	s->work_max = s->work + WORK_AT_A_TIME;
	c->awaits_turn = false;
	if (!c->turn_asked) {
		receive_held(c);
		return;
	}
	if (!has_room(c))
		return;
	c->turn_asked = false;
	s->work++;
	c->method->turn(c, c->state);
}

void call_turn_next(struct calls *s, void (*receive_held)(struct call *c))
{
	struct call *c;

	begin_turn(s);
	/* Without memory for another turn they all have it now. */
	while ((s->work < WORK_A_TURN || (!list_empty(&s->late) && calls_want_turn(s))) &&
		(c = next_late(s)))
		go_on(c, receive_held);
	/* What comes new may be others'. */
	begin_turn(s);
}

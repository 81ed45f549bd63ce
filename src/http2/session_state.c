/*
 * session_state.c: the states of a connection, and how it comes to its end: asked to (shutdown, in
 * two steps), thrown out (expel), or at once (kill).
 *
 * Invariants: state only moves forward; after SESSION_CLOSED there is no stream and no nghttp2
 * session, and nothing is kept for the floor above. Daemon process, loop thread.
 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "http2/session_private.h"

/* What resets may cost in a minute: those of calls that were begun, and of those that were not. */
#define RESET_COST_MAX	10000u
#define RESET_COST_CALL 100u
#define RESET_COST_BARE 1u

void session_set_state(struct session *s, enum session_state state)
{
	assert(state > s->state);
	s->state = state;
	s->state_ns = s->transport->now_ns;
	if (state != SESSION_CLOSED)
		session_arm(s);
}

static void close_streams(struct session *s)
{
	struct list *node;

	while ((node = list_first(&s->streams)))
		stream_close(list_entry(node, struct stream, node));
}

void session_kill(struct session *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	session_set_state(s, SESSION_CLOSED);
	close_streams(s);
	deadline_clear(&s->transport->deadlines, &s->timer);
	list_remove(&s->dirty);
	nghttp2_session_del(s->ng);
	s->ng = NULL;
	if (s->kept)
		s->transport->events->on_forget(s->transport->data, s->kept);
	s->kept = NULL;
	conn_close(&s->conn);
}

/* Our side is over; the peer gets a moment to close first, so that no TCP reset overtakes what it
 * has yet to read. */
void session_linger(struct session *s)
{
	close_streams(s);
	list_remove(&s->dirty);
	session_set_state(s, SESSION_LINGERING);
	conn_shut(&s->conn);
}

void session_shutdown(struct session *s, const char *reason)
{
	if (s->state == SESSION_HANDSHAKE) {
		/* To close what has not been read would be a reset, which a client takes for a server that fails. */
		if (!s->goodbye)
			s->state_ns = s->transport->now_ns;
		s->goodbye = reason;
		session_arm(s);
		return;
	}
	list_for_each (&s->streams, node)
		s->transport->events->streams->on_shutdown(list_entry(node, struct stream, node));
	if (s->state != SESSION_OPEN || s->goodbye_code)
		return;
	s->goodbye = reason;
	session_set_state(s, SESSION_NOTICED);
	session_check(s, nghttp2_submit_shutdown_notice(s->ng));
	session_mark_dirty(s);
}

static void submit_goaway(struct session *s, uint32_t code)
{
	session_check(s, nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE,
				 nghttp2_session_get_last_proc_stream_id(s->ng), code,
				 (const uint8_t *)s->goodbye, strlen(s->goodbye)));
	session_mark_dirty(s);
}

void session_leave(struct session *s)
{
	session_set_state(s, SESSION_LEAVING);
	submit_goaway(s, NGHTTP2_NO_ERROR);
}

void session_expel(struct session *s, uint32_t code, const char *reason)
{
	char text[PEER_LOG_TEXT_MAX];

	if (s->goodbye_code)
		return;
	if (session_log_who(s, text))
		log_info("client expelled", "client=%s reason=%s streams=%u", text, reason,
			s->n_streams);
	s->goodbye_code = code;
	s->goodbye = reason;
	submit_goaway(s, code);
}

/* A length beyond NGHTTP2_HD_MAX_NV ends the decoding of HPACK, and with it the connection: nghttp2 has no option
 * for it, and does not tell it from other errors. INTERNAL_ERROR is what it calls too many resets. */
const char *session_goaway_words(uint32_t code)
{
	switch (code) {
	case NGHTTP2_COMPRESSION_ERROR:
		return "a header name or value of more than 65536 bytes, or malformed HPACK";
	case NGHTTP2_FLOW_CONTROL_ERROR:
		return "more was sent than the window allows, or a window is too large";
	case NGHTTP2_FRAME_SIZE_ERROR:
		return "a frame does not have the size that its type asks for";
	case NGHTTP2_PROTOCOL_ERROR:
		return "a frame or header is not allowed here";
	case NGHTTP2_INTERNAL_ERROR:
		return "more calls were cancelled than [limits] reset_burst and reset_rate allow";
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return "too many frames that need an answer, or too many resets";
	default:
		return NULL;
	}
}

/* Peers can make a server reset streams by frames that are slightly wrong, and so get work begun
 * without holding a stream (CVE-2025-8671). Our own resets are not counted. Where nothing was begun a reset
 * costs next to nothing: some wrong requests must not end a connection that others use, too. */
void session_count_reset(struct session *s, const struct stream *stream, uint32_t code)
{
	uint64_t now_ns = s->transport->now_ns;

	if (code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL || code == NGHTTP2_REFUSED_STREAM)
		return;
	if (now_ns - s->resets_ns >= 60 * NS_PER_S) {
		s->resets_ns = now_ns;
		s->reset_cost = 0;
	}
	s->reset_cost += stream && stream->requested ? RESET_COST_CALL : RESET_COST_BARE;
	if (s->reset_cost > RESET_COST_MAX)
		session_expel(s, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
}

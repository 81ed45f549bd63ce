/*
 * session_pending.c: what is noted about a session while nghttp2 is at work, and acted on later:
 * output to write, a failure, a point in time to look at it, window to give back. Everything else of
 * the session and its streams stands on this. Daemon process, loop thread.
 */
#include <errno.h>

#include "base/clock.h"
#include "http2/session_private.h"

/* Open streams are looked at so often in the shorter of their timeouts. */
#define SCANS_A_TIMEOUT 4u

const char *session_log_who(struct session *s, char out[PEER_LOG_TEXT_MAX])
{
	struct transport *t = s->transport;

	return peer_log_who(&t->peer_log, &s->conn.peer, t->now_ns, out);
}

int session_translate(int rv)
{
	if (rv >= 0)
		return 0;
	return rv == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
}

void session_mark_dirty(struct session *s)
{
	if (s->state < SESSION_LINGERING && list_empty(&s->dirty))
		list_push_back(&s->transport->dirty, &s->dirty);
}

void session_fail(struct session *s, int err)
{
	if (!s->failed)
		s->failed = err;
	session_mark_dirty(s);
}

void session_check(struct session *s, int rv)
{
	if (rv < 0)
		session_fail(s, session_translate(rv));
}

/* Held bytes count against the connection's window only above half of it: one slow call must not
 * starve the others, and what a client can park here stays bounded. Where all together hold more than
 * max_held_bytes, all counts. */
void session_credit(struct session *s)
{
	const struct http2_settings *f = s->transport->settings;
	bool enough = transport_held_bytes(s->transport) > f->max_held_bytes;
	size_t free_bytes = enough ? 0 : f->connection_window_bytes / 2;
	size_t keep = s->held_bytes > free_bytes ? s->held_bytes - free_bytes : 0;

	if (s->uncredited_bytes <= keep)
		return;
	session_check(s, nghttp2_session_consume_connection(s->ng, s->uncredited_bytes - keep));
	s->uncredited_bytes = keep;
}

bool stream_window_closed(const struct stream *s)
{
	return nghttp2_session_get_stream_remote_window_size(s->session->ng, s->id) <= 0;
}

uint64_t session_scan_ns(const struct session *s)
{
	const struct http2_settings *f = s->transport->settings;
	uint64_t ms = f->receive_timeout_ms < f->send_timeout_ms ? f->receive_timeout_ms
								 : f->send_timeout_ms;

	return ms * (NS_PER_MS / SCANS_A_TIMEOUT) + 1;
}

void session_due_by(struct session *s, uint64_t at_ns)
{
	if (s->state == SESSION_CLOSED || (deadline_is_set(&s->timer) && s->timer.at_ns <= at_ns))
		return;
	if (deadline_set(&s->transport->deadlines, &s->timer, at_ns))
		session_fail(s, -ENOMEM);
}

/* Ask every rule anew, from the loop. */
void session_arm(struct session *s)
{
	session_due_by(s, s->transport->now_ns);
}

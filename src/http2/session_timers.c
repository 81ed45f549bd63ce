/*
 * session_timers.c: everything about a connection that depends on time, on one deadline: a table of
 * rules, each of which acts when its time has come and says when it wants to be asked again. Open
 * streams are looked at a few times in each timeout, so calls that go well cost no timer.
 *
 * Invariant: the deadline is never later than what the rules want. Daemon process, loop thread.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "http2/session_private.h"

#define NOTICE_NS (3 * NS_PER_S) /* for the answer to the PING after the first GOAWAY */
#define LINGER_NS NS_PER_S

static uint64_t after_ms(uint64_t since_ns, uint64_t ms)
{
	return clock_add(since_ns, clock_ms_to_ns(ms));
}

static void give_up(struct session *s, const char *setting)
{
	char text[PEER_LOG_TEXT_MAX];

	if (session_log_who(s, text))
		log_info("connection closed", "client=%s reason=%s streams=%u", text, setting,
			s->n_streams);
	session_kill(s);
}

/* The end of the states that may not last. */
static uint64_t state_rule(struct session *s, uint64_t now_ns)
{
	const struct http2_settings *f = s->transport->settings;
	uint64_t due_ns = CLOCK_NO_DEADLINE;

	if (s->state == SESSION_HANDSHAKE)
		due_ns = s->goodbye ? clock_add(s->state_ns, LINGER_NS)
				    : after_ms(s->started_ns, f->handshake_timeout_ms);
	else if (s->state == SESSION_NOTICED)
		due_ns = clock_add(s->state_ns, NOTICE_NS);
	else if (s->state == SESSION_LEAVING && s->state_ns >= s->age_ns)
		due_ns = after_ms(s->state_ns, f->max_age_grace_ms);
	else if (s->state == SESSION_LINGERING)
		due_ns = clock_add(s->state_ns, LINGER_NS);
	if (now_ns < due_ns)
		return due_ns;
	if (s->state == SESSION_NOTICED)
		session_leave(s);
	else if (s->state == SESSION_LINGERING || (s->state == SESSION_HANDSHAKE && s->goodbye))
		session_kill(s);
	else
		give_up(s, s->state == SESSION_HANDSHAKE ? "handshake_timeout_ms"
							 : "max_age_grace_ms");
	return CLOCK_NO_DEADLINE;
}

static uint64_t idle_rule(struct session *s, uint64_t now_ns)
{
	uint64_t timeout_ms = s->transport->settings->idle_timeout_ms;
	uint64_t due_ns;

	if (s->state != SESSION_OPEN || s->n_streams || !timeout_ms)
		return CLOCK_NO_DEADLINE;
	due_ns = after_ms(s->idle_ns, timeout_ms);
	if (now_ns < due_ns)
		return due_ns;
	session_shutdown(s, "max_idle");
	return CLOCK_NO_DEADLINE;
}

static uint64_t age_rule(struct session *s, uint64_t now_ns)
{
	if (s->state != SESSION_OPEN)
		return CLOCK_NO_DEADLINE;
	if (now_ns < s->age_ns)
		return s->age_ns;
	session_shutdown(s, "max_age");
	return CLOCK_NO_DEADLINE;
}

static uint64_t keepalive_rule(struct session *s, uint64_t now_ns)
{
	const struct http2_settings *f = s->transport->settings;
	uint64_t due_ns;

	if (s->state == SESSION_HANDSHAKE || s->state >= SESSION_LINGERING)
		return CLOCK_NO_DEADLINE;
	if (s->keepalive_sent_ns) {
		due_ns = after_ms(s->keepalive_sent_ns, f->keepalive_timeout_ms);
		if (now_ns < due_ns)
			return due_ns;
		give_up(s, "keepalive_timeout_ms");
		return CLOCK_NO_DEADLINE;
	}
	due_ns = after_ms(s->read_ns, f->keepalive_interval_ms);
	if (now_ns < due_ns)
		return due_ns;
	session_check(
		s, nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, (const uint8_t *)PING_KEEPALIVE));
	session_mark_dirty(s);
	s->keepalive_sent_ns = now_ns;
	return after_ms(now_ns, f->keepalive_timeout_ms);
}

/* While the socket is full no stream can move: then the socket is what is judged, but for a stream that
 * could not move anyway. */
static bool output_stuck(const struct session *s, const struct stream *stream)
{
	return !conn_pending(&s->conn) || stream_window_closed(stream);
}

static void log_stuck(struct session *s, const struct stream *stream)
{
	char text[PEER_LOG_TEXT_MAX];

	if (session_log_who(s, text))
		log_info("call closed", "client=%s reason=send_timeout_ms queued_bytes=%zu", text,
			stream->queued_bytes);
}

/* Not while the connection's window is short, which is for what others hold. */
static bool input_slow(const struct session *s, struct stream *stream, uint64_t now_ns)
{
	const struct http2_settings *f = s->transport->settings;
	uint64_t late_ns;

	if (s->uncredited_bytes) {
		stream_measure(stream);
		return false;
	}
	if (now_ns < after_ms(stream->measured_ns, f->receive_timeout_ms))
		return false;
	late_ns = now_ns - after_ms(stream->measured_ns, f->receive_timeout_ms);
	return (double)stream->measured_bytes <
	       (double)f->min_receive_rate * ((double)late_ns / (double)NS_PER_S);
}

static void scan_stream(struct session *s, struct stream *stream, uint64_t now_ns)
{
	const struct http2_settings *f = s->transport->settings;

	if (stream->queued_bytes && now_ns >= after_ms(stream->progress_ns, f->send_timeout_ms) &&
		output_stuck(s, stream)) {
		log_stuck(s, stream);
		s->transport->events->streams->on_stuck(stream);
		return;
	}
	if (!stream->awaits_input || stream->held_bytes)
		return;
	if (now_ns >= after_ms(stream->received_ns, f->receive_timeout_ms))
		s->transport->events->streams->on_silent(stream);
	else if (input_slow(s, stream, now_ns))
		s->transport->events->streams->on_slow(stream);
}

/* Does the socket take bytes? libuv finishes a write in parts, without telling. */
static bool write_stuck(struct session *s, uint64_t now_ns)
{
	size_t pending = conn_pending(&s->conn);

	if (!pending || pending != s->write_pending) {
		s->write_pending = pending;
		s->write_progress_ns = now_ns;
		return false;
	}
	return now_ns >= after_ms(s->write_progress_ns, s->transport->settings->send_timeout_ms);
}

static uint64_t scan_rule(struct session *s, uint64_t now_ns)
{
	uint64_t due_ns = clock_add(s->scanned_ns, session_scan_ns(s));

	if (s->n_streams == 0 && !conn_pending(&s->conn))
		return CLOCK_NO_DEADLINE;
	if (now_ns < due_ns)
		return due_ns;
	s->scanned_ns = now_ns;
	if (write_stuck(s, now_ns)) {
		give_up(s, "send_timeout_ms");
		return CLOCK_NO_DEADLINE;
	}
	list_for_each (&s->streams, it)
		scan_stream(s, list_entry(it, struct stream, node), now_ns);
	return clock_add(now_ns, session_scan_ns(s));
}

static uint64_t (*const rules[])(struct session *s, uint64_t now_ns) = {
	state_rule,
	idle_rule,
	age_rule,
	keepalive_rule,
	scan_rule,
};

void session_on_due(struct deadline *d)
{
	struct session *s = container_of(d, struct session, timer);
	uint64_t next_ns = CLOCK_NO_DEADLINE;

	s->transport->now_ns = clock_ns();
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint64_t due_ns = rules[i](s, s->transport->now_ns);

		if (s->state == SESSION_CLOSED)
			return;
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	if (next_ns != CLOCK_NO_DEADLINE)
		session_due_by(s, next_ns);
}

void session_on_ping(struct session *s)
{
	const struct http2_settings *f = s->transport->settings;
	uint64_t last_ns = s->ping_received_ns;
	uint64_t now_ns = s->transport->now_ns;

	s->ping_received_ns = now_ns;
	if (!last_ns || now_ns >= after_ms(last_ns, f->min_ping_interval_ms))
		return;
	s->ping_strikes++;
	if (f->max_ping_strikes && s->ping_strikes > f->max_ping_strikes)
		session_expel(s, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

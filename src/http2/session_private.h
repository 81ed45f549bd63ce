/* session_private.h: shared by session*.c and stream.c alone. */
#ifndef HTTP2_SESSION_PRIVATE_H
#define HTTP2_SESSION_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "http2/conn.h"
#include "http2/deadlines.h"
#include "http2/session.h"
#include "http2/stream.h"
#include "http2/transport.h"

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_OPEN,
	SESSION_NOTICED,   /* GOAWAY 2^31-1 is sent; calls are still taken */
	SESSION_LEAVING,   /* the final GOAWAY is sent */
	SESSION_LINGERING, /* FIN is sent; waiting for the peer's */
	SESSION_CLOSED,
};

struct session_setup {
	nghttp2_session_callbacks *callbacks; /* own */
	nghttp2_option *option;		      /* own */
	nghttp2_option *unix_option;	      /* own: the same, but headers are judged here */
};

struct session {
	struct conn conn;
	struct transport *transport;	 /* borrow */
	nghttp2_session *ng;		 /* own */
	const struct endpoint *endpoint; /* borrow */
	void *kept;			 /* of the floor above */
	struct list node;		 /* of transport->sessions */
	struct list dirty;		 /* of transport->dirty */
	struct list streams;
	struct list waiting; /* streams to be told when output has drained */
	struct session_late late;
	struct stream *
		recent; /* borrow; the one looked for last: what comes is mostly for it. NULL: none */
	struct deadline timer;
	enum session_state state;
	int failed;	       /* -errno: close at the next flush */
	const char *goodbye;   /* static: debug data of the final GOAWAY */
	uint32_t goodbye_code; /* of nghttp2 */
	uint32_t n_streams;
	size_t queued_bytes;	 /* sum over streams */
	size_t shut_bytes;	 /* of them, of streams that are shut */
	size_t held_bytes;	 /* sum over streams */
	size_t kept_bytes;	 /* likewise */
	size_t uncredited_bytes; /* came, and not yet given back to the connection's window */
	uint64_t started_ns;
	uint64_t state_ns;	    /* when it came into its state */
	uint64_t read_ns;	    /* last input */
	uint64_t idle_ns;	    /* since when no stream is open */
	uint64_t age_ns;	    /* when max_age is over; CLOCK_NO_DEADLINE */
	uint64_t keepalive_sent_ns; /* 0: no ping is out */
	uint64_t ping_received_ns;  /* last valid one; 0: none counts */
	uint64_t scanned_ns;
	uint64_t write_progress_ns; /* output at the socket moved */
	size_t write_pending;	    /* as seen then */
	uint64_t resets_ns;	    /* begin of the minute that is counted */
	uint32_t reset_cost;	    /* of RST_STREAM that the peer made us send in it */
	uint32_t ping_strikes;
};

#define PING_GOODBYE   "goodbye!"
#define PING_KEEPALIVE "alive???"

/* session_pending.c */
void session_mark_dirty(struct session *s);
/* Something failed that leaves HTTP/2 state unclear (memory): close at the next flush. */
void session_fail(struct session *s, int err);
/* For a line about the peer, which may be left out: as peer_log_who(). */
const char *session_log_who(struct session *s, char out[PEER_LOG_TEXT_MAX]);
/* A result of nghttp2 as -errno; what is not negative is 0. */
int session_translate(int rv);
/* Translate, fail. rv 0 is accepted. */
void session_check(struct session *s, int rv);
void session_credit(struct session *s);
/* How often open streams are looked at. */
uint64_t session_scan_ns(const struct session *s);
/* Something must be looked at by at_ns: pull the timer forward. */
void session_due_by(struct session *s, uint64_t at_ns);
/* Ask every rule of session_timers.c anew, from the loop. */
void session_arm(struct session *s);

/* session_state.c */
void session_set_state(struct session *s, enum session_state state);
/* Final GOAWAY with an error and close once it is written, whatever is open. */
void session_expel(struct session *s, uint32_t code, const char *reason);
/* Step two of the shutdown. */
void session_leave(struct session *s);
/* Everything is said: FIN, and a moment for the peer's. */
void session_linger(struct session *s);
/* RST_STREAM with this code was sent. stream: NULL: none that we know. */
void session_count_reset(struct session *s, const struct stream *stream, uint32_t code);

/* What GOAWAY says for which nghttp2 has no words; NULL: nothing. */
const char *session_goaway_words(uint32_t code);

/* session_callbacks.c */
void session_set_callbacks(nghttp2_session_callbacks *callbacks);

/* session_timers.c: all that depends on time, on one deadline. */
void session_on_due(struct deadline *d);
/* A PING came. */
void session_on_ping(struct session *s);

/* stream.c */
struct stream *stream_new(struct session *session, int32_t id);
/* Tells on_close and frees. */
void stream_close(struct stream *s);
/* Put the next n queued bytes into the gather. */
void stream_take_output(struct stream *s, struct gather *b, size_t n);
/* The reply is out and the peer still sends: throw it away for a while, then RST(NO_ERROR). */
void stream_drain(struct stream *s);
/* n bytes came that nobody wants. */
void stream_discard(struct stream *s, size_t n);
/* Does its own window let nothing out? Asks nghttp2. */
bool stream_window_closed(const struct stream *s);
/* See anew which streams are shut, where it matters. */
void session_find_shut(struct session *s);
/* Call on_room of all that wait, when there is room. */
void session_wake_waiting(struct session *s);

#endif

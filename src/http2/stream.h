/*
 * stream.h: one HTTP/2 stream: headers in, body in, body and trailers out. Embedded as the first
 * member of what it carries (a call), which hears of it through stream_events.
 *
 * Life: on_begin -> on_header* -> on_request -> (on_data* -> on_half_close) -> on_close -> freed.
 * on_close comes at any point: RST_STREAM, connection lost, or both sides have ended.
 */
#ifndef HTTP2_STREAM_H
#define HTTP2_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "http2/deadlines.h"
#include "http2/gather.h"
#include "http2/header.h"
#include "http2/request_rules.h"

struct session;

struct stream {
	struct list node;	 /* of session->streams */
	struct list waiting;	 /* of session->waiting: told when output has drained */
	struct session *session; /* borrow */
	struct deadline timer;	 /* of what it carries; the session's while draining */
	int32_t id;
	struct piece *head; /* own; output queue */
	struct piece *tail;
	size_t head_sent;	 /* of the first piece */
	size_t queued_bytes;	 /* not yet in a gather */
	size_t owed_bytes;	 /* of replies that are still being made */
	size_t header_bytes;	 /* of the header list that came, RFC 9113 6.5.2 */
	size_t held_bytes;	 /* request bytes that nobody took yet */
	size_t kept_bytes;	 /* memory for what was taken of a message that is not complete */
	size_t drained_bytes;	 /* thrown away after the reply ended */
	uint64_t progress_ns;	 /* output: queued first, or moved */
	uint64_t received_ns;	 /* input: last byte */
	uint64_t measured_ns;	 /* input: since when its rate is measured */
	uint64_t measured_bytes; /* came since then */
	bool requested;		 /* its headers were well: on_request was told */
	bool headers_sent;	 /* response HEADERS are submitted */
	bool ended;		 /* nothing more will be queued */
	bool trailers;		 /* on_trailers will be asked for them */
	bool deferred;		 /* nghttp2 waits for stream_resume() */
	bool last_frame;	 /* DATA that comes is of a frame with END_STREAM */
	bool half_closed;	 /* END_STREAM came */
	bool reset;		 /* RST_STREAM is submitted */
	bool draining;		 /* the reply is out, the peer has not ended */
	bool awaits_input; /* the peer owes bytes: receive_timeout_ms and min_receive_rate apply */
	bool blocked;	   /* was told to stop producing */
	bool shut;	   /* its own window lets nothing out, as was seen last */
	bool cut;	   /* ended without what was queued */
	struct request_rules rules; /* kept where the endpoint asks for them */
};

struct stream_events {
	size_t stream_bytes; /* size of what embeds a stream */
	/* The memory is zeroed but for the stream. */
	void (*on_begin)(struct stream *s);
	/* Borrowed during the call; not NUL-terminated. */
	void (*on_header)(struct stream *s, const char *name, size_t n_name, const char *value,
		size_t n_value);
	void (*on_request)(struct stream *s);
	/* What is taken must be told by stream_taken(), what is kept by stream_hold(). */
	void (*on_data)(struct stream *s, const uint8_t *data, size_t n);
	void (*on_half_close)(struct stream *s);
	/* All that was queued has left: the trailers, at most HEADERS_MAX; returns how many. The
	 * values are read before this stream's next callback. */
	size_t (*on_trailers)(struct stream *s, struct header *ret_trailers);
	/* Output has drained since stream_wait(). Outside of any other callback. */
	void (*on_room)(struct stream *s);
	/* receive_timeout_ms is over. */
	void (*on_silent)(struct stream *s);
	/* More than that, and what came is less than min_receive_rate. */
	void (*on_slow)(struct stream *s);
	/* send_timeout_ms is over: the stream is to be cut or cancelled. */
	void (*on_stuck)(struct stream *s);
	/* Of all connections its own holds most input, and it most of that; there is no room for what others send (stream_get_room()):
	 * let go of it. From inside of another stream's callback. */
	void (*on_hoarding)(struct stream *s);
	/* The session is asked to end. */
	void (*on_shutdown)(struct stream *s);
	void (*on_close)(struct stream *s);
};

/* --- input ------------------------------------------------------------------------------------ */

/* n bytes were taken (or thrown away): the peer may send as many more. */
void stream_taken(struct stream *s, size_t n);
/* The peer owes bytes from now on (a message of them, or the rest that it could not send until now): how
 * fast they come is measured. */
void stream_measure(struct stream *s);
/* May n bytes more be kept? Not past twice max_held_bytes, over which no connection's window is opened for what
 * is kept. */
bool stream_may_hold(const struct stream *s, size_t n);
/* The same, but where it may not be another call gives way: the one that holds most of the connection that does, unless that is this
 * one's, or would be with n bytes more. */
bool stream_get_room(struct stream *s, size_t n);
/* n bytes of what came are kept above; given back by stream_unhold(), then taken. */
void stream_hold(struct stream *s, size_t n);
void stream_unhold(struct stream *s, size_t n);
/* What was taken is kept in n bytes of memory from now on (0: in none): they count with those that are held, but no window
 * waits for them. Who asks for more asks stream_may_hold() first. */
void stream_keep(struct stream *s, size_t n);

/* --- output ----------------------------------------------------------------------------------- */

/* Queue bytes; they go when the reply's headers are sent and windows allow. -ENOMEM */
_must_use_ int stream_queue_copy(struct stream *s, const void *data, size_t n);
/* The same by reference; release(owner) is called exactly once, on -ENOMEM too. */
_must_use_ int stream_queue_lent(
	struct stream *s, const void *data, size_t n, void (*release)(void *owner), void *owner);
/* n bytes of a reply are being made, outside of any queue: they fill the stream as what is queued does, but not its
 * connection. They are not any more. */
void stream_owe(struct stream *s, size_t n);
void stream_settle(struct stream *s, size_t n);
/* Forget what is queued. */
void stream_drop_output(struct stream *s);
/* Submit response headers, once; what is queued follows. */
void stream_respond(struct stream *s, const struct header *headers, size_t n);
/* Submit response headers that are all of the answer. Nothing may be queued any more. */
void stream_respond_alone(struct stream *s, const struct header *headers, size_t n);
/* More was queued, or the end was set: let it flow. */
void stream_resume(struct stream *s);
/* End after what is queued (headers were or will be submitted), with or without trailers. Nothing
 * may be queued afterwards. */
void stream_end(struct stream *s, bool trailers);
/* Drop what is queued, and what was not yet, and send the trailers at once: they need no window. Headers
 * were submitted. */
void stream_cut(struct stream *s);
/* Drop what is queued and send RST_STREAM(CANCEL); on_close follows later. */
void stream_cancel(struct stream *s);
/* Ask for on_room: at the next flush or, when output must drain first, later. */
void stream_wait(struct stream *s);
/* Above the high-water mark, of the stream or of its connection. What a stream's own closed window keeps
 * counts against that stream alone. */
bool stream_full(const struct stream *s);
/* The connection holds more output than it may: no new work should be begun. */
bool stream_connection_full(const struct stream *s);

#endif

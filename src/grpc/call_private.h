/* call_private.h: shared by call*.c alone. */
#ifndef GRPC_CALL_PRIVATE_H
#define GRPC_CALL_PRIVATE_H

#include "base/buf.h"
#include "base/traceparent.h"
#include "base/tracestate.h"
#include "grpc/call.h"
#include "grpc/calls.h"
#include "grpc/codec.h"
#include "grpc/service.h"
#include "http2/session.h"
#include "http2/stream.h"
#include "proto/grpc_frame.h"

#define CALL_INFLATE_BYTES ((size_t)64 << 10)

struct calls {
	struct transport *transport;	      /* own */
	const struct grpc_settings *settings; /* borrow */
	const struct calls_events *events;    /* borrow */
	void *data;			      /* borrow: the services' */
	struct calls_counters counters;
	struct inflater *spare_inflater; /* own; of the call that needed one last */
	uint8_t *inflate_buffer;	 /* own; CALL_INFLATE_BYTES */
	struct list late;	 /* struct session_late.node: of calls that have their turn later */
	uint64_t work_turn;	 /* of the transport's connections: when `work` was counted */
	uint32_t work;		 /* messages handled in it, as call_turn.c counts them */
	uint32_t work_max;	 /* in it, for now */
	struct list inflating;	 /* struct call.turn_node: go on in a later turn */
	size_t inflated_turn;	 /* bytes inflated in this turn of the loop, of all calls */
	size_t compressed_turn;	 /* bytes compressed in it */
	struct list compressing; /* struct call.compress_node: go on in a later turn */
	uint64_t compressing_bytes; /* of all replies that wait for that */
	struct deadline next_turn;
	enum codec reply_codec;
	bool draining;
};

enum call_state {
	CALL_HEADERS, /* its headers are being read */
	CALL_OPEN,    /* the service has it */
	CALL_ENDED,   /* the status is given, or the stream is gone */
};

enum content {
	CONTENT_MISSING,
	CONTENT_GRPC,
	CONTENT_GRPC_OTHER, /* application/grpc+json and the like: gRPC, but nothing that we read */
	CONTENT_OTHER,
};

struct call_headers {
	uint64_t timeout_ns;
	char *unknown_path; /* own, from blocks; cut at PATH_SHOWN */
	size_t n_unknown_path;
	enum content content;
	char traceparent[TRACEPARENT_BYTES + 1];
	struct tracestate *tracestate; /* own, from blocks; NULL: none came */
	bool is_post;
	bool is_head;
	bool has_timeout;
	bool timeout_malformed;
	bool names_encodings; /* it sent grpc-accept-encoding */
};

struct call {
	struct stream stream;	     /* first */
	const struct method *method; /* borrow */
	void *state;		     /* own, from blocks; the service's */
	char *text;		     /* own, from blocks; grpc-message, encoded */
	size_t n_text;
	enum grpc_status status;
	uint64_t deadline_ns;
	uint64_t message_ns; /* when the current message began to come */
	struct call_headers headers;
	struct grpc_frame_reader reader;
	uint32_t n_messages;
	enum call_state phase;
	enum codec request_codec;
	enum codec reply_codec;	   /* what the client lets us use */
	struct inflater *inflater; /* own */
	uint64_t inflated_bytes;   /* of this message */
	struct list turn_node; /* in calls.inflating or session_late.streams while awaits_turn */
	struct buf collected;  /* the message, for services that take it whole */
	struct buf held;       /* raw bytes that wait; the first held_done are done with */
	size_t held_done;
	struct buf inflated; /* inflated bytes that wait; the first inflated_done are done with */
	size_t inflated_done;
	size_t payload_left; /* so many of the next bytes are the reader's payload already */
	bool inflate_waits;  /* the inflater was left with output to give */
	bool stalled;	     /* the service took less than it was given */
	bool awaits_room; /* input, or turn_asked, goes on when output has drained, and in the next turn */
	bool awaits_turn;      /* input goes on in a later turn: enough was done in this one */
	bool turn_asked;       /* the service wants to know when its turn has come */
	bool half_close_waits; /* behind what is held */
	struct list replies; /* struct reply.node: not compressed yet, or behind one that is not */
	struct list compress_node; /* in calls.compressing while there are any */
	bool end_waits;		   /* the status is given, and goes behind them */
	bool broken;		   /* a reply is queued in part: only a reset can end it */
	bool in_receive;
};

static inline struct call *call_of(struct stream *s)
{
	return (struct call *)s;
}

static inline struct transport *call_transport(const struct call *c)
{
	return session_transport(c->stream.session);
}

static inline struct calls *call_calls(const struct call *c)
{
	return call_transport(c)->data;
}

/* The next turn of the loop is wanted: what it may inflate and compress is measured anew then. -ENOMEM */
_must_use_ static inline int calls_want_turn(struct calls *s)
{
	struct transport *t = s->transport;

	return deadline_is_set(&s->next_turn)
		       ? 0
		       : deadline_set(&t->deadlines, &s->next_turn, t->now_ns);
}

/* call_send.c: what leaves. */
/* The status, after all that is queued. */
void call_send_status(
	struct call *c, unsigned http_status, enum grpc_status status, const char *text, size_t n);
/* The status of one whose client did not read: at once, without what is queued. */
void call_send_unread(struct call *c);
/* A readable page instead. body: static storage. head: no body is sent. */
void call_send_page(struct call *c, unsigned http_status, const char *body, bool head);
/* stream_events.on_trailers: the status. */
size_t call_trailers(struct call *c, struct header *ret_trailers);

/* call_queue.c: messages on their way into their stream. */
void call_release_parts(const struct part *parts, size_t n);
/* Queue a message as it is. The parts are released in the end, whatever is returned. -ENOMEM */
_must_use_ int call_queue_plain(struct call *c, const struct part *parts, size_t n, uint32_t total);
/* The same compressed: `out` was made of the parts, and is empty then. */
_must_use_ int call_queue_compressed(
	struct call *c, const struct part *parts, size_t n, struct buf *out);

/* call_compress.c: replies that are compressed. */
/* Compressed in one turn of the loop, of all calls together: some 5 ms. */
#define COMPRESS_A_TURN ((size_t)128 << 10)
/* Queue a message, compressed where that is wanted: at once, or when its turn has come; as it is where it gets no
 * smaller, or too much is to be compressed already. What is queued next stays behind it. The parts are
 * released in the end, whatever is returned. -ENOMEM */
_must_use_ int call_queue_message(
	struct call *c, const struct part *parts, size_t n, uint32_t total);
/* A new turn has begun: those that wait for it go on, as far as its budget lets them. */
void call_compress_next_turn(struct calls *shared);
/* Forget the replies that wait, and an end behind them. */
void call_drop_replies(struct call *c);

/* call.c */
/* The status is given before the service has seen the call. */
void call_reject(struct call *c, unsigned http_status, enum grpc_status status, const char *text);
/* The service is told that it is over; its memory lives as long as the stream, it may still be in one
 * of its functions. */
void call_close(struct call *c);
/* Let go of all input that was kept. */
void call_release_input(struct call *c);

/* call_headers.c */
void call_take_header(
	struct call *c, const char *name, size_t n_name, const char *value, size_t n_value);
/* Answers what cannot be a call. Returns whether it can. */
bool call_accept_headers(struct call *c);

/* call_turn.c: how many messages are handled in one turn of the loop, and who waits for a later one. */
/* Of all calls together, 10 to 20 us each at most: of those that have waited, and as many of what comes new. */
#define WORK_A_TURN 256u
/* Of one call that has waited, before the next connection has its turn. */
#define WORK_AT_A_TIME 32u
/* Is there room for one more message, this call's, and for what it is answered? It is counted. If not the call waits for a turn, or
 * for its client to read, or has ended for want of memory. */
bool call_turn_take(struct call *c);
/* A new turn has begun: those that wait for it go on, connection by connection, as far as there is room. Those
 * whose input waits do by receive_held. */
void call_turn_next(struct calls *shared, void (*receive_held)(struct call *c));

/* call_receive.c */
/* Inflated in one turn of the loop, of all calls together: some 10 ms. Kilobytes may inflate to a gigabyte. */
#define INFLATE_A_TURN ((size_t)2 << 20)
/* A new turn has begun: those that wait for it go on, as far as its budget lets them. */
void call_receive_next_turn(struct calls *shared);
void call_receive(struct call *c, const uint8_t *data, size_t n);
void call_receive_end(struct call *c);
/* End it for want of room for input. why: more about it. */
void call_give_way(struct call *c, const char *why);
/* Go on with what is held. */
void call_receive_held(struct call *c);
void call_receive_init(struct call *c);

/* call_events.c */
extern const struct stream_events call_events;

#endif

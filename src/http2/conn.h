/*
 * conn.h: one connection: reads, writes, close; knows no HTTP. Embedded in its session. Reads go
 * into one buffer that all connections share; what a write leaves over is the only memory that a
 * connection holds of its own.
 *
 * SIGPIPE must be ignored in the process: libuv writes without MSG_NOSIGNAL.
 * Callbacks come from the loop, never from inside a call below, but conn_shared_turn(). Where many connections end at once
 * they do in several turns: a peer that has thousands of them, and goes, keeps nobody waiting.
 */
#ifndef HTTP2_CONN_H
#define HTTP2_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/peer.h"
#include "http2/endpoint.h"
#include "http2/gather.h"

struct conn;
struct rights_desk;

struct conn_events {
	void (*on_data)(struct conn *c, const uint8_t *data, size_t n);
	/* Everything given to conn_write() is with the kernel. */
	void (*on_written)(struct conn *c);
	/* The peer closed (0) or the connection broke (-errno). Once; close it then. */
	void (*on_end)(struct conn *c, int err);
	/* After conn_close(); the memory may go. */
	void (*on_closed)(struct conn *c);
};

/* Shared by all connections of a transport. */
struct conn_shared {
	uint8_t *read_buffer; /* borrow */
	size_t n_read_buffer;
	uint64_t turn;	   /* counts loop iterations: bounds what one connection reads in each */
	uint64_t ends_ns;  /* so long the ends of connections took in this one */
	struct list ended; /* struct conn.end_node: on_end is due, in a later one */
	struct rights_desk *rights; /* borrow; NULL: no descriptors can come by Unix connections */
};

struct conn {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_shutdown_t shutdown;
	const struct conn_events *events; /* borrow */
	struct conn_shared *shared;	  /* borrow */
	struct conn_write *writing;	  /* own; what the kernel did not take at once */
	uint64_t turn;			  /* of the last read */
	uint32_t reads;			  /* in that turn */
	struct list end_node;		  /* in shared.ended */
	int end_error;
	int fd; /* borrow: of uv, read by rights.h; -1: libuv reads */
	struct peer peer;
	bool shut;
	bool closing;
};

void conn_shared_init(struct conn_shared *s, uint8_t *read_buffer, size_t n);
/* Another iteration of the loop begins: tells of ends for which there was no time. False: still not of all. */
bool conn_shared_turn(struct conn_shared *s);

/* Takes fd (closes it on failure). Reading starts at once. After success end it with conn_close(),
 * which answers on_closed; after a failure on_closed comes too when *ret_opened is true. */
_must_use_ int conn_open(struct conn *c, uv_loop_t *loop, int fd, enum endpoint_kind kind,
	const struct conn_events *events, struct conn_shared *shared, bool *ret_opened);
/* Bytes that wait for the kernel to take them. While there are any, nothing more may be written. */
size_t conn_pending(const struct conn *c);
/*
 * Write a gather and empty it: with one writev() when the kernel takes all. What is left over waits
 * in the connection; on_written then. -ENOMEM or -errno: the gather is dropped, close the connection.
 */
_must_use_ int conn_write(struct conn *c, struct gather *b);
/* Nothing more will be written: send FIN. Harmless the second time. */
void conn_shut(struct conn *c);
/* Harmless the second time. */
void conn_close(struct conn *c);

#endif

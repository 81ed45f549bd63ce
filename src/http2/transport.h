/*
 * transport.h: what all connections of one frontend share. Owned by the frontend; it does nothing
 * itself.
 */
#ifndef HTTP2_TRANSPORT_H
#define HTTP2_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "http2/blocks.h"
#include "http2/conn.h"
#include "http2/deadlines.h"
#include "http2/output.h"
#include "services/frontend.h"

struct stream_events;
struct session_setup;
struct calls;

struct transport {
	uv_loop_t *loop;			  /* borrow */
	const struct frontend_settings *settings; /* borrow */
	struct dispatch *dispatch;		  /* borrow */
	const struct stream_events *stream_events;
	const struct session_setup *setup; /* borrow: callbacks and options of nghttp2 */
	struct calls *calls;		   /* borrow: what calls share */
	struct frontend_counters counters;
	struct blocks blocks;
	struct deadlines deadlines;
	struct conn_shared conns;
	struct batch *batch;  /* own */
	struct list sessions; /* every one whose memory is not freed yet */
	struct list dirty;    /* sessions that may have something to write */
	uint64_t now_ns;      /* when the loop last brought something in */
	/* The last session is gone, or any session is; from the loop. */
	void (*on_session_gone)(struct transport *t);
};

#endif

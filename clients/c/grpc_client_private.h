/* grpc_client_private.h: a client connection and its calls, for clients/c alone. */
#ifndef CLIENTS_C_GRPC_CLIENT_PRIVATE_H
#define CLIENTS_C_GRPC_CLIENT_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/list.h"
#include "clients/c/grpc_client.h"
#include "proto/grpc_frame.h"

struct grpc_client {
	struct list node;	  /* of its owner's, who may have several */
	nghttp2_session *session; /* own */
	int fd;			  /* own */
	bool local;
	bool lost;
	bool received; /* something came since grpc_client_run() began */
	char authority[256];
	struct list calls;	/* struct grpc_call.node: open ones */
	const uint8_t *pending; /* borrow: of nghttp2, until the next mem_send */
	size_t n_pending;
	uint8_t *input; /* own, READ_BYTES */
};

struct grpc_call {
	struct list node;
	struct grpc_client *client; /* borrow; NULL when done */
	int32_t stream;
	bool done;
	bool aborted;	    /* by us: what still comes is ignored */
	bool begun;	    /* the server has answered something */
	bool refused, lost; /* how it ended */
	bool has_status;
	enum grpc_status status;
	char message[GRPC_MESSAGE_MAX + 1];
	size_t n_messages;
	uint64_t max_message_bytes;
	void (*on_message)(void *data, const uint8_t *message, size_t n);
	void (*on_refused)(void *data);
	void *data; /* borrow */
	struct grpc_frame_reader reader;
	struct buf body; /* the message that is being received */
	size_t piece;	 /* where sending stands: pieces[piece] at piece_at */
	size_t piece_at;
	size_t n_pieces;
	uint8_t prefix[GRPC_PREFIX_SIZE];
	struct grpc_piece pieces[]; /* the first is the prefix */
};

/* Give the connection up (-errno); -ECANCELED: we close it. Every open call ends. -EPIPE */
int connection_lost(struct grpc_client *c, int error);
/* The nghttp2 callbacks that concern calls. */
void call_set_callbacks(nghttp2_session_callbacks *callbacks);

#endif

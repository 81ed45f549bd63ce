/*
 * channel.h: wire messages over one SOCK_SEQPACKET socket watched by the loop. Messages are gathered
 * into records, which are sent at once where the socket takes them, else queued within a bound; one
 * record is received a wake-up.
 */
#ifndef POOL_CHANNEL_H
#define POOL_CHANNEL_H

#include <stddef.h>
#include <uv.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct channel;

enum {
	CHANNEL_E_FULL = 1, /* the peer does not read: the queue has reached its bound */
};

/* All come from the loop, or from inside channel_drain() and channel_catch_up(). channel_close() may be called in
 * each. */
struct channel_events {
	/* `fd` holds a descriptor that came along, or -1: take it with steal_fd() or it is closed.
	 * The message is borrowed during the callback. */
	void (*on_message)(void *data, const struct wire_message *m, int *fd);
	/* The messages of one record are done. */
	void (*on_pause)(void *data);
	/* Nothing comes any more: -EPIPE end of file, -EPROTO a message that is none, -errno. */
	void (*on_end)(void *data, int err);
};

/*
 * fd is taken over on success. queue_max: bytes that may wait for the peer to read.
 * -ENOMEM, -errno
 */
_must_use_ int channel_new(struct channel **ret_channel, uv_loop_t *loop, int fd, size_t queue_max,
	const struct channel_events *events, void *data);
/* Close at once; what is queued is dropped. Memory goes with the loop's next turn. Accepts NULL;
 * returns NULL. */
struct channel *channel_close(struct channel *c);

/*
 * Send one message with the next channel_flush(), or earlier; with descriptor `fd` unless it is -1
 * (borrowed until sent or closed), then at once, and all before it too. Never calls back. Where the
 * peer is gone this succeeds: on_end will tell.
 *
 * -EMSGSIZE, -EINVAL       it cannot be packed: nothing has happened
 * CHANNEL_E_FULL, -ENOMEM  messages were lost, this one or ones before it: close the channel
 */
_must_use_ int channel_send(struct channel *c, const struct wire_message *m, int fd);
/* CHANNEL_E_FULL, -ENOMEM: as above. */
_must_use_ int channel_flush(struct channel *c);
/* When the record came whose messages are being told of, or the last one. */
uint64_t channel_received_ns(const struct channel *c);
/* Receive what is there, now: before a peer is judged by what it has not said. */
void channel_catch_up(struct channel *c);
/* Receive all there is, now, and then the end: for a peer that is known to have ended. */
void channel_drain(struct channel *c);

#endif

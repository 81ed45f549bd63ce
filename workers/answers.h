/*
 * answers.h: what a worker sends. Messages gather in one record, which saves a system call and a
 * wake-up of the daemon each, until somebody flushes. Any thread.
 */
#ifndef WORKERS_ANSWERS_H
#define WORKERS_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct answers;

/* channel_fd: the socket, blocking; borrow. -ENOMEM */
_must_use_ int answers_new(struct answers **ret_answers, int channel_fd);
struct answers *answers_free(struct answers *a);
DEFINE_CLEANUP(struct answers *, answers_free)

/*
 * Send with the next answers_flush(), or earlier: at once, if `now`.
 *
 * -EMSGSIZE  above a limit of the wire: nothing has happened
 * -errno     as seqpacket_send()
 */
_must_use_ int answers_add(struct answers *a, const struct wire_message *m, bool now);
/* Send at once, with descriptors (borrowed), and all before it. Results as above. */
_must_use_ int answers_send(
	struct answers *a, const struct wire_message *m, const int *fds, size_t n_fds);
_must_use_ int answers_flush(struct answers *a);

/* When the first of the messages that wait to be flushed was added; 0: there are none. */
uint64_t answers_since(const struct answers *a);

#endif

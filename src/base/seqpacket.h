/*
 * seqpacket.h: the only sendmsg/recvmsg in the tree. AF_UNIX SOCK_SEQPACKET keeps record
 * boundaries, so there is no framing; descriptors travel by SCM_RIGHTS.
 */
#ifndef BASE_SEQPACKET_H
#define BASE_SEQPACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* The kernel's SCM_MAX_FD: no record has more, so none is dropped inside of recvmsg(), where closing
 * it might wait. */
#define SEQPACKET_FDS_MAX 253

/* A connected pair, CLOEXEC, blocking. ret_fds: both own, -errno on failure. */
_must_use_ int seqpacket_pair(int ret_fds[2]);
/*
 * Grow SO_SNDBUF so that records of `bytes` pass; it is never made smaller.
 *
 * -ENOBUFS  net.core.wmem_max forbids it, and so do our privileges
 * -EINVAL   more than a socket can ever have
 */
_must_use_ int seqpacket_set_send_buffer(int fd, size_t bytes);

/*
 * Send one record with n_fds <= SEQPACKET_FDS_MAX descriptors (borrowed; the kernel dups them).
 * MSG_NOSIGNAL; `dontwait` adds MSG_DONTWAIT.
 *
 * -EAGAIN    (dontwait) the peer's queue is full
 * -EMSGSIZE  the record is larger than the send buffer
 * -EPIPE, -ECONNRESET  the peer is gone
 */
_must_use_ int seqpacket_send(
	int fd, const void *data, size_t n, const int *fds, size_t n_fds, int dontwait);

/*
 * Receive one record into data (cap bytes). On success ret_n is its length and ret_fds[0..ret_n_fds)
 * are owned by the caller (CLOEXEC). Where ret_fds is NULL no descriptor is accepted.
 * An empty record and end of file look alike on a SEQPACKET socket, both are -EPIPE.
 *
 * -EAGAIN    (dontwait) nothing there
 * -EPIPE     end of file, or an empty record
 * -EMSGSIZE  the record did not fit (it is lost); its descriptors are the caller's as on success
 * -EPROTO    control data was cut (MSG_CTRUNC), or descriptors came where none is accepted or
 *            more than fds_max; those that did arrive are closed
 *
 * Where fds_max is SEQPACKET_FDS_MAX no descriptor is ever closed here: whatever the result, those that came are
 * the caller's.
 */
_must_use_ int seqpacket_recv(int fd, void *data, size_t cap, size_t *ret_n, int *ret_fds,
	size_t fds_max, size_t *ret_n_fds, int dontwait);

/*
 * As seqpacket_recv(), and waits, but no longer than until a signal was handled.
 *
 * -EINTR  one was: nothing has been received
 */
_must_use_ int seqpacket_recv_until_signal(int fd, void *data, size_t cap, size_t *ret_n,
	int *ret_fds, size_t fds_max, size_t *ret_n_fds);

/*
 * Nothing more comes on fd but what lies there already, which seqpacket_recv() still has, and then the end of file: to send is -EPIPE
 * for the peer from here on, so what it could send is received, and what it could not is not. -errno
 */
_must_use_ int seqpacket_end_input(int fd);
/*
 * Nothing more comes or goes on fd, as if it were closed: before that is done. True: no record lies in it, so closing
 * it closes no descriptor that a peer has sent.
 */
bool seqpacket_end(int fd);

#endif

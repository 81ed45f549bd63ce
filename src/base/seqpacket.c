/*
 * seqpacket.c: records and descriptors over AF_UNIX SOCK_SEQPACKET. The only user of sendmsg() and
 * recvmsg(), and of what follows from them. Whatever descriptors a peer sends are either handed to the caller or closed
 * here, on every path. Stateless; any process, any thread.
 */
#include "base/seqpacket.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What the kernel adds to each record (32 bytes today) when it compares with the send buffer. */
#define RECORD_OVERHEAD 256u

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(SEQPACKET_FDS_MAX * sizeof(int))];
};

struct received {
	int fds[SEQPACKET_FDS_MAX]; /* own */
	size_t n;
};

int seqpacket_pair(int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

/* Bytes, or -errno. */
static int send_buffer(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len) < 0 ? -errno : value;
}

int seqpacket_set_send_buffer(int fd, size_t bytes)
{
	/* The plain option is clamped to net.core.wmem_max; the forced one needs CAP_NET_ADMIN. */
	static const int options[] = {SO_SNDBUF, SO_SNDBUFFORCE};
	int have, want;

	if (bytes > INT32_MAX / 2 - RECORD_OVERHEAD)
		return -EINVAL;
	want = (int)(bytes + RECORD_OVERHEAD);
	have = send_buffer(fd);
	for (size_t i = 0; have >= 0 && have < want; i++) {
		if (i == sizeof(options) / sizeof(options[0]))
			return -ENOBUFS;
		if (setsockopt(fd, SOL_SOCKET, options[i], &want, sizeof(want)) < 0)
			return errno == EPERM ? -ENOBUFS : -errno;
		have = send_buffer(fd);
	}
	return have < 0 ? have : 0;
}

static void put_fds(struct msghdr *m, union control *control, const int *fds, size_t n_fds)
{
	struct cmsghdr *c;

	memset(control, 0, CMSG_SPACE(n_fds * sizeof(int)));
	m->msg_control = control->bytes;
	m->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
}

int seqpacket_send(int fd, const void *data, size_t n, const int *fds, size_t n_fds, int dontwait)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int flags = MSG_NOSIGNAL | (dontwait ? MSG_DONTWAIT : 0);
	union control control;
	ssize_t sent;

	assert(n_fds <= SEQPACKET_FDS_MAX);
	if (n_fds > 0)
		put_fds(&m, &control, fds, n_fds);
	do
		sent = sendmsg(fd, &m, flags);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static void received_close(struct received *got)
{
	while (got->n > 0)
		close_fd(&got->fds[--got->n]);
}

static void take_fds(struct msghdr *m, struct received *got)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		assert(n <= SEQPACKET_FDS_MAX - got->n); /* control has no room for more */
		memcpy(got->fds + got->n, CMSG_DATA(c), n * sizeof(int));
		got->n += n;
	}
}

/* A peer that closed with records of ours unread leaves ECONNRESET once; reading the error clears
 * it, and behind it still lies what the peer had sent before. */
static ssize_t receive(int fd, struct msghdr *m, int flags, bool until_signal)
{
	ssize_t n;

	do
		n = recvmsg(fd, m, flags);
	while (n < 0 && ((errno == EINTR && !until_signal) || errno == ECONNRESET));
	return n < 0 ? -errno : n;
}

static int judge(const struct msghdr *m, ssize_t n, size_t n_fds, size_t fds_max)
{
	if (m->msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if (n_fds > fds_max)
		return -EPROTO;
	if (m->msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return n == 0 ? -EPIPE : 0;
}

enum patience {
	WAIT,
	WAIT_UNTIL_SIGNAL,
	WAIT_NOT,
};

static int recv_record(int fd, void *data, size_t cap, size_t *ret_n, int *ret_fds, size_t fds_max,
	size_t *ret_n_fds, enum patience patience)
{
	union control control;
	struct iovec iov = {.iov_base = data, .iov_len = cap};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	_cleanup_(received_close) struct received got;
	ssize_t n;
	int r;

	got.n = 0;
	n = receive(fd, &m, MSG_CMSG_CLOEXEC | (patience == WAIT_NOT ? MSG_DONTWAIT : 0),
		patience == WAIT_UNTIL_SIGNAL);
	if (n < 0)
		return (int)n;
	take_fds(&m, &got);
	r = judge(&m, n, got.n, ret_fds ? fds_max : 0);
	if (ret_fds && (!r || r == -EMSGSIZE || fds_max == SEQPACKET_FDS_MAX)) {
		memcpy(ret_fds, got.fds, got.n * sizeof(int));
		*ret_n_fds = got.n;
		got.n = 0;
	}
	if (!r)
		*ret_n = (size_t)n;
	return r;
}

int seqpacket_recv(int fd, void *data, size_t cap, size_t *ret_n, int *ret_fds, size_t fds_max,
	size_t *ret_n_fds, int dontwait)
{
	return recv_record(
		fd, data, cap, ret_n, ret_fds, fds_max, ret_n_fds, dontwait ? WAIT_NOT : WAIT);
}

int seqpacket_recv_until_signal(int fd, void *data, size_t cap, size_t *ret_n, int *ret_fds,
	size_t fds_max, size_t *ret_n_fds)
{
	return recv_record(fd, data, cap, ret_n, ret_fds, fds_max, ret_n_fds, WAIT_UNTIL_SIGNAL);
}

int seqpacket_end_input(int fd)
{
	return shutdown(fd, SHUT_RD) ? -errno : 0;
}

/* An empty record looks like the end of file, but for the credentials that come with a record. */
bool seqpacket_end(int fd)
{
	char control[CMSG_SPACE(sizeof(struct ucred))];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};
	const int on = 1;

	if (shutdown(fd, SHUT_RDWR) || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return false;
	return receive(fd, &m, MSG_PEEK | MSG_DONTWAIT, false) == 0 && m.msg_controllen == 0 &&
	       !(m.msg_flags & MSG_CTRUNC);
}

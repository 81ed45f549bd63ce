/* tcp_user.c: one question to the kernel and its answer. Any process, any thread. */
#include "base/tcp_user.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

/* Address and port, in network order, as sock_diag has them. */
static bool put_end(const struct sockaddr_storage *a, __be32 address[4], __be16 *port)
{
	if (a->ss_family == AF_INET) {
		address[0] = ((const struct sockaddr_in *)a)->sin_addr.s_addr;
		*port = ((const struct sockaddr_in *)a)->sin_port;
	} else if (a->ss_family == AF_INET6) {
		memcpy(address, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
		*port = ((const struct sockaddr_in6 *)a)->sin6_port;
	}
	return a->ss_family == AF_INET || a->ss_family == AF_INET6;
}

/* The other end's own socket: its source is our peer. */
static bool make_question(int fd, struct question *q)
{
	struct sockaddr_storage here = {0}, there = {0};
	socklen_t n_here = sizeof(here), n_there = sizeof(there);

	*q = (struct question){
		.head = {.nlmsg_len = sizeof(*q),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.body = {.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0u,
			.id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};
	if (getpeername(fd, (struct sockaddr *)&there, &n_there) ||
		getsockname(fd, (struct sockaddr *)&here, &n_here))
		return false;
	q->body.sdiag_family = (__u8)there.ss_family;
	return put_end(&there, q->body.id.idiag_src, &q->body.id.idiag_sport) &&
	       put_end(&here, q->body.id.idiag_dst, &q->body.id.idiag_dport);
}

static int64_t read_answer(const void *data, size_t n, const struct question *q)
{
	struct inet_diag_msg m;
	struct nlmsghdr head;

	if (n < sizeof(head))
		return -1;
	memcpy(&head, data, sizeof(head));
	if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || n < NLMSG_LENGTH(sizeof(m)))
		return -1;
	memcpy(&m, (const char *)data + NLMSG_HDRLEN, sizeof(m));
	/* One that listens at the address of a peer that is gone is not the peer. */
	if (m.id.idiag_sport != q->body.id.idiag_sport ||
		m.id.idiag_dport != q->body.id.idiag_dport)
		return -1;
	return m.idiag_uid;
}

int64_t tcp_user(int fd)
{
	_cleanup_(close_fd) int netlink = -1;
	struct question q;
	char answer[1024];
	ssize_t n;

	if (!make_question(fd, &q))
		return -1;
	netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0 || send(netlink, &q, sizeof(q), 0) != (ssize_t)sizeof(q))
		return -1;
	n = recv(netlink, answer, sizeof(answer), MSG_DONTWAIT);
	return n < 0 ? -1 : read_answer(answer, (size_t)n, &q);
}

/* peer.c: who is at the other end of a connected socket. Any process, any thread. */
#include "base/peer.h"

#include <netinet/in.h>
#include <stdio.h>

#include "base/tcp_user.h"

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct in6_addr *in6 = &((const struct sockaddr_in6 *)a)->sin6_addr;

	/* Behind a listener of both kinds an IPv4 address is one of IPv6. */
	if (a->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(in6) ||
		       (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
	return a->ss_family == AF_INET &&
	       ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

void peer_ask(struct peer *p, int fd)
{
	struct ucred credentials;
	socklen_t n = sizeof(credentials);

	*p = (struct peer){.uid = -1, .user = -1};
	p->address.n_socket = sizeof(p->address.socket);
	if (getpeername(fd, (struct sockaddr *)&p->address.socket, &p->address.n_socket)) {
		p->address.n_socket = 0;
		return;
	}
	p->loopback = is_loopback(&p->address.socket);
	if (address_is_unix(&p->address) &&
		!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &n)) {
		p->uid = credentials.uid;
		p->pid = credentials.pid;
	}
	p->user = p->loopback ? tcp_user(fd) : p->uid;
}

const char *peer_format(const struct peer *p, char out[PEER_TEXT_MAX])
{
	if (p->uid >= 0)
		snprintf(out, PEER_TEXT_MAX, "uid:%lld,pid:%d", (long long)p->uid, (int)p->pid);
	else if (p->address.n_socket == 0 || address_is_unix(&p->address))
		snprintf(out, PEER_TEXT_MAX, "?");
	else
		address_format(&p->address, out);
	return out;
}

/* inet_bind.c: bind() and the options that belong ahead of it. */
#include "base/inet_bind.h"

#include <errno.h>
#include <netinet/in.h>

int inet_bind(int fd, const struct address *a)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	/* One socket a family: "*:port" opens both, and nobody gets v4-mapped addresses. */
	if (a->socket.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		return -errno;
	return bind(fd, (const struct sockaddr *)&a->socket, a->n_socket) ? -errno : 0;
}

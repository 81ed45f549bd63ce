/*
 * notify.c: one datagram to $NOTIFY_SOCKET ("@" first: abstract). Daemon process, loop thread; a
 * full socket buffer is reported, never waited for.
 */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/seqpacket.h"

/* 0: `to` is filled; 1: there is nobody to tell; -EINVAL */
static int find_manager(struct sockaddr_un *to, socklen_t *ret_n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n;

	if (!path || !*path)
		return 1;
	n = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(to->sun_path))
		return -EINVAL;
	memcpy(to->sun_path, path, n);
	if (path[0] == '@')
		to->sun_path[0] = 0;
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 0;
}

int notify_send_fds(const char *state, const int *fds, size_t n_fds)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_(close_fd) int fd = -1;
	socklen_t n;
	int r = find_manager(&to, &n);

	if (r)
		return r < 0 ? r : 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, n))
		return -errno;
	return seqpacket_send(fd, state, strlen(state), fds, n_fds, 1);
}

int notify_send(const char *state)
{
	return notify_send_fds(state, NULL, 0);
}

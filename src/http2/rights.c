/* rights.c: recvmsg() in place of read(), and who closes what it brings. Daemon process, loop thread. */
#include "http2/rights.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/closing.h"
#include "base/seqpacket.h"

#ifndef SO_PASSRIGHTS /* Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

struct rights_closing {
	struct list node;	 /* in rights_desk.running */
	struct closing *closing; /* own */
};

bool rights_refuse(int fd)
{
	const int off = 0;

	return !setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

void rights_desk_init(struct rights_desk *k)
{
	list_init(&k->running);
}

static void let_go(struct rights_closing *c)
{
	list_remove(&c->node);
	closing_release(c->closing);
	free(c);
}

void rights_desk_deinit(struct rights_desk *k)
{
	list_for_each (&k->running, node)
		let_go(list_entry(node, struct rights_closing, node));
}

unsigned rights_desk_running(struct rights_desk *k)
{
	unsigned n = 0;

	list_for_each (&k->running, node) {
		struct rights_closing *c = list_entry(node, struct rights_closing, node);

		if (closing_done(c->closing))
			let_go(c);
		else
			n++;
	}
	return n;
}

static void start_closing(struct rights_desk *k, const int *fds, size_t n)
{
	struct rights_closing *c = malloc(sizeof(*c));
	struct closing *closing = closing_start(fds, n);

	/* Without memory for the account it is not counted. */
	if (!c || !closing) {
		closing_release(closing);
		free(c);
		return;
	}
	c->closing = closing;
	list_init(&c->node);
	list_push_back(&k->running, &c->node);
}

/* Reading passes over a byte that was sent out of band, and closes what came with it, unless it is in line. */
void rights_expect(int fd)
{
	const int on = 1;

	(void)!setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

int rights_read(struct rights_desk *k, int fd, void *buffer, size_t cap, size_t *ret_n)
{
	int fds[SEQPACKET_FDS_MAX];
	size_t n_fds = 0;
	int r = seqpacket_recv(fd, buffer, cap, ret_n, fds, SEQPACKET_FDS_MAX, &n_fds, 1);

	if (n_fds > 0) {
		start_closing(k, fds, n_fds);
		return -EPROTO;
	}
	if (r != -EPIPE)
		return r;
	*ret_n = 0;
	return 0;
}

bool rights_end(int fd)
{
	int n = 0;

	return !shutdown(fd, SHUT_RDWR) && !ioctl(fd, FIONREAD, &n) && n == 0;
}

void rights_close(struct rights_desk *k, int fd)
{
	if (rights_end(fd))
		close_fd(&fd);
	else
		start_closing(k, &fd, 1);
}

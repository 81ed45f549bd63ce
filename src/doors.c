/* doors.c: the frontend's listeners and the handoff's, as one. */
#include "doors.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/err.h"
#include "base/given_sockets.h"
#include "base/log.h"
#include "handoff/handoff.h"
#include "notify.h"
#include "server.h"
#include "services/frontend.h"

static int listen_everywhere(const struct doors *d, char *text, size_t cap)
{
	/* The frontend last: it alone cannot be freed any more without being drained. */
	int r = handoff_listen(d->handoff, text, cap);

	return r ? r : frontend_listen(d->frontend, text, cap);
}

static bool is_of_this_host(const char *address)
{
	return address_text_is_unix(address) || !strncmp(address, "127.", 4) ||
	       !strncmp(address, "[::1]:", 6);
}

/* Once, however many addresses there are. */
static void warn_of_strangers(const struct doors *d)
{
	const char *address;

	for (size_t i = 0; (address = frontend_address(d->frontend, i)); i++) {
		if (is_of_this_host(address))
			continue;
		log_warning("whoever reaches this address may use the models: there is "
			    "neither TLS nor authentication",
			"address=%s hint=\"[server] listen = 127.0.0.1%s, unix:modeld.sock\"",
			address, strrchr(address, ':'));
		return;
	}
}

int doors_open(const struct doors *d)
{
	char text[512];
	size_t n_left;
	int r = listen_everywhere(d, text, sizeof(text));

	if (r) {
		log_error("cannot listen", "%s", text);
		return r == -EINVAL ? SERVER_EXIT_CONFIG : SERVER_EXIT_OS;
	}
	for (size_t i = 0; frontend_address(d->frontend, i); i++)
		log_info("listening", "address=%s", frontend_address(d->frontend, i));
	warn_of_strangers(d);
	if (d->config->handoff.socket)
		log_info("handoff", "socket=%s", d->config->handoff.socket);
	n_left = d->config->given ? given_sockets_close(d->config->given) : 0;
	if (n_left > 0)
		log_warning("sockets that were given to us are bound where nothing is to listen",
			"sockets=%zu keys=\"[server] listen, [handoff] socket\"", n_left);
	return 0;
}

size_t doors_sockets(const struct doors *d, int *fds, size_t cap)
{
	size_t n = frontend_sockets(d->frontend, fds, cap);
	int handoff = handoff_socket(d->handoff);

	if (handoff >= 0 && n < cap)
		fds[n++] = handoff;
	return n;
}

void doors_let_go(const struct doors *d)
{
	frontend_let_go(d->frontend);
	handoff_let_go(d->handoff);
}

void doors_take_over(const struct doors *d)
{
	frontend_take_over(d->frontend);
	handoff_take_over(d->handoff);
}

/* What a client reaches by a path is gone with the path, which nobody keeps. */
static bool is_unix(int fd)
{
	struct sockaddr a = {0};
	socklen_t n = sizeof(a);

	return getsockname(fd, &a, &n) || a.sa_family == AF_UNIX;
}

void doors_store(const struct doors *d)
{
	const char *room = getenv("FDSTORE");
	int fds[GIVEN_SOCKETS_MAX];
	size_t n = doors_sockets(d, fds, GIVEN_SOCKETS_MAX), n_kept = 0;
	int r;

	if (!room || !*room)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!is_unix(fds[i]))
			fds[n_kept++] = fds[i];
	}
	/* Where nothing listens any more, nobody may wait. */
	r = notify_send("FDSTOREREMOVE=1\nFDNAME=listen");
	if (!r && n_kept > 0)
		r = notify_send_fds("FDSTORE=1\nFDNAME=listen", fds, n_kept);
	if (r)
		log_warning(
			"the service manager does not keep the sockets", "error=%s", err_str(r));
}

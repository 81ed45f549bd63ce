/*
 * grpc_client.c: one HTTP/2 connection to a gRPC server by nghttp2, without an event loop.
 *
 * Output that the socket does not take stays in nghttp2 and in `pending` (what its last mem_send
 * returned). The loss of the connection ends every open call.
 *
 * Client process, the caller's thread.
 */
#include "clients/c/grpc_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "clients/c/connect.h"
#include "clients/c/grpc_client_private.h"

#define READ_BYTES   (256u * 1024u)
#define WINDOW_BYTES (16 * 1024 * 1024)
#define FRAME_BYTES  (256u * 1024u)
#define LAST_READS   64 /* of what a server said that has gone */

static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t stream,
	int32_t session_window, int32_t stream_window, uint32_t max_frame, void *user)
{
	return max_frame < FRAME_BYTES ? (ssize_t)max_frame : (ssize_t)FRAME_BYTES;
}

/* --- Set-up ------------------------------------------------------------------------------------ */

static int session_new(struct grpc_client *c)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_BYTES},
	};
	nghttp2_session_callbacks *callbacks;
	int r = nghttp2_session_callbacks_new(&callbacks);

	if (r)
		return -ENOMEM;
	call_set_callbacks(callbacks);
	nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
	r = nghttp2_session_client_new(&c->session, callbacks, c);
	nghttp2_session_callbacks_del(callbacks);
	if (!r)
		r = nghttp2_submit_settings(
			c->session, 0, settings, sizeof(settings) / sizeof(settings[0]));
	if (!r)
		r = nghttp2_session_set_local_window_size(c->session, 0, 0, WINDOW_BYTES);
	return r ? -ENOMEM : 0;
}

int grpc_client_new(struct grpc_client **ret_client, const char *address, uint64_t timeout_ns,
	char *text, size_t cap)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = calloc(1, sizeof(*c));
	int r;

	(void)snprintf(text, cap, "out of memory");
	if (!c)
		return -ENOMEM;
	c->fd = -1;
	list_init(&c->node);
	list_init(&c->calls);
	c->input = malloc(READ_BYTES);
	if (!c->input)
		return -ENOMEM;
	r = connect_address(
		&c->fd, &c->local, address, clock_add(clock_ns(), timeout_ns), text, cap);
	if (r)
		return r;
	(void)snprintf(c->authority, sizeof(c->authority), "%s", c->local ? "localhost" : address);
	r = session_new(c);
	if (r)
		return r;
	*ret_client = steal_ptr(c);
	return 0;
}

struct grpc_client *grpc_client_free(struct grpc_client *c)
{
	if (!c)
		return NULL;
	(void)connection_lost(c, -ECANCELED);
	nghttp2_session_del(c->session);
	close_fd(&c->fd);
	free(c->input);
	free(c);
	return NULL;
}

int grpc_client_fd(const struct grpc_client *c)
{
	return c->fd;
}

bool grpc_client_is_lost(const struct grpc_client *c)
{
	return c->lost;
}

bool grpc_client_is_going(const struct grpc_client *c)
{
	return c->lost || !nghttp2_session_check_request_allowed(c->session);
}

bool grpc_client_is_idle(const struct grpc_client *c)
{
	return list_empty(&c->calls);
}

bool grpc_client_is_local(const struct grpc_client *c)
{
	return c->local;
}

/* --- I/O --------------------------------------------------------------------------------------- */

/* Write until nothing is left or the socket is full. -errno: the connection is gone. */
static int flush(struct grpc_client *c)
{
	for (;;) {
		ssize_t n;

		if (c->n_pending == 0) {
			n = nghttp2_session_mem_send(c->session, &c->pending);
			if (n < 0)
				return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
			if (n == 0)
				return 0;
			c->n_pending = (size_t)n;
		}
		n = send(c->fd, c->pending, c->n_pending, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		c->pending += n;
		c->n_pending -= (size_t)n;
	}
}

/* -EAGAIN: nothing is there. */
static int receive(struct grpc_client *c)
{
	ssize_t n = recv(c->fd, c->input, READ_BYTES, 0);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -EPIPE;
	c->received = true;
	n = nghttp2_session_mem_recv(c->session, c->input, (size_t)n);
	return n < 0 ? -EPROTO : 0;
}

/* Wait, receive. */
static int turn(struct grpc_client *c, uint64_t deadline_ns)
{
	int r;

	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		return connection_lost(c, -EPIPE);
	r = connect_wait(c->fd, c->n_pending > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ns);
	if (r)
		return r;
	r = receive(c);
	return r && r != -EAGAIN ? connection_lost(c, r) : 0;
}

/* Nothing can be sent any more. What the server said before it went tells which calls it has not begun. */
static void hear_out(struct grpc_client *c, int error)
{
	int r = error == -EPIPE || error == -ECONNRESET ? 0 : error;

	for (int i = 0; i < LAST_READS && !r; i++)
		r = receive(c);
	(void)connection_lost(c, r && r != -EAGAIN ? r : error);
}

/* Until `until`, if there is one, is done, or, where that is asked for, something was received. */
static int run(
	struct grpc_client *c, const struct grpc_call *until, bool once, uint64_t deadline_ns)
{
	c->received = false;
	for (;;) {
		/* Sending comes first: it can end a call, and what an answer made us owe
		 * (WINDOW_UPDATE, PING) goes out with it. */
		int r = c->lost ? 0 : flush(c);

		if (r)
			hear_out(c, r);
		if ((until && until->done) || (once && c->received))
			return 0;
		if (c->lost)
			return -EPIPE;
		r = turn(c, deadline_ns);
		if (r && !(until && until->done))
			return r;
	}
}

int grpc_client_run(struct grpc_client *c, const struct grpc_call *until, uint64_t deadline_ns)
{
	return run(c, until, !until, deadline_ns);
}

int grpc_call_run(const struct grpc_call *k, uint64_t deadline_ns)
{
	return k->done ? 0 : run(k->client, k, true, deadline_ns);
}

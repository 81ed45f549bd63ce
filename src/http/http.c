/*
 * http.c: libmicrohttpd in the daemon's loop. Its connections are in an epoll of its own, whose descriptor is polled
 * here; a timer stands for its time limits. A connection whose source has given a piece in a turn is suspended until the
 * next one: else a client that reads quickly would have all of its page made at once. Listening and accepting
 * are ours, so that running out of descriptors is handled as everywhere else, and so that who asks nothing, or takes
 * no answer, keeps nobody out: a probe that is not answered has a daemon ended that is well.
 */
#include "http/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/err.h"
#include "base/inet_bind.h"
#include "base/list.h"
#include "event/acceptor.h"

#define BACKLOG 128
/* Of one connection, for the head of its request and the piece of the reply that is being sent. */
#define CONNECTION_BYTES ((size_t)48 << 10)
#define PIECE_BYTES	 ((size_t)32 << 10)
/* After its socket has been shut a connection has gone, whatever it did. */
#define TURNS_TO_END 4u

struct http {
	const struct http_settings *settings; /* borrow */
	const struct http_events *events;     /* borrow */
	void *data;
	struct MHD_Daemon *daemon; /* own */
	struct acceptor acceptor;
	bool listens;
	uv_loop_t *loop; /* borrow */
	uv_poll_t poll;	 /* of the daemon's epoll */
	uv_timer_t timer;
	uv_idle_t more;	    /* active while there is more to do at once */
	unsigned n_handles; /* not closed yet, the acceptor among them */
	uint64_t n_turns;
	struct list suspended; /* struct reading.node */
	struct list
		clients; /* struct client.node; in front who has gone longest without an answer */
	unsigned n_clients;
	char address[ADDRESS_TEXT_MAX];
};

/* A reply that is read from its source. */
struct reading {
	struct list node; /* in http.suspended, or in none */
	struct http *http;
	struct MHD_Connection *connection;
	struct http_source *source; /* own */
	uint64_t turn;		    /* the last one in which something was read ... */
	size_t n;		    /* ... and how much */
};

/* A connection: its context for libmicrohttpd. */
struct client {
	struct list node; /* in http.clients, or in none */
	int fd;		  /* borrow: libmicrohttpd's */
};

/* --- Turning ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);
static void on_more(uv_idle_t *more);

static void resume(struct http *h)
{
	list_for_each (&h->suspended, node) {
		list_remove(node);
		MHD_resume_connection(list_entry(node, struct reading, node)->connection);
	}
}

static void turn(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	bool waits;

	h->n_turns++;
	resume(h);
	(void)MHD_run(h->daemon);
	waits = MHD_get_timeout(h->daemon, &ms) == MHD_YES;
	if (!list_empty(&h->suspended) || (waits && ms == 0))
		uv_idle_start(&h->more, on_more);
	else
		uv_idle_stop(&h->more);
	if (waits)
		uv_timer_start(&h->timer, on_timer, ms > 0 ? ms : 1, 0);
	else
		uv_timer_stop(&h->timer);
}

static void on_more(uv_idle_t *more)
{
	turn(more->data);
}

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	turn(poll->data);
}

/* --- Answering -------------------------------------------------------------------------------- */

static ssize_t read_source(void *cls, uint64_t position, char *out, size_t cap)
{
	struct reading *r = cls;
	ssize_t n;

	(void)position;
	if (r->turn != r->http->n_turns) {
		r->turn = r->http->n_turns;
		r->n = 0;
	} else if (r->n >= PIECE_BYTES) {
		MHD_suspend_connection(r->connection);
		list_push_back(&r->http->suspended, &r->node);
		return 0;
	}
	n = r->source->read(r->source, out, cap);
	r->n += n > 0 ? (size_t)n : 0;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return n > 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void close_source(void *cls)
{
	struct reading *r = cls;

	list_remove(&r->node);
	r->source->close(r->source);
	free(r);
}

/* Takes the source, also when there is no memory. */
static struct MHD_Response *read_from(
	struct http *h, struct MHD_Connection *c, struct http_source *source)
{
	struct reading *r = malloc(sizeof(*r));
	struct MHD_Response *response;

	if (!r) {
		source->close(source);
		return NULL;
	}
	*r = (struct reading){.http = h, .connection = c, .source = source};
	list_init(&r->node);
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, PIECE_BYTES, read_source, r, close_source);
	if (!response)
		close_source(r);
	return response;
}

static struct MHD_Response *make_response(
	struct http *h, struct MHD_Connection *c, const struct http_reply *reply)
{
	if (reply->source)
		return read_from(h, c, reply->source);
	/* Copied: the text is not written to, whatever its type says. */
	return MHD_create_response_from_buffer(
		reply->n, (void *)reply->text, MHD_RESPMEM_MUST_COPY);
}

/* A page may use nothing that is not in it, and ask nobody but us. */
static const char *const headers[][2] = {
	{"Cache-Control", "no-store"},
	{"X-Content-Type-Options", "nosniff"},
	{"Content-Security-Policy",
		"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
		"img-src data:; connect-src 'self'"},
};

static enum MHD_Result send_reply(
	struct http *h, struct MHD_Connection *c, const struct http_reply *reply)
{
	struct MHD_Response *response = make_response(h, c, reply);
	enum MHD_Result r = MHD_YES;

	if (!response)
		return MHD_NO;
	if (reply->type)
		r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && r == MHD_YES; i++)
		r = MHD_add_response_header(response, headers[i][0], headers[i][1]);
	if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED && r == MHD_YES)
		r = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (r == MHD_YES)
		r = MHD_queue_response(c, reply->status, response);
	MHD_destroy_response(response);
	return r;
}

static bool is_get(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* Called with the head of a request, then with each piece of a body, then once more: MHD_NO ends the
 * connection. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
	const char *method, const char *version, const char *body, size_t *n_body, void **state)
{
	static const struct http_reply not_allowed = {
		.status = MHD_HTTP_METHOD_NOT_ALLOWED, .text = ""};
	struct http *h = cls;
	struct http_reply reply = {.status = MHD_HTTP_NOT_FOUND, .text = ""};

	(void)version;
	(void)body;
	if (!is_get(method))
		return send_reply(h, c, &not_allowed);
	if (!*state) {
		*state = h;
		return MHD_YES;
	}
	if (*n_body > 0)
		return MHD_NO; /* a body where none belongs */
	h->events->on_get(h->data, path, &reply);
	return send_reply(h, c, &reply);
}

/* --- Who is there ----------------------------------------------------------------------------- */

static void *new_client(struct http *h, struct MHD_Connection *c)
{
	struct client *client = malloc(sizeof(*client));

	/* For want of memory it gives way to nobody. */
	if (!client)
		return NULL;
	client->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	list_init(&client->node);
	list_push_back(&h->clients, &client->node);
	return client;
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http *h = cls;
	struct client *client = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		h->n_clients++;
		*context = new_client(h, c);
		return;
	}
	h->n_clients--;
	if (client)
		list_remove(&client->node);
	free(client);
}

static void on_answered(
	void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
	struct http *h = cls;
	struct client *client =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	(void)state;
	if (!client || code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		return;
	list_remove(&client->node);
	list_push_back(&h->clients, &client->node);
}

static bool is_full(const struct http *h)
{
	return h->n_clients >= h->settings->max_connections;
}

/* Where all places are taken one gives way: its socket's end is noticed, an answer is made in vain, it cannot be sent. */
static void make_room(struct http *h)
{
	struct list *node = list_first(&h->clients);

	if (!is_full(h) || !node)
		return;
	list_remove(node);
	(void)shutdown(list_entry(node, struct client, node)->fd, SHUT_RDWR);
	for (unsigned i = 0; i < TURNS_TO_END && is_full(h); i++)
		turn(h);
}

/* --- Listening -------------------------------------------------------------------------------- */

static bool on_accept(struct acceptor *a, int fd)
{
	struct http *h = container_of(a, struct http, acceptor);
	struct sockaddr_storage peer = {.ss_family = AF_INET};
	socklen_t n = sizeof(peer);
	enum MHD_Result r;

	make_room(h);
	(void)getpeername(fd, (struct sockaddr *)&peer, &n);
	/* Takes the descriptor, also when there is no room. */
	r = MHD_add_connection(h->daemon, fd, (struct sockaddr *)&peer, n);
	turn(h);
	return r == MHD_YES;
}

static void close_one(struct http *h)
{
	if (--h->n_handles == 0)
		free(h);
}

static void on_acceptor_closed(struct acceptor *a)
{
	close_one(container_of(a, struct http, acceptor));
}

static const struct acceptor_events acceptor_events = {
	.on_accept = on_accept,
	.on_closed = on_acceptor_closed,
	.limit = "[metrics] max_connections",
};

static int open_socket(const struct address *a, int *ret_fd, const char **ret_what)
{
	_cleanup_(close_fd) int fd = -1;
	int r;

	*ret_what = "socket";
	fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	*ret_what = "bind";
	r = inet_bind(fd, a);
	if (r)
		return r;
	*ret_what = "listen";
	if (listen(fd, BACKLOG))
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int listen_on(struct http *h, const struct address *a, const char **ret_what)
{
	struct address bound = {.n_socket = sizeof(bound.socket)};
	int fd = -1;
	int r = open_socket(a, &fd, ret_what);

	if (r)
		return r;
	(void)getsockname(fd, (struct sockaddr *)&bound.socket, &bound.n_socket);
	address_format(&bound, h->address);
	*ret_what = "poll";
	r = acceptor_open(&h->acceptor, h->loop, fd, h->address, &acceptor_events);
	if (r)
		return r;
	h->listens = true;
	h->n_handles++;
	return 0;
}

int http_listen(struct http *h, char *text, size_t cap)
{
	struct address all[ADDRESSES_MAX];
	const char *what;
	size_t n;
	int r;

	assert(!h->listens);
	if (address_text_is_unix(h->settings->listen)) {
		snprintf(text, cap, "%s: pages and probes are served over TCP only",
			h->settings->listen);
		return -EINVAL;
	}
	r = address_parse(h->settings->listen, all, &n, text, cap);
	if (r)
		return r;
	r = listen_on(h, &all[0], &what);
	if (r)
		snprintf(text, cap, "%s: %s: %s", h->settings->listen, what, err_str(r));
	return r;
}

const char *http_address(const struct http *h)
{
	return h->address;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	close_one(handle->data);
}

/* Nothing is listened to: connections are handed over. */
static struct MHD_Daemon *start_daemon(struct http *h)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME,
		0, NULL, NULL, on_request, h, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)h->settings->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(h->settings->timeout_ms / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_NOTIFY_COMPLETED, on_answered, h, MHD_OPTION_END);
}

static int open_handles(struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r = uv_poll_init(h->loop, &h->poll, info->epoll_fd);

	if (r)
		return r;
	r = uv_timer_init(h->loop, &h->timer);
	assert(r == 0); /* it cannot fail */
	r = uv_idle_init(h->loop, &h->more);
	assert(r == 0);
	h->poll.data = h->timer.data = h->more.data = h;
	h->n_handles = 3;
	r = uv_poll_start(&h->poll, UV_READABLE, on_ready);
	assert(r == 0); /* the descriptor is new: nobody else polls it */
	return 0;
}

int http_new(struct http **ret_http, uv_loop_t *loop, const struct http_settings *settings,
	const struct http_events *events, void *data)
{
	_cleanup_(http_freep) struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->settings = settings;
	h->events = events;
	h->data = data;
	h->loop = loop;
	list_init(&h->suspended);
	list_init(&h->clients);
	h->daemon = start_daemon(h);
	if (!h->daemon)
		return -ENOMEM;
	r = open_handles(h);
	if (!r)
		*ret_http = steal_ptr(h);
	return r;
}

struct http *http_free(struct http *h)
{
	if (!h)
		return NULL;
	if (h->n_handles == 0) {
		if (h->daemon)
			MHD_stop_daemon(h->daemon);
		free(h);
		return NULL;
	}
	if (h->listens)
		acceptor_close(&h->acceptor);
	/* Ahead of the daemon, whose descriptor is polled. */
	uv_close((uv_handle_t *)&h->poll, on_handle_closed);
	uv_close((uv_handle_t *)&h->timer, on_handle_closed);
	uv_close((uv_handle_t *)&h->more, on_handle_closed);
	resume(h);
	MHD_stop_daemon(h->daemon);
	return NULL;
}

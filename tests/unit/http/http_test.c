/*
 * http_test.c: requests over real sockets, clients and server in one thread: the loop is turned until the client
 * has what it waits for.
 */
#include "http/http.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/list.h"
#include "base/log.h"
#include "tests/support/failalloc.h"

#define REPLY_MAX ((size_t)8 << 20)

struct counted_source {
	struct http_source source;
	size_t left; /* bytes of it */
	size_t n_reads;
	int error; /* instead of more */
	unsigned n_closed;
};

static struct bed {
	uv_loop_t loop;
	struct http_settings settings;
	struct http *http;
	struct counted_source counted;
	char path[256]; /* last asked for */
	unsigned n_asked;
	char reply[REPLY_MAX + 1];
} bed;

static ssize_t read_counted(struct http_source *s, char *out, size_t cap)
{
	struct counted_source *c = container_of(s, struct counted_source, source);
	size_t n = cap < c->left ? cap : c->left;

	if (c->error)
		return c->error;
	memset(out, 'x', n);
	c->left -= n;
	c->n_reads++;
	return (ssize_t)n;
}

static void close_counted(struct http_source *s)
{
	container_of(s, struct counted_source, source)->n_closed++;
}

static void on_get(void *data, const char *path, struct http_reply *reply)
{
	cr_assert_eq(data, &bed);
	bed.n_asked++;
	snprintf(bed.path, sizeof(bed.path), "%s", path);
	cr_expect_eq(reply->status, 404);
	if (strcmp(path, "/hello") == 0)
		*reply = (struct http_reply){
			.status = 200, .type = "text/plain", .text = "hello", .n = 5};
	else if (strcmp(path, "/long") == 0)
		*reply = (struct http_reply){
			.status = 200, .type = "text/plain", .source = &bed.counted.source};
}

static const struct http_events events = {.on_get = on_get};

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	memset(&bed, 0, sizeof(bed));
	bed.settings = (struct http_settings){
		.listen = "127.0.0.1:0", .max_connections = 4, .timeout_ms = 60000};
	bed.counted.source = (struct http_source){.read = read_counted, .close = close_counted};
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
}

static void teardown(void)
{
	http_free(bed.http);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
}

TestSuite(http, .init = setup, .fini = teardown);

static void serve(void)
{
	char text[256];

	cr_assert_eq(http_new(&bed.http, &bed.loop, &bed.settings, &events, &bed), 0);
	cr_assert_eq(http_listen(bed.http, text, sizeof(text)), 0, "%s", text);
}

static int dial(void)
{
	struct address all[ADDRESSES_MAX];
	char text[256];
	size_t n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(address_parse(http_address(bed.http), all, &n, text, sizeof(text)), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&all[0].socket, all[0].n_socket), 0);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Turn the loop until the client has `until` in what it was sent, or (NULL) the connection ended. Returns how much it
 * was. */
static size_t hear(int fd, const char *until)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, bed.reply + len, REPLY_MAX - len, 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		if (n > 0)
			len += (size_t)n;
		bed.reply[len] = '\0';
		if (until && strstr(bed.reply, until))
			return len;
		if (n < 0) {
			uv_run(&bed.loop, UV_RUN_NOWAIT);
			poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
		}
	}
	bed.reply[len] = '\0';
	cr_expect_null(until, "the connection ended before \"%s\"", until);
	return len;
}

Test(http, a_page)
{
	int fd;

	serve();
	fd = dial();
	say(fd, "GET /hello?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "\r\n\r\nhello");
	cr_expect_not_null(strstr(bed.reply, "HTTP/1.1 200 OK"));
	cr_expect_not_null(strstr(bed.reply, "Content-Type: text/plain"));
	cr_expect_not_null(strstr(bed.reply, "Content-Length: 5"));
	cr_expect_not_null(strstr(bed.reply, "Content-Security-Policy: default-src 'none'"));
	cr_expect_str_eq(bed.path, "/hello");
	/* The connection stays. */
	say(fd, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "404 Not Found");
	cr_expect_eq(bed.n_asked, 2);
	close(fd);
}

Test(http, a_path_is_decoded)
{
	int fd;

	serve();
	fd = dial();
	say(fd, "GET /a%20b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	hear(fd, NULL);
	cr_expect_str_eq(bed.path, "/a b");
	close(fd);
}

Test(http, head_sends_no_body)
{
	int fd;

	serve();
	fd = dial();
	say(fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	hear(fd, NULL);
	cr_expect_not_null(strstr(bed.reply, "Content-Length: 5"));
	cr_expect_null(strstr(bed.reply, "hello"));
	close(fd);
}

Test(http, nothing_can_be_sent_here)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
	char text[128];

	serve();
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		int fd = dial();

		snprintf(text, sizeof(text),
			"%s /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
			methods[i]);
		say(fd, text);
		hear(fd, "\r\n\r\n");
		cr_expect_not_null(strstr(bed.reply, "405 Method Not Allowed"));
		cr_expect_not_null(strstr(bed.reply, "Allow: GET, HEAD"));
		close(fd);
	}
	cr_expect_eq(bed.n_asked, 0);
}

Test(http, a_get_with_a_body_is_ended)
{
	int fd;

	serve();
	fd = dial();
	say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	cr_expect_eq(hear(fd, NULL), 0);
	cr_expect_eq(bed.n_asked, 0);
	close(fd);
}

Test(http, garbage_ends_the_connection)
{
	int fd;

	serve();
	fd = dial();
	say(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	hear(fd, NULL);
	cr_expect_eq(bed.n_asked, 0);
	close(fd);
}

Test(http, an_endless_head_is_refused)
{
	char text[4097];
	int fd;

	serve();
	fd = dial();
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	say(fd, "GET /");
	for (size_t n = 0; n < 64; n++) {
		if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
			break;
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	hear(fd, NULL);
	cr_expect_eq(bed.n_asked, 0);
	close(fd);
}

/* More than sockets hold: the rest is made when there is room for it. */
Test(http, a_long_page_is_made_as_it_is_taken)
{
	const size_t n = (size_t)6 << 20;
	int fd;

	serve();
	bed.counted.left = n;
	fd = dial();
	say(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	for (unsigned i = 0; i < 1000; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_gt(bed.counted.n_reads, 0);
	cr_expect_eq(bed.counted.n_closed, 0);
	cr_expect_gt(hear(fd, "\r\n0\r\n\r\n"), n);
	cr_expect_not_null(strstr(bed.reply, "Transfer-Encoding: chunked"));
	cr_expect_eq(bed.counted.left, 0);
	cr_expect_eq(bed.counted.n_closed, 1);
	close(fd);
}

/* However quickly it is taken: others have their turns in between. */
Test(http, a_turn_makes_a_piece_and_no_more)
{
	size_t most = 0;
	int fd;

	serve();
	bed.counted.left = (size_t)1 << 30;
	fd = dial();
	say(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	for (unsigned i = 0; i < 200; i++) {
		size_t left = bed.counted.left;

		uv_run(&bed.loop, UV_RUN_NOWAIT);
		if (left - bed.counted.left > most)
			most = left - bed.counted.left;
		while (recv(fd, bed.reply, REPLY_MAX, 0) > 0)
			;
	}
	cr_expect_gt(most, 0);
	cr_expect_leq(most, 3 * (32 << 10),
		"one from the timer, one from the socket, one as the loop goes on");
	cr_expect_lt(bed.counted.left, ((size_t)1 << 30) - (1 << 20));
	close(fd);
}

Test(http, a_client_that_leaves_ends_its_page)
{
	int fd;

	serve();
	bed.counted.left = (size_t)1 << 30;
	fd = dial();
	say(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "xxx");
	close(fd);
	while (!bed.counted.n_closed)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.counted.n_closed, 1);
}

Test(http, a_page_that_cannot_be_gone_on_with_has_no_end)
{
	int fd;

	serve();
	bed.counted.error = -ENOMEM;
	fd = dial();
	say(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, NULL);
	cr_expect_null(strstr(bed.reply, "0\r\n\r\n"));
	cr_expect_eq(bed.counted.n_closed, 1);
	close(fd);
}

Test(http, the_end_closes_what_is_under_way)
{
	int fd;

	serve();
	bed.counted.left = (size_t)1 << 30;
	fd = dial();
	say(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "xxx");
	bed.http = http_free(bed.http);
	cr_expect_eq(bed.counted.n_closed, 1);
	hear(fd, NULL);
	close(fd);
}

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

/* Who asks nothing, half of something, or takes no answer keeps nobody out. */
Test(http, so_many_connections_and_no_more)
{
	int fds[4], fd;

	bed.counted.left = REPLY_MAX;
	serve();
	for (size_t i = 0; i < 4; i++)
		fds[i] = dial();
	say(fds[1], "GET /hel");
	say(fds[2], "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fds[2], "xxx");
	say(fds[0], HELLO);
	hear(fds[0], "hello");
	for (size_t i = 1; i < 4; i++) {
		fd = dial();
		say(fd, HELLO);
		hear(fd, "hello");
		(void)hear(fds[i], NULL);
		cr_expect_eq(bed.counted.n_closed, i < 2 ? 0 : 1);
		close(fds[i]);
		fds[i] = fd;
	}
	say(fds[0], HELLO);
	hear(fds[0], "hello");
	fd = dial();
	say(fd, HELLO);
	hear(fd, "hello");
	cr_expect_eq(hear(fds[1], NULL), 0, "the others have been answered since");
	close(fd);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
}

/* They come and go as they like; who asks is answered. */
Test(http, many_that_ask_nothing)
{
	int fds[64], fd;

	serve();
	for (size_t i = 0; i < 64; i++)
		fds[i] = dial();
	fd = dial();
	say(fd, HELLO);
	hear(fd, "hello");
	close(fd);
	for (size_t i = 0; i < 64; i++)
		close(fds[i]);
}

Test(http, who_says_nothing_is_closed)
{
	int fd;

	bed.settings.timeout_ms = 1000;
	serve();
	fd = dial();
	say(fd, "GET /hello HT");
	cr_expect_eq(hear(fd, NULL), 0);
	close(fd);
}

Test(http, addresses_that_cannot_be)
{
	char text[256];

	bed.settings.listen = "nonsense";
	cr_assert_eq(http_new(&bed.http, &bed.loop, &bed.settings, &events, &bed), 0);
	cr_expect_eq(http_listen(bed.http, text, sizeof(text)), -EINVAL);
	cr_expect_not_null(strstr(text, "nonsense"));
	bed.settings.listen = "unix:x";
	cr_expect_eq(http_listen(bed.http, text, sizeof(text)), -EINVAL);
	cr_expect_not_null(strstr(text, "TCP"));
	/* It can be tried again. */
	bed.settings.listen = "127.0.0.1:0";
	cr_expect_eq(http_listen(bed.http, text, sizeof(text)), 0);
}

Test(http, an_address_in_use)
{
	struct http_settings same = bed.settings;
	struct http *other = NULL;
	char address[ADDRESS_TEXT_MAX], text[256];

	serve();
	snprintf(address, sizeof(address), "%s", http_address(bed.http));
	same.listen = address;
	cr_assert_eq(http_new(&other, &bed.loop, &same, &events, &bed), 0);
	cr_expect_eq(http_listen(other, text, sizeof(text)), -EADDRINUSE);
	cr_expect_not_null(strstr(text, address));
	http_free(other);
}

static int make_and_listen(void *arg)
{
	char text[256];
	int r;

	(void)arg;
	setup();
	r = http_new(&bed.http, &bed.loop, &bed.settings, &events, &bed);
	if (!r)
		r = http_listen(bed.http, text, sizeof(text));
	teardown();
	return r;
}

Test(http_fault, making_and_listening)
{
	FAULT_LOOP(make_and_listen, NULL);
}

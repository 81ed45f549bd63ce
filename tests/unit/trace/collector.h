/* collector.h: who takes spans, played by a thread: one connection after the other, a request each. */
#ifndef TESTS_UNIT_TRACE_COLLECTOR_H
#define TESTS_UNIT_TRACE_COLLECTOR_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct collector {
	int fd; /* own: listens */
	char url[64];
	const char *answer; /* NULL: it says nothing; set before it is started */
	pthread_t thread;
	char got[1 << 20]; /* the last request; read when it is stopped */
	size_t n_got;
	_Atomic unsigned n_requests;
};

/* First in a test: without libcurl there is nothing to test. */
#define NEEDS_CURL()                                                                               \
	do {                                                                                       \
		if (!dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL))                                \
			cr_skip_test("needs libcurl.so.4");                                        \
	} while (0)

/* Is all of it there: as much behind the headers as they say? */
static inline bool collector_is_whole(const struct collector *c)
{
	const char *length = strcasestr(c->got, "content-length:");
	const char *end = strstr(c->got, "\r\n\r\n");

	return length && end &&
	       (size_t)(c->got + c->n_got - end - 4) >= strtoul(length + 15, NULL, 10);
}

static inline void collector_take(struct collector *c, int fd)
{
	ssize_t n;

	c->n_got = 0;
	c->got[0] = '\0';
	while (!collector_is_whole(c) &&
		(n = read(fd, c->got + c->n_got, sizeof(c->got) - 1 - c->n_got)) > 0) {
		c->n_got += (size_t)n;
		c->got[c->n_got] = '\0';
	}
	if (!collector_is_whole(c))
		return;
	if (c->answer) {
		cr_assert_eq(write(fd, c->answer, strlen(c->answer)), (ssize_t)strlen(c->answer));
		c->n_requests++;
	} else {
		c->n_requests++;
		while (read(fd, c->got, 1) > 0) /* until the other side gives up */
			;
	}
}

static inline void *collector_run(void *data)
{
	struct collector *c = data;
	int fd;

	while ((fd = accept(c->fd, NULL, NULL)) >= 0) {
		collector_take(c, fd);
		close(fd);
	}
	return NULL;
}

static inline void collector_start(struct collector *c, const char *answer)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);

	memset(c, 0, sizeof(*c));
	c->answer = answer;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(c->fd, 8), 0);
	cr_assert_eq(getsockname(c->fd, (struct sockaddr *)&a, &n), 0);
	snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%u/v1/traces", ntohs(a.sin_port));
	cr_assert_eq(pthread_create(&c->thread, NULL, collector_run, c), 0);
}

static inline void collector_stop(struct collector *c)
{
	shutdown(c->fd, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->fd);
}

#define COLLECTOR_OK	 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
#define COLLECTOR_REFUSE "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

#endif

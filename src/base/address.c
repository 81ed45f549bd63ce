/*
 * address.c: listen addresses, text <-> socket address. Pure but for the name lookup. Daemon
 * process.
 */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/host_port.h"

#define UNIX_PREFIX   "unix:"
#define N_UNIX_PREFIX (sizeof(UNIX_PREFIX) - 1)

_printf_(3, 4) static void say(char *text, size_t cap, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, cap, format, arguments);
	va_end(arguments);
}

bool address_text_is_unix(const char *listen)
{
	return !strncmp(listen, UNIX_PREFIX, N_UNIX_PREFIX);
}

bool address_is_unix(const struct address *a)
{
	return a->socket.ss_family == AF_UNIX;
}

uint16_t address_port(const struct address *a)
{
	if (a->socket.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&a->socket)->sin_port);
	if (a->socket.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a->socket)->sin6_port);
	return 0;
}

void address_set_port(struct address *a, uint16_t port)
{
	if (a->socket.ss_family == AF_INET)
		((struct sockaddr_in *)&a->socket)->sin_port = htons(port);
	else if (a->socket.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->socket)->sin6_port = htons(port);
}

static int parse_unix(const char *listen, struct address *ret, char *text, size_t cap)
{
	const char *path = listen + N_UNIX_PREFIX;
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->socket;
	size_t n = strlen(path);

	if (n == 0 || (path[0] == '@' && n == 1)) {
		say(text, cap, "%s: path missing", listen);
		return -EINVAL;
	}
	if (path[0] != '@' && path[n - 1] == '/') {
		say(text, cap, "%s: the name of the socket is missing", listen);
		return -EINVAL;
	}
	if (n >= sizeof(un->sun_path)) {
		say(text, cap, "%s: path of %zu bytes, at most %zu are possible", listen, n,
			sizeof(un->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	*ret = (struct address){0};
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	if (path[0] == '@')
		un->sun_path[0] = 0;
	/* An abstract name has no terminator: it would be part of the name. */
	ret->n_socket = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
	return 0;
}

static void any_address(struct address ret[2], uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	ret[0] = ret[1] = (struct address){0};
	memcpy(&ret[0].socket, &in, sizeof(in));
	ret[0].n_socket = sizeof(in);
	memcpy(&ret[1].socket, &in6, sizeof(in6));
	ret[1].n_socket = sizeof(in6);
}

static int look_up(const char *host, uint16_t port, struct address ret[ADDRESSES_MAX],
	size_t *ret_n, const char **ret_why)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	size_t n = 0;
	int r = getaddrinfo(host, NULL, &hints, &found);

	if (r) {
		*ret_why = gai_strerror(r);
		return -ENOENT;
	}
	for (struct addrinfo *a = found; a && n < ADDRESSES_MAX; a = a->ai_next) {
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		ret[n] = (struct address){.n_socket = a->ai_addrlen};
		memcpy(&ret[n].socket, a->ai_addr, a->ai_addrlen);
		address_set_port(&ret[n++], port);
	}
	freeaddrinfo(found);
	*ret_n = n;
	return 0;
}

int address_parse(const char *listen, struct address ret[ADDRESSES_MAX], size_t *ret_n, char *text,
	size_t cap)
{
	char host[HOST_MAX];
	const char *why = NULL;
	uint16_t port;
	int r;

	if (address_text_is_unix(listen)) {
		r = parse_unix(listen, &ret[0], text, cap);
		if (!r)
			*ret_n = 1;
		return r;
	}
	if (host_port_split(listen, host, &port)) {
		say(text, cap, "%s: not host:port, [ipv6]:port, *:port or unix:/path%s", listen,
			host_port_hint(listen));
		return -EINVAL;
	}
	if (!strcmp(host, "*")) {
		any_address(ret, port);
		*ret_n = 2;
		return 0;
	}
	r = look_up(host, port, ret, ret_n, &why);
	if (r)
		say(text, cap, "%s: %s", listen, why);
	return r;
}

static void format_unix(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->socket;
	size_t at = offsetof(struct sockaddr_un, sun_path);
	size_t n = a->n_socket > at ? a->n_socket - at : 0;

	if (n == 0)
		snprintf(out, ADDRESS_TEXT_MAX, UNIX_PREFIX);
	else if (un->sun_path[0])
		snprintf(out, ADDRESS_TEXT_MAX, UNIX_PREFIX "%s", un->sun_path);
	else
		snprintf(
			out, ADDRESS_TEXT_MAX, UNIX_PREFIX "@%.*s", (int)(n - 1), un->sun_path + 1);
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool six = a->socket.ss_family == AF_INET6;

	if (address_is_unix(a)) {
		format_unix(a, out);
		return;
	}
	if (six)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&a->socket)->sin6_addr, host,
			sizeof(host));
	else
		inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->socket)->sin_addr, host,
			sizeof(host));
	snprintf(out, ADDRESS_TEXT_MAX, six ? "[%s]:%u" : "%s:%u", host, address_port(a));
}

/* host_port.c: "host:port" into its parts. Pure. */
#include "base/host_port.h"

#include <errno.h>
#include <string.h>

#include "base/digits.h"

static int parse_port(const char *digits, uint16_t *ret_port)
{
	uint64_t value;

	if (strlen(digits) > 5 || decimal_parse(digits, &value) || value > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)value;
	return 0;
}

int host_port_split(const char *text, char ret_host[HOST_MAX], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t n;

	if (!colon)
		return -EINVAL;
	n = (size_t)(colon - text);
	if (host[0] == '[') {
		if (n < 2 || host[n - 1] != ']')
			return -EINVAL;
		host++;
		n -= 2;
	} else if (memchr(host, ':', n)) {
		return -EINVAL;
	}
	if (n == 0 || n >= HOST_MAX)
		return -EINVAL;
	memcpy(ret_host, host, n);
	ret_host[n] = 0;
	return parse_port(colon + 1, ret_port);
}

const char *host_port_hint(const char *text)
{
	const char *first = strchr(text, ':');
	uint16_t port;

	if (strpbrk(text, "\"'"))
		return " (it has quotes, which are not taken off)";
	if (strstr(text, "://"))
		return " (without what is in front of ://)";
	if (*text == '/')
		return " (a path has unix: in front)";
	if (strpbrk(text, " \t"))
		return " (several have commas between)";
	if (first && first != strrchr(text, ':') && *text != '[')
		return " (an IPv6 address is in brackets: [::1]:50052)";
	if (!parse_port(text, &port))
		return " (a port has a host in front: 127.0.0.1:50052)";
	return first ? "" : " (the port is missing)";
}

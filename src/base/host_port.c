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

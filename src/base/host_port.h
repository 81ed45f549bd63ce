/* host_port.h: "host:port" as people write it. */
#ifndef BASE_HOST_PORT_H
#define BASE_HOST_PORT_H

#include <stdint.h>

#include "base/cleanup.h"

#define HOST_MAX 256u /* bytes of a name, NUL included */

/*
 * "host:port" or "[host]:port" into its parts; a bare IPv6 address has too many colons. What the host
 * means is not looked at.
 *
 * -EINVAL  anything else: no host, none that fits, a port that is not 0 to 65535 in digits alone
 */
_must_use_ int host_port_split(const char *text, char ret_host[HOST_MAX], uint16_t *ret_port);
/* Of what is neither that nor unix:/path: what people mean by it, to be put behind an error; "": nobody knows. */
const char *host_port_hint(const char *text);

#endif

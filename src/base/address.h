/*
 * address.h: where to listen, as written in the configuration:
 *   127.0.0.1:50052   [::1]:50052   name:50052   *:50052 (IPv4 and IPv6)
 *   unix:/path   unix:@name (abstract)
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define ADDRESS_TEXT_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + 16)

struct address {
	struct sockaddr_storage socket;
	socklen_t n_socket;
};

#define ADDRESSES_MAX 8u /* that one text may stand for */

/*
 * Parse, looking names up (which may block: at start only). ret: the first ADDRESSES_MAX.
 * On failure text (cap bytes) says what is wrong with which address.
 *
 * -EINVAL malformed; -ENAMETOOLONG; -ENOENT name unknown
 */
_must_use_ int address_parse(const char *listen, struct address ret[ADDRESSES_MAX], size_t *ret_n,
	char *text, size_t cap);
/* Is it "unix:..."? */
bool address_text_is_unix(const char *listen);
bool address_is_unix(const struct address *a);
/* "127.0.0.1:41234", "[::1]:1", "unix:/p", "unix:@name"; NUL-terminated. */
void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);
uint16_t address_port(const struct address *a);
void address_set_port(struct address *a, uint16_t port);

#endif

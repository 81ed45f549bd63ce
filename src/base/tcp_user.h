/* tcp_user.h: who is at the other end of a TCP connection within this host, as sock_diag(7) tells. */
#ifndef BASE_TCP_USER_H
#define BASE_TCP_USER_H

#include <stdint.h>

/* Of the socket at the other end of fd, both ends of which are on this host: the uid that it was made by; -1: the
 * kernel does not tell. Takes four system calls. */
int64_t tcp_user(int fd);

#endif

/*
 * rights.h: Unix connections by which the kernel hands descriptors over; SO_PASSRIGHTS, Linux 6.16, is how to have none. Nobody
 * wants any here, and libuv would leave them to the kernel, which closes them on the loop, for as long as a stranger
 * likes. Here they are received, and threads close them (base/closing.h), and a connection with some unread in it.
 *
 * While this process is out of descriptors the kernel closes them all the same. Daemon process, loop thread.
 */
#ifndef HTTP2_RIGHTS_H
#define HTTP2_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/list.h"

/* What is being closed. */
struct rights_desk {
	struct list running; /* struct rights_closing.node */
};

/* Have none come by fd, a Unix socket that listens, and by what connects there. False: the kernel does not know how. */
bool rights_refuse(int fd);

void rights_desk_init(struct rights_desk *k);
/* Threads that have not ended are left to themselves. */
void rights_desk_deinit(struct rights_desk *k);
/* Threads that have not ended: who bounds connections counts them as such. */
unsigned rights_desk_running(struct rights_desk *k);

/* Before the first rights_read() of a connection. */
void rights_expect(int fd);
/*
 * Read from a connection. *ret_n: 0 at its end.
 *
 * -EAGAIN  nothing there
 * -EPROTO  descriptors came: to be ended
 * -errno   broken
 */
_must_use_ int rights_read(struct rights_desk *k, int fd, void *buffer, size_t cap, size_t *ret_n);
/* Nothing more comes or goes on fd, as if it were closed: before that is done. True: nothing lies in it unread. */
bool rights_end(int fd);
/* Close fd (own), a connection that nobody else has open. */
void rights_close(struct rights_desk *k, int fd);

#endif

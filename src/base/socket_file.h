/*
 * socket_file.h: the file of a listening Unix socket: a stale one is replaced, its mode and group are set
 * before anybody can connect, and only our own is removed. Who has the name holds a lock on PATH.lock, so that of two
 * processes that start at once one gets it, also while nobody listens there yet.
 */
#ifndef BASE_SOCKET_FILE_H
#define BASE_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/cleanup.h"

/* Zeroed: there is none. */
struct socket_file {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t device; /* of the file we made ... */
	ino_t inode;  /* ... 0: none */
	bool locked;
	int lock_fd;   /* own, if locked */
	char what[80]; /* for a message that *ret_what may point to */
};

struct socket_file_options {
	mode_t mode;
	const char *group; /* borrow during the call; NULL or "": the process's */
};

/*
 * Bind fd (of any type, not listening yet) to a Unix address of n bytes; an abstract one has no file. A file
 * where nobody answers is replaced. *ret_what: "bind" (with the process that has the name, where that is known),
 * "unix_group" or "unix_mode", for messages; valid as long as f. Where there can be no lock file, there is none.
 *
 * -EADDRINUSE  somebody has it or answers there, or it is no socket
 * -ENOENT      the group is unknown
 * -errno
 */
_must_use_ int socket_file_bind(struct socket_file *f, int fd, const struct sockaddr_un *address,
	socklen_t n, const struct socket_file_options *options, const char **ret_what);
/* Does a daemon hold the name, by the lock, and so has made the socket there? A service manager holds none. An abstract name, which has
 * no lock, counts as held. */
bool socket_file_is_held(const struct sockaddr_un *address);
/* From here on the file is somebody else's: it stays, and so does its name. */
void socket_file_let_go(struct socket_file *f);
/* The file at a Unix address, which somebody else made for the same socket, is ours to remove. Where it is gone, nothing. */
void socket_file_take_over(struct socket_file *f, const struct sockaddr_un *address);
/* Remove the file, if it is still the one that was made, and give the name up. Accepts a zeroed one. */
void socket_file_remove(struct socket_file *f);

#endif

/* pipes.h: descriptors that a peer sends along, of which a test can see what becomes: ends of pipes. */
#ifndef TESTS_UNIT_HTTP2_PIPES_H
#define TESTS_UNIT_HTTP2_PIPES_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/seqpacket.h"

/* Send it to `peer`, with the writing end of a pipe; returns the other. */
static inline int pipe_send(int peer, const char *data)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(seqpacket_send(peer, data, strlen(data), &fds[1], 1, 0), 0);
	close(fds[1]);
	return fds[0];
}

/* The end of a pipe whose other end is closed: waits for that. */
static inline void pipe_expect_closed(int fd)
{
	char c;

	cr_expect_eq(read(fd, &c, 1), 0);
	close(fd);
}

#endif

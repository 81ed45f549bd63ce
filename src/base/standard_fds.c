/*
 * standard_fds.c: a closed descriptor is the lowest free one, which open() takes. Any process.
 */
#include "base/standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_somewhere(void)
{
	int fd = open("/dev/null", O_RDWR);

	return fd < 0 ? open("/", O_PATH | O_DIRECTORY) : fd;
}

int standard_fds_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		if (open_somewhere() != fd)
			return -errno;
	}
	return 0;
}

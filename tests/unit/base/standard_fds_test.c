/* standard_fds_test.c: whichever of 0, 1 and 2 are closed are open afterwards, and no others. */
#include "base/standard_fds.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_null(int fd)
{
	struct stat st, null;

	return !fstat(fd, &st) && !stat("/dev/null", &null) && st.st_rdev == null.st_rdev;
}

/* In a child, which has those of `closed` (a bit each) closed. 0: all as it should be. */
static int child(unsigned closed)
{
	int after;

	for (int fd = 0; fd < 3; fd++) {
		int other = open("/", O_RDONLY | O_DIRECTORY);

		dup2(other, fd);
		if (other > 2)
			close(other);
	}
	for (int fd = 0; fd < 3; fd++)
		if (closed & 1u << fd)
			close(fd);
	if (standard_fds_open())
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (is_null(fd) != !!(closed & 1u << fd))
			return 2;
	after = open("/", O_RDONLY | O_DIRECTORY);
	return after > 2 ? 0 : 3;
}

Test(standard_fds, each_that_is_closed)
{
	for (unsigned closed = 0; closed < 8; closed++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(closed));
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%u: %#x", closed, status);
	}
}

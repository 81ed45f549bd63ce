/*
 * orphans.c: peeks at who has ended before it takes the status, which for one of ours is its owner's.
 * Daemon process, loop thread.
 */
#include "orphans.h"

#include <errno.h>
#include <stddef.h>
#include <sys/wait.h>

bool orphans_reap(bool (*is_ours)(void *data, pid_t pid), void *data)
{
	while (true) {
		siginfo_t info = {0};

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT)) {
			if (errno == EINTR)
				continue;
			return false; /* ECHILD: there are no children */
		}
		if (info.si_pid == 0)
			return false;
		if (is_ours(data, info.si_pid))
			return true;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

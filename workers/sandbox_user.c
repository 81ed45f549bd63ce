/*
 * sandbox_user.c: another user for this process than the daemon's, who may do nothing but what anybody may. Worker process,
 * its one thread.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "workers/sandbox_private.h"

int sandbox_user_parse(const char *text, uint32_t *ret_uid, uint32_t *ret_gid)
{
	char rest;

	if (sscanf(text, "%" SCNu32 ":%" SCNu32 "%c", ret_uid, ret_gid, &rest) != 2)
		return -EINVAL;
	return *ret_uid == 0 || *ret_gid == 0 ? -EINVAL : 0;
}

/* Where that is not allowed nothing is lost: there are no new privileges, and no capability survives the next step. */
static void empty_bounding_set(void)
{
	for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

int sandbox_user_become(uint32_t uid, uint32_t gid)
{
	pid_t parent = getppid();

	empty_bounding_set();
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	/* The kernel has forgotten both: that this process ends with the daemon, and that it is one like any other until it
	 * says that nobody may look into it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

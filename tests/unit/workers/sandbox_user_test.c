/* sandbox_user_test.c: who a worker becomes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fake_inmate.h"
#include "workers/sandbox_private.h"

#define UID 64001u
#define GID 64002u

Test(sandbox_user, texts)
{
	static const char *const wrong[] = {
		"", "1000", "0:1000", "1000:0", "a:b", "1000:", "1000:1000x", "1000 1000"};
	uint32_t uid, gid;

	cr_assert_eq(sandbox_user_parse("64001:64002", &uid, &gid), 0);
	cr_assert_eq(uid, UID);
	cr_assert_eq(gid, GID);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(sandbox_user_parse(wrong[i], &uid, &gid), -EINVAL, "%s", wrong[i]);
}

static int become(void *arg)
{
	return sandbox_user_become(UID, GID);
}

/* 0: all is as it should be. */
static int look(void *arg)
{
	uid_t uids[3];
	gid_t gids[3];
	int signal = 0;

	if (getresuid(&uids[0], &uids[1], &uids[2]) || getresgid(&gids[0], &gids[1], &gids[2]))
		return 1;
	for (int i = 0; i < 3; i++) {
		if (uids[i] != UID || gids[i] != GID)
			return 2;
	}
	if (getgroups(0, NULL) != 0)
		return 3;
	if (prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0)
		return 4;
	if (prctl(PR_GET_PDEATHSIG, &signal) || signal != SIGKILL)
		return 5;
	return setuid(0) == 0 ? 6 : 0;
}

Test(sandbox_user, is_somebody_else_for_good)
{
	if (geteuid() != 0)
		cr_skip_test("only root may become somebody else");
	cr_assert_eq(fake_inmate(become, look, NULL), 0);
}

Test(sandbox_user, who_is_not_root_may_not)
{
	if (geteuid() == 0)
		cr_skip_test("root may");
	cr_assert_eq(sandbox_user_become(UID, GID), -EPERM);
}

/* fake_crowd.c: see fake_crowd.h. */
#include "fake_crowd.h"

#include <criterion/criterion.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/seqpacket.h"

#define LITTLE 64

/* The kernel asks nobody who may do everything. */
static void lose_privileges(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	cr_assert_eq(syscall(SYS_capset, &header, none), 0);
}

void fake_crowd(int ret_pair[2])
{
	struct rlimit limit;
	int fds[LITTLE + 1];

	lose_privileges();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = LITTLE;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(seqpacket_pair(ret_pair), 0);
	for (size_t i = 0; i < LITTLE + 1; i++)
		fds[i] = ret_pair[0];
	cr_assert_eq(seqpacket_send(ret_pair[0], "", 1, fds, LITTLE + 1, 1), 0);
}

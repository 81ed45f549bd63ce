/* Tests of closing.c: descriptors are closed by others, and nobody waits. */
#include "base/closing.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

/* The other end of a pipe says when this one is closed. */
static void wait_closed(int reader)
{
	struct pollfd p = {.fd = reader};

	cr_assert_eq(poll(&p, 1, 60000), 1);
	cr_assert(p.revents & POLLHUP);
	close(reader);
}

Test(closing, closes_all_but_those_that_are_none)
{
	int a[2], b[2];
	struct closing *c;

	cr_assert_eq(pipe(a), 0);
	cr_assert_eq(pipe(b), 0);
	c = closing_start((int[]){a[1], -1, b[1]}, 3);
	cr_assert_not_null(c);
	wait_closed(a[0]);
	wait_closed(b[0]);
	while (!closing_done(c))
		sched_yield();
	cr_expect_null(closing_release(c));
	cr_expect_null(closing_release(NULL));
}

Test(closing, who_does_not_care_does_not_wait)
{
	int a[2];

	cr_assert_eq(pipe(a), 0);
	close_elsewhere(a[1]);
	close_elsewhere(-1);
	wait_closed(a[0]);
}

Test(closing, without_memory_it_is_done_here)
{
	int fd = dup(0);

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 1);
	cr_expect_null(closing_start(&fd, 1));
	failalloc_disarm();
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

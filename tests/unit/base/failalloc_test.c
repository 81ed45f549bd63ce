/* failalloc_test.c: the fault loop finds what it is there to find (tests/support/failalloc.c). */
#include "tests/support/failalloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

Test(failalloc, transient_fails_once)
{
	void *volatile p;

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 2);
	for (int i = 1; i <= 4; i++) {
		errno = 0;
		p = malloc(8);
		cr_assert_eq(p == NULL, i == 2);
		cr_assert_eq(errno, i == 2 ? ENOMEM : 0);
		free(p);
	}
	failalloc_disarm();
	cr_assert(failalloc_count() == 4 && failalloc_failed() == 1);
}

Test(failalloc, persistent_fails_from_then_on)
{
	void *volatile p = malloc(8);

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_null(realloc(p, 100));
	cr_assert_null(calloc(1, 8));
	failalloc_disarm();
	cr_assert_eq(failalloc_failed(), 2);
	free(p);
	p = calloc(1, 8);
	cr_assert_not_null(p);
	free(p);
}

Test(failalloc, kinds_and_errors)
{
	void *volatile p;

	failalloc_arm_error(FAIL_SYSCALLS, FAIL_PERSISTENT, 1, EINTR);
	p = malloc(8);
	cr_assert_not_null(p);
	free(p);
	cr_assert_eq(memfd_create("x", MFD_CLOEXEC), -1);
	cr_assert_eq(errno, EINTR);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(fcntl(0, F_GETFD), -1);
	cr_assert_eq(errno, EIO);
	cr_assert_eq(ftruncate(0, 1), -1);
	cr_assert_eq(errno, ENOSPC);
	failalloc_disarm();
	cr_assert_eq(failalloc_failed(), 2);
}

/* How many runs the loop made, and which fault the function has. */
struct job {
	unsigned runs;
	int (*work)(void);
};

static int run(void *arg)
{
	struct job *j = arg;

	j->runs++;
	return j->work();
}

static int three_calls(void)
{
	int r = 0;

	for (int i = 0; i < 3 && !r; i++) {
		void *volatile p = malloc(8);

		r = p ? 0 : -ENOMEM;
		free(p);
	}
	return r;
}

Test(failalloc, loop_fails_each_call_in_both_modes)
{
	struct job j = {.work = three_calls};

	cr_assert_null(failalloc_loop(run, &j, FAIL_ALL));
	cr_assert_eq(j.runs, 2 + 2 * (3 + 1)); /* unharmed; then each call and one past the last */
	j.runs = 0;
	cr_assert_null(failalloc_loop(run, &j, FAIL_SYSCALLS));
	cr_assert_eq(j.runs, 2 + 2);
	cr_assert(failalloc_open_fds() > 0);
}

static int broken(void)
{
	return -EIO;
}

static int leaves_open_on_failure(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	void *volatile p = malloc(8);

	if (!p)
		return -ENOMEM;
	free(p);
	close(fd);
	return 0;
}

static int leaves_open_always(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0;
}

static const char *verdict(int (*work)(void))
{
	struct job j = {.work = work};

	return failalloc_loop(run, &j, FAIL_ALL);
}

Test(failalloc, loop_finds_faults)
{
	cr_assert(strstr(verdict(broken), "fails though no call does"));
	cr_assert(strstr(verdict(leaves_open_always), "descriptor"));
	cr_assert(strstr(verdict(leaves_open_on_failure), "call 1 fails (transient)"));
}

#ifdef __SANITIZE_ADDRESS__
/* Where the leak lies, in a form that the leak checker does not take for a pointer. */
static uintptr_t hidden;

static int leaks_on_failure(void)
{
	char *volatile a = malloc(8);
	char *volatile b = malloc(8);
	int r = a && b ? 0 : -ENOMEM;

	free(b);
	if (r)
		hidden = ~(uintptr_t)a;
	else
		free(a);
	a = b = NULL;
	return r;
}

Test(failalloc, loop_finds_leaks)
{
	const char *wrong = verdict(leaks_on_failure);

	cr_assert(wrong && strstr(wrong, "memory leaks when call 2 fails"));
	free((void *)~hidden);
}
#endif

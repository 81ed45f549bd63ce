/* failalloc_test.c: the fault loop finds what it is there to find (tests/support/failalloc.c). */
#include "tests/support/failalloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
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

	failalloc_settle_ms = 50; /* no thread here is going to give anything back */
	return failalloc_loop(run, &j, FAIL_ALL);
}

Test(failalloc, loop_finds_faults)
{
	cr_assert(strstr(verdict(broken), "fails though no call does"));
	cr_assert(strstr(verdict(leaves_open_always), "descriptor"));
	cr_assert(strstr(verdict(leaves_open_on_failure), "call 1 fails (transient)"));
}

/* Where the leak lies, in a form that a leak checker does not take for a pointer. */
static uintptr_t hidden[8];
static size_t n_hidden;

static void hide(void *p)
{
	cr_assert_lt(n_hidden, 8);
	hidden[n_hidden++] = ~(uintptr_t)p;
}

static void free_hidden(void)
{
	while (n_hidden)
		free((void *)~hidden[--n_hidden]);
}

static int leaks_on_failure(void)
{
	char *volatile a = strdup("a");
	char *volatile b = a ? malloc(8) : NULL;

	free(b);
	if (a && !b)
		hide(a);
	else
		free(a);
	return a && b ? 0 : -ENOMEM;
}

Test(failalloc, loop_finds_leaks)
{
	const char *wrong = verdict(leaks_on_failure);

	cr_assert(wrong && strstr(wrong, "memory leaks"), "%s", wrong);
	cr_assert(strstr(wrong, "when call 2 fails (transient)"), "%s", wrong);
	free_hidden();
}

/* Each way to allocate, and each way that a block can go. */
static int all_kinds(void)
{
	char *volatile p[6] = {
		malloc(1), calloc(1, 1), strdup("x"), strndup("xyz", 2), NULL, realpath("/", NULL)};
	char *text = NULL;
	char *moved;
	int r = 0;

	p[4] = aligned_alloc(64, 64);
	if (asprintf(&text, "%d", 5) < 0)
		text = NULL;
	r = text ? 0 : -ENOMEM;
	moved = p[0] ? realloc(p[0], 5000) : NULL;
	if (moved)
		p[0] = moved;
	else
		r = -ENOMEM;
	for (size_t i = 0; i < 6; i++) {
		r = p[i] ? r : -ENOMEM;
		free(p[i]);
	}
	free(text);
	return r;
}

/* What lives longer than a run is no leak: it grows once. */
static void *kept;

static int keeps(void)
{
	void *volatile p = malloc(8);

	if (!p)
		kept = kept ? kept : calloc(1, 8);
	free(p);
	return p ? 0 : -ENOMEM;
}

/* A library's block, that we free. */
static int frees_what_is_not_its_own(void)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	void *volatile p = malloc(8);

	if (f)
		fclose(f);
	free(text);
	free(p);
	return p ? 0 : -ENOMEM;
}

Test(failalloc, loop_finds_no_leaks_where_none_are)
{
	cr_assert_null(verdict(all_kinds));
	cr_assert_null(verdict(frees_what_is_not_its_own));
	cr_assert_null(verdict(keeps));
	free(kept);
}

/* Many blocks, freed in another order than they came in. */
static int many(void)
{
	static void *p[5000];
	int r = 0;

	for (size_t i = 0; i < 5000; i++) {
		p[i] = malloc(16);
		r = p[i] ? r : -ENOMEM;
	}
	for (size_t i = 0; i < 5000; i++)
		free(p[i * 1777 % 5000]);
	return r;
}

Test(failalloc, many_blocks)
{
	struct job j = {.work = many};

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 0);
	cr_assert_eq(many(), 0);
	cr_assert_eq(failalloc_count(), 5000);
	failalloc_disarm();
	cr_assert_null(failalloc_loop(run, &j, FAIL_SYSCALLS));
}

Test(failalloc, system_calls_fail)
{
	const struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;

	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert(socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EMFILE);
	failalloc_disarm();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert(bind(fd, (const struct sockaddr *)&to, sizeof(to)) == -1 && errno == EACCES);
	cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == -1 &&
		  errno == ECONNREFUSED);
	cr_assert(accept4(fd, NULL, NULL, SOCK_CLOEXEC) == -1 && errno == EMFILE);
	cr_assert(send(fd, "x", 1, 0) == -1 && errno == ENOBUFS);
	cr_assert(write(fd, "x", 1) == -1 && errno == ENOSPC);
	failalloc_disarm();
	cr_assert_eq(failalloc_failed(), 5);
	close(fd);
}

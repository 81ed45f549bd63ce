/* Tests of disposer.c: what is given back is given back, elsewhere, and whatever fails. */
#include "pool/disposer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/segment.h"
#include "shm/view.h"
#include "tests/support/failalloc.h"

/* A segment that is only mapped any more. */
static struct view *make_view(uint64_t bytes)
{
	struct segment_options o = {.name = "disposed", .size = bytes};
	struct segment *s;
	struct view *v;

	cr_assert_eq(segment_new(&s, &o), 0);
	cr_assert_eq(view_new(&v, segment_fd(s), 1, segment_size(s)), 0);
	segment_free(s);
	return v;
}

static bool is_mapped(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	bool found = false;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		found = found || strstr(line, "memfd:disposed");
	fclose(f);
	return found;
}

Test(disposer, large_memory_is_given_back_on_its_thread)
{
	struct disposer *d;
	struct view *v = make_view(8 << 20);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert(is_mapped());
	cr_assert_eq(disposer_new(&d), 0);
	disposer_view(d, v, fd);
	disposer_fd(d, dup(0));
	while (disposer_n_done(d) < 2)
		sched_yield();
	cr_expect_not(is_mapped());
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	disposer_free(d);
}

Test(disposer, little_is_given_back_at_once)
{
	struct disposer *d;

	cr_assert_eq(disposer_new(&d), 0);
	disposer_view(d, make_view(4096), -1);
	cr_expect_not(is_mapped());
	cr_expect_eq(disposer_n_done(d), 0);
	disposer_view(d, NULL, -1);
	disposer_fd(d, -1);
	cr_expect_eq(disposer_n_done(d), 0);
	disposer_free(d);
	disposer_free(NULL);
}

Test(disposer, its_end_waits_for_all)
{
	struct disposer *d;
	int fds[100];

	cr_assert_eq(disposer_new(&d), 0);
	for (int i = 0; i < 100; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		disposer_view(d, make_view(1 << 20), -1);
		disposer_fd(d, fds[i]);
	}
	disposer_free(d);
	cr_expect_not(is_mapped());
	for (int i = 0; i < 100; i++)
		cr_expect_eq(fcntl(fds[i], F_GETFD), -1);
}

static int live_once(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct disposer *d;
	int r = disposer_new(&d);

	if (r) {
		close(fd);
		return r;
	}
	disposer_fd(d, fd);
	disposer_free(d);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	return failalloc_failed() ? -1 : 0;
}

Test(disposer, survives_faults)
{
	FAULT_LOOP(live_once, NULL);
}

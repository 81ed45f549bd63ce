/* view_test.c: what may be mapped, and which spans resolve. */
#include "shm/view.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/failalloc.h"

#define ID    7u
#define BYTES 10000u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int memory(int seals)
{
	int fd = memfd_create("view", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, BYTES), 0);
	cr_assert_eq(pwrite(fd, "first", 5, 0), 5);
	cr_assert_eq(pwrite(fd, "last", 4, BYTES - 4), 4);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct span at(uint64_t offset, uint64_t length)
{
	return (struct span){.arena = ID, .offset = offset, .length = length};
}

/* What view_new_region() says; never a view on failure. */
static int try_region(int fd, uint64_t size, bool writable)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int r = view_new_region(&v, fd, ID, size, writable);

	cr_assert_eq(r == 0, v != NULL);
	return r;
}

static int try_view(int fd, uint64_t size)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int r = view_new(&v, fd, ID, size);

	cr_assert_eq(r == 0, v != NULL);
	return r;
}

Test(view, reads_what_the_owner_wrote)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int fd = memory(SEALS | F_SEAL_FUTURE_WRITE);
	struct span first = at(0, 5), last = at(BYTES - 4, 4);

	cr_assert_eq(view_new(&v, fd, ID, BYTES), 0);
	close(fd); /* the view needs no descriptor */
	cr_assert_eq(view_id(v), ID);
	cr_assert_eq(view_size(v), BYTES);
	cr_assert_eq(memcmp(view_data(v, &first), "first", 5), 0);
	cr_assert_eq(memcmp(view_data(v, &last), "last", 4), 0);
	cr_assert_null(view_data_writable(v, &first));
}

Test(view, free_accepts_null)
{
	cr_assert_null(view_free(NULL));
}

Test(view, bounds)
{
	static const struct {
		uint64_t offset, length;
		bool ok;
	} cases[] = {
		{0, 0, true},
		{0, BYTES, true},
		{BYTES - 1, 1, true},
		{BYTES, 0, true},
		{1, BYTES - 1, true},
		{0, BYTES + 1, false},
		{1, BYTES, false},
		{BYTES, 1, false},
		{BYTES + 1, 0, false},
		{UINT64_MAX, 0, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX, UINT64_MAX, false},
		{0, UINT64_MAX, false},
		{1, UINT64_MAX, false},
		{BYTES, UINT64_MAX - BYTES + 1, false},
		{UINT64_MAX - BYTES + 1, BYTES, false},
	};
	_cleanup_(view_freep) struct view *v = NULL;
	_cleanup_(close_fd) int fd = memory(SEALS);
	struct span start = at(0, 0);
	const char *base;

	cr_assert_eq(view_new_region(&v, fd, ID, BYTES, true), 0);
	base = view_data(v, &start);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span s = at(cases[i].offset, cases[i].length);
		const char *expected = cases[i].ok ? base + s.offset : NULL;

		cr_assert_eq(view_data(v, &s), expected, "case %zu", i);
		cr_assert_eq(view_data_writable(v, &s), expected, "case %zu", i);
		s.arena = ID + 1;
		cr_assert_null(view_data(v, &s));
		cr_assert_null(view_data_writable(v, &s));
	}
}

Test(view, each_seal_is_needed)
{
	static const int lacking[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL, SEALS};
	_cleanup_(close_fd) int others_may_write = memory(SEALS);

	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		_cleanup_(close_fd) int region = memory(SEALS & ~lacking[i]);
		_cleanup_(close_fd) int segment =
			memory((SEALS & ~lacking[i]) | F_SEAL_FUTURE_WRITE);

		cr_assert_eq(try_view(segment, BYTES), -EPERM);
		cr_assert_eq(try_region(region, BYTES, true), -EPERM);
	}
	cr_assert_eq(try_view(others_may_write, BYTES), -EPERM);
	cr_assert_eq(try_region(others_may_write, BYTES, true), 0);
}

Test(view, size_has_to_be_the_true_one)
{
	static const uint64_t sizes[] = {0, 1, BYTES - 1, BYTES + 1, 12288, UINT64_MAX};
	_cleanup_(close_fd) int fd = memory(SEALS | F_SEAL_FUTURE_WRITE);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		cr_assert_eq(try_view(fd, sizes[i]), -EINVAL);
	cr_assert_eq(try_view(fd, BYTES), 0);
}

Test(view, other_kinds_of_files)
{
	_cleanup_(close_fd) int directory = open("/", O_RDONLY | O_CLOEXEC);
	FILE *file = tmpfile();
	int pipe_fds[2];

	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_assert_eq(try_view(pipe_fds[0], BYTES), -EPERM);
	cr_assert_eq(try_view(directory, BYTES), -EPERM);
	cr_assert_eq(try_view(-1, BYTES), -EBADF);
	cr_assert_eq(ftruncate(fileno(file), BYTES), 0);
	cr_assert_eq(try_view(fileno(file), BYTES), -EPERM);
	fclose(file);
	close_fd(&pipe_fds[0]);
	close_fd(&pipe_fds[1]);
}

Test(view, huge_pages_are_refused)
{
	_cleanup_(close_fd) int fd =
		memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		cr_skip_test("no hugetlbfs in this kernel");
	cr_assert_eq(ftruncate(fd, 2 << 20), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	cr_assert_eq(try_view(fd, 2 << 20), -EPERM);
}

Test(view, region_writes_reach_the_client)
{
	_cleanup_(view_freep) struct view *v = NULL;
	_cleanup_(close_fd) int fd = memory(SEALS);
	struct span s = at(100, 3);
	char back[3];

	cr_assert_eq(view_new_region(&v, fd, ID, BYTES, true), 0);
	memcpy(view_data_writable(v, &s), "out", 3);
	cr_assert_eq(pread(fd, back, 3, 100), 3);
	cr_assert_eq(memcmp(back, "out", 3), 0);
}

Test(view, region_read_only)
{
	_cleanup_(view_freep) struct view *v = NULL;
	_cleanup_(close_fd) int fd = memory(SEALS);
	struct span s = at(0, 5);

	cr_assert_eq(view_new_region(&v, fd, ID, BYTES, false), 0);
	cr_assert_not_null(view_data(v, &s));
	cr_assert_null(view_data_writable(v, &s));
}

Test(view, region_sealed_against_writing)
{
	static const int seals[] = {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE};

	for (size_t i = 0; i < 2; i++) {
		_cleanup_(close_fd) int fd = memory(SEALS | seals[i]);

		cr_assert_eq(try_region(fd, BYTES, true), -EPERM);
		cr_assert_eq(try_region(fd, BYTES, false), 0);
	}
}

static bool is_constant(int seals)
{
	_cleanup_(close_fd) int fd = memory(SEALS | seals);
	_cleanup_(view_freep) struct view *v = NULL;

	cr_assert_eq(view_new_region(&v, fd, 1, BYTES, false), 0);
	return view_is_constant(v);
}

Test(view, constant_is_what_nobody_can_write_to)
{
	cr_expect(is_constant(F_SEAL_WRITE));
	cr_expect_not(is_constant(F_SEAL_FUTURE_WRITE), "a mapping may be there");
	cr_expect_not(is_constant(0));
}

Test(view, region_behind_a_read_only_descriptor)
{
	_cleanup_(close_fd) int fd = memory(SEALS);
	_cleanup_(close_fd) int read_only = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(read_only, 0);
	cr_assert_eq(try_region(read_only, BYTES, true), -EACCES);
	cr_assert_eq(try_region(read_only, BYTES, false), 0);
}

static int map(void *arg)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int r = view_new_region(&v, *(int *)arg, ID, BYTES, true);

	cr_assert_eq(r != 0, failalloc_failed() != 0);
	cr_assert_eq(r == 0, v != NULL);
	return r;
}

Test(view, fault_loop)
{
	_cleanup_(close_fd) int fd = memory(SEALS);

	FAULT_LOOP(map, &fd);
	cr_assert_eq(try_region(fd, BYTES, true), 0);
}

/*
 * arena_populate_test.c: pages are made ahead of need, by any thread, without disturbing the owner;
 * also on kernels that lack the means of today.
 */
#include "shm/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ID   5u
#define MIB  (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)

static struct arena *make(uint64_t size, uint64_t first, uint64_t ahead)
{
	struct arena_options options = {.name = "test",
		.id = ID,
		.size = size,
		.populate_first = first,
		.populate_ahead = ahead};
	struct arena *a = NULL;

	cr_assert_eq(arena_new(&a, &options), 0);
	return a;
}

static struct span take(struct arena *a, uint64_t length)
{
	struct span s;

	cr_assert_eq(arena_alloc(a, length, &s), 0);
	cr_assert_eq(s.length, length);
	cr_assert_eq(s.arena, ID);
	cr_assert_eq(s.offset % ARENA_ALIGN, 0);
	return s;
}

static void give(struct arena *a, struct span s)
{
	cr_assert_eq(arena_release(a, &s), 0);
	cr_assert_eq(arena_release(a, &s), -ESTALE);
}

static uint64_t resident(struct arena *a)
{
	struct stat st;

	cr_assert_eq(fstat(arena_fd(a), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

Test(arena_populate, first_part_is_populated)
{
	_cleanup_(arena_freep) struct arena *a = make(8 * MIB, 2 * MIB + 1, 0);
	_cleanup_(arena_freep) struct arena *whole = make(MIB, UINT64_MAX, UINT64_MAX);
	uint64_t offset, length;

	cr_assert_eq(arena_touched(a), 2 * MIB + PAGE);
	cr_assert_eq(resident(a), 2 * MIB + PAGE);
	cr_assert_eq(arena_touched(whole), MIB);
	cr_assert_not(arena_populate_next(whole, MIB, &offset, &length));
}

Test(arena_populate, populates_ahead_of_the_frontier)
{
	_cleanup_(arena_freep) struct arena *a = make(8 * MIB, 0, MIB);
	uint64_t offset = 1, length = 2;
	struct span s;

	cr_assert_not(arena_populate_next(a, PAGE - 1, &offset, &length));
	cr_assert(arena_populate_next(a, MIB / 2 + 1, &offset, &length));
	cr_assert(offset == 0 && length == MIB / 2);
	cr_assert_not(arena_populate_next(a, MIB, &offset, &length)); /* one is in progress */
	cr_assert_eq(arena_populate_run(a, offset, length), 0);
	cr_assert_eq(arena_touched(a), 0);
	arena_populate_done(a, true);
	cr_assert_eq(arena_touched(a), MIB / 2);
	cr_assert_eq(resident(a), MIB / 2);
	cr_assert(arena_populate_next(a, 8 * MIB, &offset, &length));
	cr_assert(offset == MIB / 2 && length == MIB / 2);
	arena_populate_done(a, true);
	cr_assert_not(arena_populate_next(a, MIB, &offset, &length));
	s = take(a, MIB + 1); /* the frontier moves, so does the goal */
	cr_assert(arena_populate_next(a, 8 * MIB, &offset, &length));
	cr_assert(offset == MIB && length == MIB + PAGE);
	arena_populate_done(a, true);
	give(a, s);
	cr_assert_not(arena_populate_next(a, MIB, &offset, &length));
}

Test(arena_populate, populates_to_the_end_and_no_further)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, UINT64_MAX);
	uint64_t offset, length, sum = 0;
	struct span s = take(a, MIB / 2 + 100);

	while (arena_populate_next(a, 100000, &offset, &length)) {
		cr_assert_leq(offset + length, MIB);
		cr_assert_eq(arena_populate_run(a, offset, length), 0);
		arena_populate_done(a, true);
		sum += length;
	}
	cr_assert_eq(sum, MIB / 2);
	cr_assert_eq(arena_touched(a), MIB);
	give(a, s);
}

Test(arena_populate, failed_population_is_not_tried_again)
{
	_cleanup_(arena_freep) struct arena *a = make(8 * MIB, 0, MIB);
	uint64_t offset, length;

	cr_assert(arena_populate_next(a, MIB / 2, &offset, &length));
	arena_populate_done(a, false);
	cr_assert_eq(arena_touched(a), 0);
	cr_assert(arena_populate_next(a, MIB / 2, &offset, &length));
	cr_assert_eq(offset, MIB / 2);
	arena_populate_done(a, false);
	cr_assert_not(arena_populate_next(a, MIB, &offset, &length));
}

struct job {
	struct arena *arena;
	uint64_t offset, length;
	int result;
};

static void *run(void *arg)
{
	struct job *j = arg;

	j->result = arena_populate_run(j->arena, j->offset, j->length);
	return NULL;
}

/* The owner allocates, writes and frees in the very pages that another thread populates. */
Test(arena_populate, populating_does_not_disturb_the_owner)
{
	_cleanup_(arena_freep) struct arena *a = make(16 * MIB, 0, UINT64_MAX);
	struct job j = {.arena = a};
	struct span s = {0};

	while (arena_populate_next(a, MIB, &j.offset, &j.length)) {
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, run, &j), 0);
		for (unsigned i = 0; i < 50; i++) {
			s = take(a, j.offset + (i % 2 ? MIB : PAGE));
			memset((char *)arena_data(a, &s) + j.offset, 0x5a, s.length - j.offset);
			if (i < 49)
				give(a, s);
		}
		cr_assert_eq(pthread_join(thread, NULL), 0);
		cr_assert_eq(j.result, 0);
		arena_populate_done(a, true);
		for (uint64_t i = j.offset; i < s.length; i++)
			cr_assert_eq(((unsigned char *)arena_data(a, &s))[i], 0x5a);
		give(a, s);
	}
	cr_assert_eq(arena_touched(a), 16 * MIB);
}

Test(arena_populate, huge_pages_are_a_wish)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	struct arena_options options = {.name = "huge",
		.id = ID,
		.size = 4 * MIB,
		.populate_first = 4 * MIB,
		.pages = ARENA_PAGES_THP};
	struct span s;

	cr_assert_eq(arena_new(&a, &options), 0);
	s = take(a, 4 * MIB);
	memset(arena_data(a, &s), 1, s.length);
	cr_assert_eq(resident(a), 4 * MIB);
}

#define LOW(i)	(offsetof(struct seccomp_data, args[i]))
#define LOAD(k) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k)
#define ALLOW	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL)

/* This process gets a kernel before 5.14: no MFD_NOEXEC_SEAL (8), no MADV_POPULATE_WRITE (23). */
static void pretend_old_kernel(void)
{
	struct sock_filter code[] = {
		LOAD(offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 4),
		LOAD(LOW(1)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 8, 0, 1),
		REFUSE,
		ALLOW,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_madvise, 0, 3),
		LOAD(LOW(2)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23, 0, 1),
		REFUSE,
		ALLOW,
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(arena_populate, old_kernels)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	uint64_t offset, length;
	struct span s;

	pretend_old_kernel();
	a = make(8 * MIB, MIB, MIB);
	cr_assert_eq(resident(a), MIB);
	s = take(a, 2 * MIB);
	memset(arena_data(a, &s), 0x5a, s.length);
	cr_assert(arena_populate_next(a, MIB, &offset, &length));
	cr_assert_eq(arena_populate_run(a, offset - MIB, length + MIB), 0);
	arena_populate_done(a, true);
	cr_assert_eq(resident(a), 3 * MIB);
	for (uint64_t i = 0; i < s.length; i++)
		cr_assert_eq(((unsigned char *)arena_data(a, &s))[i], 0x5a);
}

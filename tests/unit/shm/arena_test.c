/*
 * arena_test.c: the owner's promises (seals, mode, stale spans refused) and its data under random
 * use.
 */
#include "shm/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shm/view.h"
#include "tests/support/failalloc.h"

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

Test(arena, options)
{
	static const struct arena_options bad[] = {
		{.name = NULL, .id = 1, .size = 1},
		{.name = "a", .id = 0, .size = 1},
		{.name = "a", .id = 1, .size = 0},
		{.name = "a", .id = 1, .size = UINT64_MAX},
		{.name = "a", .id = 1, .size = INT64_MAX},
	};
	struct arena *a = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(arena_new(&a, &bad[i]), -EINVAL);
	cr_assert_null(a);
	cr_assert_null(arena_free(NULL));
}

Test(arena, size_is_whole_pages)
{
	_cleanup_(arena_freep) struct arena *a = make(1, 0, 0);
	struct stat st;

	cr_assert_eq(arena_size(a), PAGE);
	cr_assert_eq(arena_id(a), ID);
	cr_assert_eq(fstat(arena_fd(a), &st), 0);
	cr_assert_eq((uint64_t)st.st_size, PAGE);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert(fcntl(arena_fd(a), F_GETFD) & FD_CLOEXEC);
}

Test(arena, nobody_else_can_write_or_resize)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	_cleanup_(close_fd) int other = -1;
	char path[64];
	void *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", arena_fd(a));
	other = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(other, 0);
	cr_assert_eq(mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0), MAP_FAILED);
	cr_assert_eq(errno, EPERM);
	p = mmap(NULL, MIB, PROT_READ, MAP_SHARED, other, 0);
	cr_assert_neq(p, MAP_FAILED);
	cr_assert_eq(mprotect(p, MIB, PROT_READ | PROT_WRITE), -1);
	cr_assert_eq(errno, EACCES);
	munmap(p, MIB);
	cr_assert_eq(ftruncate(other, MIB - 1), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(ftruncate(other, MIB + 1), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(pwrite(other, "x", 1, 0), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(fcntl(other, F_ADD_SEALS, F_SEAL_WRITE), -1);
	cr_assert_eq(errno, EPERM);
}

Test(arena, a_view_sees_what_the_owner_writes)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	_cleanup_(view_freep) struct view *v = NULL;
	struct span s = take(a, 100);

	cr_assert_eq(view_new(&v, arena_fd(a), ID, arena_size(a)), 0);
	memcpy(arena_data(a, &s), "tensor", 6);
	cr_assert_eq(memcmp(view_data(v, &s), "tensor", 6), 0);
	cr_assert_neq(view_data(v, &s), arena_data(a, &s));
	cr_assert_null(view_data_writable(v, &s));
}

Test(arena, counts_and_frees)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	struct span one = take(a, 1), none = take(a, 0), more = take(a, 65);

	cr_assert_eq(arena_used(a), 64 + 64 + 128);
	cr_assert_eq(arena_n_spans(a), 3);
	cr_assert_not_null(arena_data(a, &none));
	give(a, none);
	give(a, one);
	give(a, more);
	cr_assert_eq(arena_used(a), 0);
	cr_assert_eq(arena_n_spans(a), 0);
	give(a, take(a, MIB));
}

Test(arena, full_and_too_large)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	struct span s = {.offset = 1}, half = take(a, MIB / 2);

	cr_assert_eq(arena_alloc(a, MIB + 1, &s), ARENA_E_TOO_LARGE);
	cr_assert_eq(arena_alloc(a, UINT64_MAX, &s), ARENA_E_TOO_LARGE);
	cr_assert_eq(arena_alloc(a, MIB, &s), ARENA_E_FULL);
	cr_assert_eq(arena_alloc(a, MIB / 2 + 1, &s), ARENA_E_FULL);
	cr_assert(s.arena == 0 && s.offset == 1);
	(void)take(a, MIB / 2);
	cr_assert_eq(arena_alloc(a, 0, &s), ARENA_E_FULL);
	give(a, half);
	(void)take(a, MIB / 2);
}

Test(arena, slices)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	struct span before = take(a, 200), s = take(a, 200), slice;

	slice = span_slice(s, 50, 100);
	cr_assert_eq(arena_data(a, &slice), (char *)arena_data(a, &s) + 50);
	slice = span_slice(s, 200, 0);
	cr_assert_not_null(arena_data(a, &slice));
	cr_assert_eq(arena_release(a, &slice), 0);
	cr_assert_null(arena_data(a, &s));
	cr_assert_not_null(arena_data(a, &before));
}

Test(arena, forged_spans_are_stale)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	struct span below = take(a, 64), s = take(a, 100), above = take(a, 64);
	const struct span forged[] = {
		{ID + 1, s.generation, s.offset, s.length},
		{0, s.generation, s.offset, s.length},
		{ID, 0, s.offset, s.length},
		{ID, s.generation + 1, s.offset, s.length},
		{ID, UINT64_MAX, s.offset, s.length},
		{ID, s.generation, below.offset, below.length},
		{ID, s.generation, above.offset, above.length},
		{ID, s.generation, s.offset - 1, 1},
		{ID, s.generation, s.offset, 101},
		{ID, s.generation, s.offset + 100, 1},
		{ID, s.generation, s.offset + 101, 0},
		{ID, s.generation, s.offset + 1, UINT64_MAX},
		{ID, s.generation, UINT64_MAX, 1},
	};

	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		cr_assert_null(arena_data(a, &forged[i]), "case %zu", i);
		cr_assert_eq(arena_release(a, &forged[i]), -ESTALE, "case %zu", i);
	}
	cr_assert_eq(arena_n_spans(a), 3);
	give(a, s);
}

Test(arena, a_freed_span_stays_stale)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, 0, 0);
	struct span old = take(a, 100);

	give(a, old);
	for (int i = 0; i < 10000; i++) {
		struct span s = take(a, 100);

		cr_assert(s.offset == old.offset && s.generation != old.generation);
		cr_assert_null(arena_data(a, &old));
		cr_assert_eq(arena_release(a, &old), -ESTALE);
		give(a, s);
	}
}

/* Use that does not grow touches nothing new. */
Test(arena, memory_follows_use)
{
	_cleanup_(arena_freep) struct arena *a = make(64 * MIB, 0, 0);

	for (int i = 0; i < 1000; i++) {
		struct span x = take(a, MIB), y = take(a, 10000 + (uint64_t)i);

		memset(arena_data(a, &x), 1, MIB);
		memset(arena_data(a, &y), 1, y.length);
		give(a, x);
		give(a, y);
	}
	cr_assert_leq(arena_touched(a), MIB + 11008);
	cr_assert_leq(resident(a), MIB + 12288);
}

Test(arena, name_that_the_kernel_refuses)
{
	struct arena *a = NULL;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(
		arena_new(&a, &(struct arena_options){.name = name, .id = 1, .size = 1}), -EINVAL);
	cr_assert_null(a);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

#define LIVE 64u

static void fill(struct arena *a, const struct span *s)
{
	memset(arena_data(a, s), (int)(s->generation % 251), s->length);
}

static void check_fill(struct arena *a, const struct span *s)
{
	const unsigned char *p = arena_data(a, s);

	for (uint64_t i = 0; i < s->length; i++)
		cr_assert_eq(p[i], s->generation % 251);
}

/* Whole contents survive whatever happens to other spans; freed ones never come back to life. */
Test(arena, random_use_keeps_contents)
{
	_cleanup_(arena_freep) struct arena *a = make(MIB, MIB / 4, 0);
	struct span live[LIVE] = {{0}};
	uint64_t random = 42;

	for (unsigned step = 0; step < 20000; step++) {
		struct span *s = &live[next_random(&random) % LIVE];
		uint64_t length = next_random(&random) % (1u << (next_random(&random) % 17));
		int r;

		if (s->arena) {
			check_fill(a, s);
			give(a, *s);
			cr_assert_null(arena_data(a, s));
			s->arena = 0;
		}
		r = arena_alloc(a, length, s);
		cr_assert(r == 0 || r == ARENA_E_FULL);
		if (r == 0)
			fill(a, s);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].arena)
			give(a, live[i]);
	}
	cr_assert(arena_used(a) == 0 && arena_n_spans(a) == 0);
	give(a, take(a, MIB));
}

/* Enough spans for the table to grow twice. */
#define MANY 200u

static int use(void *arg)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	struct arena_options options = {
		.name = "fault", .id = ID, .size = MIB, .populate_first = PAGE};
	struct span spans[MANY];
	unsigned n = 0;
	int r;

	r = arena_new(&a, &options);
	while (!r && n < MANY) {
		r = arena_alloc(a, 100, &spans[n]);
		n += r == 0;
	}
	cr_assert_eq(r != 0, failalloc_failed() != 0);
	cr_assert(!a || arena_n_spans(a) == n);
	while (n > 0)
		give(a, spans[--n]);
	cr_assert(!a || arena_used(a) == 0);
	return r;
}

Test(arena, fault_loop)
{
	FAULT_LOOP(use, NULL);
}

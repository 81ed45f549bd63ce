/*
 * segment_test.c: the owner's promises (seals, mode, stale spans refused) and its data under random
 * use.
 */
#include "shm/segment.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/memfd.h"
#include "shm/view.h"
#include "tests/support/failalloc.h"

#define ID   5u
#define MIB  (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)

static struct segment *make(uint64_t size)
{
	struct segment_options options = {.name = "test", .size = size};
	struct segment *a = NULL;

	cr_assert_eq(segment_new(&a, &options), 0);
	segment_set_id(a, ID);
	return a;
}

static struct span take(struct segment *a, uint64_t length)
{
	struct span s;

	cr_assert_eq(segment_alloc(a, length, &s), 0);
	cr_assert_eq(s.length, length);
	cr_assert_eq(s.arena, ID);
	cr_assert_eq(s.offset % SEGMENT_ALIGN, 0);
	return s;
}

static void give(struct segment *a, struct span s)
{
	cr_assert_eq(segment_release(a, &s), 0);
	cr_assert_eq(segment_release(a, &s), -ESTALE);
}

static uint64_t resident(struct segment *a)
{
	struct stat st;

	cr_assert_eq(fstat(segment_fd(a), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

Test(segment, options)
{
	static const struct segment_options bad[] = {
		{.name = NULL, .size = 1},
		{.name = "a", .size = 0},
		{.name = "a", .size = UINT64_MAX},
		{.name = "a", .size = INT64_MAX},
	};
	struct segment *a = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(segment_new(&a, &bad[i]), -EINVAL);
	cr_assert_null(a);
	cr_assert_null(segment_free(NULL));
}

Test(segment, size_is_whole_pages)
{
	_cleanup_(segment_freep) struct segment *a = make(1);
	struct stat st;

	cr_assert_eq(segment_size(a), PAGE);
	cr_assert_eq(segment_id(a), ID);
	cr_assert_eq(fstat(segment_fd(a), &st), 0);
	cr_assert_eq((uint64_t)st.st_size, PAGE);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert(fcntl(segment_fd(a), F_GETFD) & FD_CLOEXEC);
}

Test(segment, nobody_else_can_write_or_resize)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	_cleanup_(close_fd) int other = -1;
	char path[64];
	void *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", segment_fd(a));
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

/* Lines of /proc/self/smaps about the mapping at `address`: do its flags have this one? */
static bool has_flag(const void *address, const char *flag)
{
	_cleanup_(freep) char *line = NULL;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false, found = false;
	size_t cap = 0;
	char start[32];

	snprintf(start, sizeof(start), "%lx-", (unsigned long)address);
	cr_assert_not_null(f);
	while (!found && getline(&line, &cap, f) > 0) {
		here = here || !strncmp(line, start, strlen(start));
		if (here && !strncmp(line, "VmFlags:", 8))
			break;
	}
	found = here && line && strstr(line, flag);
	fclose(f);
	return found;
}

Test(segment, left_out_of_core_dumps_and_forks)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span s = take(a, 1);

	cr_assert(has_flag(segment_data(a, &s), " dd"));
	cr_assert(has_flag(segment_data(a, &s), " dc"));
}

Test(segment, a_view_sees_what_the_owner_writes)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	_cleanup_(view_freep) struct view *v = NULL;
	struct span s = take(a, 100);

	cr_assert_eq(view_new(&v, segment_fd(a), ID, segment_size(a)), 0);
	memcpy(segment_data(a, &s), "tensor", 6);
	cr_assert_eq(memcmp(view_data(v, &s), "tensor", 6), 0);
	cr_assert_neq(view_data(v, &s), segment_data(a, &s));
	cr_assert_null(view_data_writable(v, &s));
}

Test(segment, counts_and_frees)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span one = take(a, 1), none = take(a, 0), more = take(a, 65);

	cr_assert_eq(segment_used(a), 64 + 64 + 128);
	cr_assert_eq(segment_n_spans(a), 3);
	cr_assert_not_null(segment_data(a, &none));
	give(a, none);
	give(a, one);
	give(a, more);
	cr_assert_eq(segment_used(a), 0);
	cr_assert_eq(segment_n_spans(a), 0);
	give(a, take(a, MIB));
}

Test(segment, full)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span s = {.offset = 1}, half = take(a, MIB / 2);

	cr_assert_eq(segment_alloc(a, MIB + 1, &s), SEGMENT_E_FULL);
	cr_assert_eq(segment_alloc(a, UINT64_MAX, &s), SEGMENT_E_FULL);
	cr_assert_eq(segment_alloc(a, MIB, &s), SEGMENT_E_FULL);
	cr_assert_eq(segment_alloc(a, MIB / 2 + 1, &s), SEGMENT_E_FULL);
	cr_assert(s.arena == 0 && s.offset == 1);
	(void)take(a, MIB / 2);
	cr_assert_eq(segment_alloc(a, 0, &s), SEGMENT_E_FULL);
	give(a, half);
	(void)take(a, MIB / 2);
}

Test(segment, slices)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span before = take(a, 200), s = take(a, 200), slice;

	slice = span_slice(s, 50, 100);
	cr_assert_eq(segment_data(a, &slice), (char *)segment_data(a, &s) + 50);
	slice = span_slice(s, 200, 0);
	cr_assert_not_null(segment_data(a, &slice));
	cr_assert_eq(segment_release(a, &slice), 0);
	cr_assert_null(segment_data(a, &s));
	cr_assert_not_null(segment_data(a, &before));
}

Test(segment, forged_spans_are_stale)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
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
		cr_assert_null(segment_data(a, &forged[i]), "case %zu", i);
		cr_assert_eq(segment_release(a, &forged[i]), -ESTALE, "case %zu", i);
	}
	cr_assert_eq(segment_n_spans(a), 3);
	give(a, s);
}

Test(segment, a_freed_span_stays_stale)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span old = take(a, 100);

	give(a, old);
	for (int i = 0; i < 10000; i++) {
		struct span s = take(a, 100);

		cr_assert(s.offset == old.offset && s.generation != old.generation);
		cr_assert_null(segment_data(a, &old));
		cr_assert_eq(segment_release(a, &old), -ESTALE);
		give(a, s);
	}
}

/* Use that does not grow touches nothing new. */
Test(segment, memory_follows_use)
{
	_cleanup_(segment_freep) struct segment *a = make(64 * MIB);

	for (int i = 0; i < 1000; i++) {
		struct span x = take(a, MIB), y = take(a, 10000 + (uint64_t)i);

		memset(segment_data(a, &x), 1, MIB);
		memset(segment_data(a, &y), 1, y.length);
		give(a, x);
		give(a, y);
	}
	cr_assert_leq(resident(a), MIB + 12288);
}

Test(segment, name_that_the_kernel_refuses)
{
	struct segment *a = NULL;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(segment_new(&a, &(struct segment_options){.name = name, .size = 1}), -EINVAL);
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

static void fill(struct segment *a, const struct span *s)
{
	memset(segment_data(a, s), (int)(s->generation % 251), s->length);
}

static void check_fill(struct segment *a, const struct span *s)
{
	const unsigned char *p = segment_data(a, s);

	for (uint64_t i = 0; i < s->length; i++)
		cr_assert_eq(p[i], s->generation % 251);
}

/* Whole contents survive whatever happens to other spans; freed ones never come back to life. */
Test(segment, random_use_keeps_contents)
{
	_cleanup_(segment_freep) struct segment *a = make(MIB);
	struct span live[LIVE] = {{0}};
	uint64_t random = 42;

	for (unsigned step = 0; step < 20000; step++) {
		struct span *s = &live[next_random(&random) % LIVE];
		uint64_t length = next_random(&random) % (1u << (next_random(&random) % 17));
		int r;

		if (s->arena) {
			check_fill(a, s);
			give(a, *s);
			cr_assert_null(segment_data(a, s));
			s->arena = 0;
		}
		r = segment_alloc(a, length, s);
		cr_assert(r == 0 || r == SEGMENT_E_FULL);
		if (r == 0)
			fill(a, s);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].arena)
			give(a, live[i]);
	}
	cr_assert(segment_used(a) == 0 && segment_n_spans(a) == 0);
	give(a, take(a, MIB));
}

/* Enough spans for the table to grow twice. */
#define MANY 200u

static int use(void *arg)
{
	_cleanup_(segment_freep) struct segment *a = NULL;
	struct segment_options options = {.name = "fault", .size = MIB};
	struct span spans[MANY];
	unsigned n = 0;
	int r;

	r = segment_new(&a, &options);
	if (!r)
		segment_set_id(a, ID);
	while (!r && n < MANY) {
		r = segment_alloc(a, 100, &spans[n]);
		n += r == 0;
	}
	cr_assert_eq(r != 0, failalloc_failed() != 0);
	cr_assert(!a || segment_n_spans(a) == n);
	while (n > 0)
		give(a, spans[--n]);
	cr_assert(!a || segment_used(a) == 0);
	return r;
}

Test(segment, fault_loop)
{
	FAULT_LOOP(use, NULL);
}

/* --- Nodes ------------------------------------------------------------------------------------ */

/* What the kernel takes the segment's pages by; false: it does not say. */
static bool policy_of(const struct segment *s, int *ret_mode, unsigned long *ret_nodes)
{
	unsigned long nodes[1024 / LONG_BIT] = {0};

	if (syscall(SYS_get_mempolicy, ret_mode, nodes, 1025, segment_base(s), MPOL_F_ADDR))
		return false;
	*ret_nodes = nodes[0];
	return true;
}

Test(segment, near_a_node)
{
	struct segment_options options = {.name = "test", .size = MIB};
	struct segment *any = NULL, *near = NULL, *nowhere = NULL;
	unsigned long nodes;
	int mode;

	cr_assert_eq(segment_new(&any, &options), 0);
	options.numa_node = 1;
	cr_assert_eq(segment_new(&near, &options), 0);
	options.numa_node = MEMFD_NUMA_NODES;
	cr_assert_eq(segment_new(&nowhere, &options), 0, "a node that there is not is no error");
	if (!policy_of(any, &mode, &nodes))
		cr_skip_test("this kernel knows no nodes, or says nothing of them");
	cr_expect_eq(mode, MPOL_DEFAULT);
	cr_assert(policy_of(near, &mode, &nodes));
	cr_expect_eq(mode, MPOL_PREFERRED);
	cr_expect_eq(nodes, 1);
	cr_assert(policy_of(nowhere, &mode, &nodes));
	cr_expect_eq(mode, MPOL_DEFAULT);
	segment_set_id(near, ID);
	(void)take(near, MIB);
	cr_expect_eq(segment_populate_run(near, 0, MIB), 0);
	cr_expect_eq(resident(near), MIB);
	segment_free(any);
	segment_free(near);
	segment_free(nowhere);
}

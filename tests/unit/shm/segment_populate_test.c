/*
 * segment_populate_test.c: what is resident and what is not; pages are made by any thread, without
 * disturbing the owner; a host without memory; kernels that lack the means of today.
 */
#include "shm/segment.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/support/failalloc.h"

#define ID   5u
#define MIB  (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)
#define PART SEGMENT_PART

static struct segment *make(uint64_t size)
{
	struct segment_options options = {.name = "test", .size = size};
	struct segment *s = NULL;

	cr_assert_eq(segment_new(&s, &options), 0);
	segment_set_id(s, ID);
	return s;
}

static struct span take(struct segment *s, uint64_t length)
{
	struct span span;

	cr_assert_eq(segment_alloc(s, length, &span), 0);
	return span;
}

static void give(struct segment *s, struct span span)
{
	cr_assert_eq(segment_release(s, &span), 0);
}

static uint64_t pages_of(struct segment *s)
{
	struct stat st;

	cr_assert_eq(fstat(segment_fd(s), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

Test(segment_populate, a_new_one_has_no_pages)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB);
	struct span none = take(s, 0), span = take(s, PART);

	cr_assert_eq(segment_resident(s), 0);
	cr_assert_eq(pages_of(s), 0);
	cr_assert_eq(segment_missing(s, &none), PART);
	cr_assert_eq(segment_missing(s, &span), 2 * PART);
}

Test(segment_populate, a_span_at_once)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB);
	struct span low = take(s, PART), middle = take(s, 4 * PART), high = take(s, 1);

	cr_assert_eq(segment_populate_span(s, &high), 0);
	cr_assert_eq(segment_resident(s), PART);
	cr_assert_eq(pages_of(s), PART);
	cr_assert_eq(segment_missing(s, &high), 0);
	cr_assert_eq(segment_missing(s, &low), PART); /* others are not its business */
	cr_assert_eq(segment_populate_span(s, &low), 0);
	cr_assert_eq(segment_missing(s, &middle), 4 * PART);
	cr_assert_eq(segment_populate_span(s, &middle), 0);
	cr_assert_eq(segment_populate_span(s, &middle), 0);
	give(s, high);
	give(s, middle);
	give(s, low);
	cr_assert_eq(segment_resident(s), 6 * PART);
}

Test(segment_populate, in_steps_up_to_the_goal)
{
	_cleanup_(segment_freep) struct segment *s = make(8 * MIB);
	uint64_t offset = 1, length = 2;

	cr_assert_not(segment_populate_next(s, 0, MIB, &offset, &length));
	cr_assert(segment_populate_next(s, MIB, 0, &offset, &length)); /* one part at least */
	cr_assert(offset == 0 && length == PART);
	segment_populate_done(s, 0);
	cr_assert(segment_populate_next(s, MIB, MIB / 2 + 1, &offset, &length));
	cr_assert(offset == PART && length == MIB / 2);
	cr_assert_not(segment_populate_next(s, MIB, MIB, &offset, &length)); /* in progress */
	cr_assert_eq(segment_populate_run(s, 0, offset + length), 0);
	cr_assert_eq(segment_resident(s), PART);
	segment_populate_done(s, 0);
	cr_assert_eq(segment_resident(s), MIB / 2 + PART);
	cr_assert_eq(pages_of(s), MIB / 2 + PART);
	cr_assert(segment_populate_next(s, MIB + 1, 8 * MIB, &offset, &length));
	cr_assert(offset == MIB / 2 + PART && length == MIB / 2);
	cr_assert_eq(segment_populate_run(s, offset, length), 0);
	segment_populate_done(s, 0);
	cr_assert_not(segment_populate_next(s, MIB, 8 * MIB, &offset, &length));
}

Test(segment_populate, to_the_end_and_no_further)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB + PAGE);
	uint64_t offset, length, sum = 0;

	while (segment_populate_next(s, UINT64_MAX, 3 * PART, &offset, &length)) {
		cr_assert_leq(offset + length, MIB + PAGE);
		cr_assert_eq(segment_populate_run(s, offset, length), 0);
		segment_populate_done(s, 0);
		sum += length;
	}
	cr_assert_eq(sum, MIB + PAGE);
	cr_assert_eq(segment_resident(s), MIB + PAGE);
	cr_assert_eq(pages_of(s), MIB + PAGE);
}

/* A span was wanted at once while a step was under way. */
Test(segment_populate, a_step_that_was_overtaken)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB);
	struct span span = take(s, MIB / 2);
	uint64_t offset, length;

	cr_assert(segment_populate_next(s, PAGE, MIB, &offset, &length));
	cr_assert_eq(segment_populate_span(s, &span), 0);
	segment_populate_done(s, -ENOMEM); /* they are there, whatever the other says */
	cr_assert_eq(segment_resident(s), MIB / 2);
	(void)take(s, MIB / 2);
}

Test(segment_populate, without_memory_nothing_more_is_given)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB);
	struct span low = take(s, PART), high, other;
	uint64_t offset, length;

	cr_assert_eq(segment_populate_span(s, &low), 0);
	high = take(s, PART);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(segment_populate_span(s, &high), SEGMENT_E_MEMORY);
	failalloc_disarm();
	cr_assert_eq(segment_populate_span(s, &high), SEGMENT_E_MEMORY); /* it is not tried again */
	cr_assert_eq(segment_missing(s, &high), UINT64_MAX);
	give(s, high);
	cr_assert_eq(segment_alloc(s, PART, &other), SEGMENT_E_MEMORY);
	cr_assert_not(segment_populate_next(s, 2 * PART, MIB, &offset, &length));
	cr_assert_eq(segment_n_spans(s), 1);
	give(s, low);
	low = take(s, PART); /* what is there is given, and when all is free the rest, too */
	high = take(s, PART);
	cr_assert_eq(segment_populate_span(s, &high), 0);
}

Test(segment_populate, a_step_that_fails)
{
	_cleanup_(segment_freep) struct segment *s = make(MIB);
	struct span low = take(s, PART), other;
	uint64_t offset, length;

	cr_assert_eq(segment_populate_span(s, &low), 0);
	cr_assert(segment_populate_next(s, MIB, MIB, &offset, &length));
	segment_populate_done(s, -ENOMEM);
	cr_assert_eq(segment_resident(s), PART);
	cr_assert_not(segment_populate_next(s, MIB, MIB, &offset, &length));
	cr_assert_eq(segment_alloc(s, 1, &other), SEGMENT_E_MEMORY);
}

struct job {
	struct segment *segment;
	uint64_t offset, length;
	int result;
};

static void *run(void *arg)
{
	struct job *j = arg;

	j->result = segment_populate_run(j->segment, j->offset, j->length);
	return NULL;
}

/* The owner allocates, populates, writes and frees in the very pages that another thread populates. */
Test(segment_populate, populating_does_not_disturb_the_owner)
{
	_cleanup_(segment_freep) struct segment *s = make(16 * MIB);
	struct job j = {.segment = s};
	struct span span = {0};

	while (segment_populate_next(s, UINT64_MAX, MIB, &j.offset, &j.length)) {
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, run, &j), 0);
		for (unsigned i = 0; i < 50; i++) {
			span = take(s, j.offset + (i % 2 ? MIB : PAGE));
			cr_assert_eq(segment_populate_span(s, &span), 0);
			memset((char *)segment_data(s, &span) + j.offset, 0x5a,
				span.length - j.offset);
			if (i < 49)
				give(s, span);
		}
		cr_assert_eq(pthread_join(thread, NULL), 0);
		cr_assert_eq(j.result, 0);
		segment_populate_done(s, 0);
		for (uint64_t i = j.offset; i < span.length; i++)
			cr_assert_eq(((unsigned char *)segment_data(s, &span))[i], 0x5a);
		give(s, span);
	}
	cr_assert_eq(segment_resident(s), 16 * MIB);
}

Test(segment_populate, huge_pages_are_a_wish)
{
	_cleanup_(segment_freep) struct segment *s = NULL;
	struct segment_options options = {
		.name = "huge", .size = 4 * MIB, .pages = SEGMENT_PAGES_THP};
	struct span span;

	cr_assert_eq(segment_new(&s, &options), 0);
	segment_set_id(s, ID);
	span = take(s, 4 * MIB);
	cr_assert_eq(segment_populate_span(s, &span), 0);
	memset(segment_data(s, &span), 1, span.length);
	cr_assert_eq(pages_of(s), 4 * MIB);
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

Test(segment_populate, old_kernels)
{
	_cleanup_(segment_freep) struct segment *s = NULL;
	struct span span;

	pretend_old_kernel();
	s = make(8 * MIB);
	span = take(s, 2 * MIB);
	cr_assert_eq(segment_populate_span(s, &span), 0);
	cr_assert_eq(pages_of(s), 2 * MIB);
	memset(segment_data(s, &span), 0x5a, span.length);
	cr_assert_eq(segment_populate_run(s, MIB, 2 * MIB), 0);
	cr_assert_eq(pages_of(s), 3 * MIB);
	for (uint64_t i = 0; i < span.length; i++)
		cr_assert_eq(((unsigned char *)segment_data(s, &span))[i], 0x5a);
}

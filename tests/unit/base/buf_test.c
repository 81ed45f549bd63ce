/* buf_test.c: growth, the hard maximum, content across failures. */
#include "base/buf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(buf, starts_without_memory)
{
	struct buf b;

	buf_init(&b, 100);
	cr_assert(!b.data && b.len == 0 && b.cap == 0 && b.max == 100);
	cr_assert_eq(buf_append(&b, NULL, 0), 0);
	cr_assert(!b.data);
	buf_deinit(&b);
}

Test(buf, deinit_accepts_zeroed)
{
	struct buf b = {0};

	buf_deinit(&b);
	cr_assert_eq(buf_append(&b, "x", 1), -ENOBUFS);
}

Test(buf, deinit_keeps_max)
{
	struct buf b;

	buf_init(&b, 10);
	cr_assert_eq(buf_append(&b, "0123456789", 10), 0);
	buf_deinit(&b);
	cr_assert(!b.data && b.len == 0 && b.cap == 0 && b.max == 10);
	cr_assert_eq(buf_append(&b, "0123456789", 10), 0);
	buf_deinit(&b);
}

Test(buf, holds_exactly_max)
{
	struct buf b;

	buf_init(&b, 1000);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(buf_append(&b, &(uint8_t){(uint8_t)i}, 1), 0);
	cr_assert_eq(b.len, 1000);
	cr_assert_eq(b.cap, 1000);
	cr_assert_eq(buf_append(&b, "x", 1), -ENOBUFS);
	cr_assert_eq(buf_append(&b, "x", 0), 0);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(b.data[i], (uint8_t)i);
	buf_deinit(&b);
}

Test(buf, capacity_doubles)
{
	struct buf b;
	unsigned n_grown = 0;

	buf_init(&b, SIZE_MAX);
	for (size_t i = 0; i < 100000; i++) {
		size_t cap = b.cap;

		cr_assert_eq(buf_append(&b, "x", 1), 0);
		n_grown += b.cap != cap;
		cr_assert(b.len <= b.cap && b.cap <= b.max);
	}
	cr_assert_leq(n_grown, 12);
	buf_deinit(&b);
}

Test(buf, refuses_sizes_that_overflow)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	cr_assert_eq(buf_append(&b, "abc", 3), 0);
	cr_assert_eq(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
	cr_assert_eq(buf_reserve(&b, SIZE_MAX - 2), -ENOBUFS);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_eq(buf_reserve(&b, SIZE_MAX - 3), -ENOMEM);
	failalloc_disarm();
	cr_assert_eq(b.len, 3);
	cr_assert_eq(memcmp(b.data, "abc", 3), 0);
	buf_deinit(&b);
}

Test(buf, consume_and_reset)
{
	struct buf b;

	buf_init(&b, 16);
	cr_assert_eq(buf_append(&b, "abcdef", 6), 0);
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	cr_assert_eq(b.len, 4);
	cr_assert_eq(memcmp(b.data, "cdef", 4), 0);
	buf_consume(&b, 4);
	cr_assert_eq(b.len, 0);
	cr_assert_eq(buf_append(&b, "gh", 2), 0);
	buf_reset(&b);
	cr_assert(b.len == 0 && b.cap > 0);
	buf_deinit(&b);
}

Test(buf, content_survives_lack_of_memory)
{
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(buf_append(&b, "abc", 3), 0);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 1);
	cr_assert_eq(buf_reserve(&b, 4000), -ENOMEM);
	failalloc_disarm();
	cr_assert(b.len == 3 && memcmp(b.data, "abc", 3) == 0);
	cr_assert_eq(buf_reserve(&b, 4000), 0);
	cr_assert_eq(memcmp(b.data, "abc", 3), 0);
	buf_deinit(&b);
}

static int fill(void *arg)
{
	struct buf b;
	int r = 0;

	buf_init(&b, 10000);
	for (int i = 0; i < 10 && !r; i++)
		r = buf_append(&b, (const char[1000]){0}, 1000);
	cr_assert_eq(r != 0, failalloc_failed() != 0);
	buf_deinit(&b);
	return r;
}

Test(buf, fault_loop)
{
	FAULT_LOOP(fill, NULL);
}

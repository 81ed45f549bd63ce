/* span_test.c: slices, and the assertion that keeps them inside. */
#include "shm/span.h"

#include <criterion/criterion.h>
#include <signal.h>

static const struct span whole = {
	.arena = 3, .generation = 9, .offset = UINT64_MAX - 100, .length = 100};

static bool is(struct span s, uint64_t offset, uint64_t length)
{
	return s.arena == 3 && s.generation == 9 && s.offset == offset && s.length == length;
}

Test(span, slices)
{
	cr_assert(is(span_slice(whole, 0, 100), UINT64_MAX - 100, 100));
	cr_assert(is(span_slice(whole, 10, 20), UINT64_MAX - 90, 20));
	cr_assert(is(span_slice(whole, 100, 0), UINT64_MAX, 0));
	cr_assert(is(span_slice(span_slice(whole, 10, 20), 5, 15), UINT64_MAX - 85, 15));
}

Test(span, places)
{
	char memory[100];

	cr_assert_eq(span_at(&(struct span){.offset = 0, .length = 100}, memory, 100), memory);
	cr_assert_eq(span_at(&(struct span){.offset = 40, .length = 60}, memory, 100), memory + 40);
	cr_assert_eq(span_at(&(struct span){.offset = 100}, memory, 100), memory + 100);
	cr_assert_null(span_at(&(struct span){.offset = 101}, memory, 100));
	cr_assert_null(span_at(&(struct span){.offset = 40, .length = 61}, memory, 100));
	cr_assert_null(span_at(&(struct span){.offset = UINT64_MAX, .length = 2}, memory, 100));
	cr_assert_null(span_at(&(struct span){.offset = 2, .length = UINT64_MAX}, memory, 100));
}

Test(span, start_outside, .signal = SIGABRT)
{
	(void)span_slice(whole, 101, 0);
}

Test(span, end_outside, .signal = SIGABRT)
{
	(void)span_slice(whole, 1, 100);
}

Test(span, sum_that_overflows, .signal = SIGABRT)
{
	(void)span_slice(whole, 2, UINT64_MAX);
}

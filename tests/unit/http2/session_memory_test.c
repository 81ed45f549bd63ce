/* session_memory_test.c: what nghttp2 asks for, it gets; what comes back is used again. */
#include "http2/session_memory.h"

#include <criterion/criterion.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/poison.h"
#include "tests/support/failalloc.h"

static struct blocks blocks;
static nghttp2_mem m;

static void setup(void)
{
	blocks_init(&blocks);
	m = session_memory(&blocks);
}

static void teardown(void)
{
	blocks_deinit(&blocks);
}

TestSuite(session_memory, .init = setup, .fini = teardown);

static void *take(size_t n)
{
	return m.malloc(n, m.mem_user_data);
}

static void give(void *p)
{
	m.free(p, m.mem_user_data);
}

static bool all(const uint8_t *p, uint8_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

Test(session_memory, as_large_as_asked_for_and_aligned)
{
	for (size_t n = 0; n < 5000; n += n / 8 + 1) {
		uint8_t *p = take(n);

		cr_assert(p);
		cr_expect_eq((uintptr_t)p % alignof(max_align_t), 0);
		memset(p, 0xab, n);
		give(p);
	}
	give(NULL);
	cr_expect_eq(blocks.n_taken, 0);
}

Test(session_memory, zeroed_where_it_says_so)
{
	uint8_t *p = take(100);

	memset(p, 0xab, 100);
	give(p);
	p = m.calloc(10, 10, m.mem_user_data);
	cr_expect(all(p, 0, 100));
	give(p);
}

Test(session_memory, too_much_is_refused)
{
	cr_expect_null(take(SIZE_MAX));
	cr_expect_null(take(SIZE_MAX - 8));
	cr_expect_null(m.calloc(SIZE_MAX / 2, 3, m.mem_user_data));
	cr_expect_null(m.calloc(SIZE_MAX, 1, m.mem_user_data));
}

/* Across the border between what is listed and what is not, both ways. */
Test(session_memory, grows_and_shrinks_with_what_is_in_it)
{
	static const size_t sizes[] = {10, 200, 400, 600, 3000, 700, 50, 2000};
	size_t n = 10;
	uint8_t *p = take(n);

	memset(p, 1, n);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p = m.realloc(p, sizes[i], m.mem_user_data);
		cr_expect(all(p, 1, n < sizes[i] ? n : sizes[i]));
		n = sizes[i];
		memset(p, 1, n);
	}
	give(p);
	p = m.realloc(NULL, 30, m.mem_user_data);
	memset(p, 2, 30);
	give(p);
	cr_expect_eq(blocks.n_taken, 0);
}

/* What has grown must not come back as a listed block. */
Test(session_memory, what_has_grown_is_not_listed)
{
	void *p = m.realloc(take(10), 20, m.mem_user_data);
	size_t n = 0;

	give(p);
	for (unsigned i = 0; i < BLOCKS_CLASSES; i++)
		n += blocks.n_free[i];
	cr_expect_eq(n, POISON_KNOWN ? 0 : 1);
}

Test(session_memory, without_memory_there_is_none)
{
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_expect_null(take(100));
	cr_expect_null(take(1000));
	cr_expect_null(m.calloc(1, 1000, m.mem_user_data));
	failalloc_disarm();
}

/* AddressSanitizer is to see every use after free, so nothing is kept there. */
Test(session_memory, in_the_steady_state_nothing_is_allocated)
{
	void *a = take(100), *b = take(300);

	give(a);
	give(b);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	a = take(100);
	b = take(300);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), POISON_KNOWN ? 2 : 0);
	give(a);
	give(b);
}

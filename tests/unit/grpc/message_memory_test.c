/* message_memory_test.c: a block, chunks up to a limit, no memory. */
#include "grpc/message_memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(message_memory, pieces_are_apart_and_aligned)
{
	struct message_memory m;
	uint8_t *p[500];

	message_memory_init(&m, 1 << 20);
	for (unsigned i = 0; i < 500; i++) {
		p[i] = message_memory_alloc(&m, 1 + i);
		cr_assert(p[i]);
		cr_assert_eq((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], (int)i, 1 + i);
	}
	for (unsigned i = 0; i < 500; i++) {
		for (unsigned k = 0; k <= i; k++)
			cr_assert_eq(p[i][k], (uint8_t)i);
	}
	message_memory_deinit(&m);
}

Test(message_memory, small_pieces_cost_no_malloc)
{
	struct message_memory m;

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	message_memory_init(&m, 1 << 20);
	cr_expect(message_memory_alloc(&m, MESSAGE_MEMORY_FIRST_BYTES));
	cr_expect(message_memory_alloc(&m, 0), "nothing fits still");
	message_memory_deinit(&m);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), 0);
}

Test(message_memory, the_heap_is_bounded)
{
	struct message_memory m;

	message_memory_init(&m, 10000);
	cr_expect(!message_memory_alloc(&m, 10001));
	cr_expect(m.exceeded);
	m.exceeded = false;
	cr_expect(message_memory_alloc(&m, 9984));
	cr_expect(!m.exceeded);
	cr_expect(!message_memory_alloc(&m, MESSAGE_MEMORY_FIRST_BYTES));
	cr_expect(m.exceeded);
	cr_expect(!m.out_of_memory);
	message_memory_deinit(&m);
}

Test(message_memory, sizes_that_overflow)
{
	struct message_memory m;

	message_memory_init(&m, SIZE_MAX);
	cr_expect(!message_memory_alloc(&m, SIZE_MAX));
	cr_expect(!message_memory_calloc(&m, SIZE_MAX / 2, 3));
	cr_expect(m.exceeded);
	message_memory_deinit(&m);
}

Test(message_memory, calloc_clears)
{
	static const uint8_t zero[64];
	struct message_memory m;
	uint8_t *p;

	message_memory_init(&m, 0);
	unpoison(m.first, sizeof(m.first));
	memset(m.first, 0xff, sizeof(m.first));
	p = message_memory_calloc(&m, 16, 4);
	cr_assert(p);
	cr_expect_arr_eq(p, zero, 64);
	message_memory_deinit(&m);
}

static int much(void *arg)
{
	struct message_memory m;
	int r = 0;

	(void)arg;
	message_memory_init(&m, 1 << 20);
	for (unsigned i = 0; i < 50 && r == 0; i++) {
		if (!message_memory_alloc(&m, 3000))
			r = -ENOMEM;
	}
	cr_assert_eq(r != 0, m.out_of_memory);
	message_memory_deinit(&m);
	return r;
}

Test(message_memory, without_memory)
{
	FAULT_LOOP(much, NULL);
}

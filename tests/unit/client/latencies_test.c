/* latencies_test.c: percentiles of few and many. */
#include "clients/modelctl/latencies.h"

#include <criterion/criterion.h>

#include "tests/support/failalloc.h"

Test(latencies, percentiles_are_exact)
{
	struct latencies l = {0};

	cr_expect_eq(latencies_at(&l, 50000), 0, "there are none");
	latencies_sort(&l);
	for (uint64_t i = 5000; i > 0; i--)
		cr_assert_eq(latencies_add(&l, i), 0);
	latencies_sort(&l);
	cr_expect_eq(latencies_at(&l, 0), 1);
	cr_expect_eq(latencies_at(&l, 50000), 2500);
	cr_expect_eq(latencies_at(&l, 99000), 4950);
	cr_expect_eq(latencies_at(&l, 99900), 4995);
	cr_expect_eq(latencies_at(&l, 100000), 5000);
	latencies_release(&l);
	cr_assert_eq(latencies_add(&l, 7), 0);
	for (uint32_t share = 0; share <= 100000; share += 10000)
		cr_expect_eq(latencies_at(&l, share), 7);
	latencies_release(&l);
}

static int add_some(void *arg)
{
	struct latencies l = {0};
	int r = 0;

	(void)arg;
	for (uint64_t i = 0; !r && i < 3000; i++)
		r = latencies_add(&l, i);
	latencies_release(&l);
	return r;
}

Test(latencies, without_memory)
{
	FAULT_LOOP(add_some, NULL);
}

/* onnxruntime_usual_test.c: which runs are far above the usual. */
#include <criterion/criterion.h>

#include "workers/backends/onnxruntime/usual.h"

#define MIB (UINT64_C(1) << 20)

Test(onnxruntime_usual, one_large_run_among_small_ones)
{
	struct usual u = {0};

	cr_expect_not(usual_exceeded(&u, 4096), "the first is as good as any");
	for (int i = 0; i < 10; i++)
		cr_expect_not(usual_exceeded(&u, 4096));
	cr_expect(usual_exceeded(&u, 36 * MIB));
	for (int i = 0; i < 10; i++)
		cr_expect_not(usual_exceeded(&u, 4096));
	cr_expect(usual_exceeded(&u, 36 * MIB), "still unusual");
}

/* What comes all the time is usual: giving memory back each time would only cost. */
Test(onnxruntime_usual, what_is_large_all_the_time)
{
	struct usual u = {0};
	unsigned exceeded = 0;

	usual_exceeded(&u, 4096);
	for (int i = 0; i < 100; i++)
		exceeded += usual_exceeded(&u, 36 * MIB);
	cr_expect_geq(exceeded, 1);
	cr_expect_leq(exceeded, 8);
}

Test(onnxruntime_usual, small_ones_are_not_worth_it)
{
	struct usual u = {0};

	usual_exceeded(&u, 0);
	cr_expect_not(usual_exceeded(&u, MIB));
	cr_expect(usual_exceeded(&u, UINT64_MAX));
	for (int i = 0; i < 1000; i++)
		usual_exceeded(&u, UINT64_MAX);
	cr_expect_not(usual_exceeded(&u, UINT64_MAX), "no overflow");
}

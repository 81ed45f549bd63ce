/* burst_test.c: what waits for one more poll, and what does not. */
#include "pool/burst.h"

#include <criterion/criterion.h>

#include "base/clock.h"

Test(burst, waits_over_one_poll)
{
	struct burst b = {0};

	burst_add(&b, 3, 1000);
	burst_add(&b, 1, 1000);
	cr_expect(burst_waits(&b), "after a poll");
	cr_expect(burst_waits(&b), "before the next one");
	burst_add(&b, 100, 1000);
	cr_expect_not(burst_waits(&b), "and after it");
	burst_end(&b);
	burst_add(&b, 4, 1000);
	cr_expect(burst_waits(&b), "a new one");
}

Test(burst, few_do_not_wait)
{
	struct burst b = {0};

	cr_expect_not(burst_waits(&b));
	burst_add(&b, 3, 1000);
	cr_expect_not(burst_waits(&b));
}

Test(burst, what_takes_long_does_not_wait)
{
	struct burst b = {0};

	burst_add(&b, 8, 1000);
	burst_add(&b, 1, 20 * NS_PER_US + 1);
	cr_expect_not(burst_waits(&b));
	burst_end(&b);
	burst_add(&b, 8, 20 * NS_PER_US);
	cr_expect(burst_waits(&b));
}

Test(burst, a_hurry_ends_the_wait)
{
	struct burst b = {0};

	burst_add(&b, 8, 1000);
	cr_expect(burst_waits(&b));
	burst_hurry(&b);
	cr_expect_not(burst_waits(&b));
}

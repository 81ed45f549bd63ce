/* lane_test.c: lanes hold what waits. */
#include "workers/lane.h"

#include <criterion/criterion.h>

#include "tests/support/failalloc.h"
#include "workers/model.h"

static int work(void *arg)
{
	static struct model m;
	struct lane l = {0};
	struct job *j;

	lane_deinit(&l);
	lane_init(&l, &m, 3);
	cr_assert_eq(l.index, 3);
	cr_assert_not(l.busy);
	j = job_new(0, (const uint8_t *)"abc", 3);
	if (j) {
		cr_assert_eq(j->n, 3);
		cr_assert_eq(memcmp(j->message, "abc", 3), 0);
		list_push_back(&l.jobs, &j->node);
	}
	lane_deinit(&l);
	return j ? 0 : -1;
}

Test(lane, drops_what_waits)
{
	FAULT_LOOP(work, NULL);
}

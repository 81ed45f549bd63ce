/* Tests of work.c: how long batches should take; its version knows it. */
#include "dispatch/work.h"

#include <criterion/criterion.h>

#include "dispatch/version_private.h"
#include "fake_pool.h"
#include "tests/support/failalloc.h"

static const struct version_settings settings = {.name = "a", .version = "1", .max_queue_size = 3};

static struct pool pool;

static int make(void *arg)
{
	struct version *v;
	struct work *w;
	int r;

	(void)arg;
	pool.n_models = 0;
	r = version_new(&v, &settings, 1, &pool);
	if (r)
		return r;
	r = work_new(&w, v);
	if (!r) {
		cr_assert_eq(v->work, w);
		cr_assert_eq(w->version, v);
		cr_assert_eq(w->queue.max, 3);
		cr_assert_null(work_free(w));
		cr_assert_null(v->work);
	}
	version_unref(v);
	return r;
}

Test(work, faults)
{
	FAULT_LOOP(make, NULL);
	cr_expect_null(work_free(NULL));
}

Test(work, expectations_follow_what_batches_took)
{
	const uint64_t unknown = 100001;
	struct work w = {0};

	cr_expect_eq(work_expectation(&w, unknown), unknown, "not known");
	work_note_time(&w, 8000);
	cr_expect_eq(work_expectation(&w, unknown), 8000);
	work_note_time(&w, 16000);
	cr_expect_eq(work_expectation(&w, unknown), 9000);
	work_note_time(&w, 1000);
	cr_expect_eq(work_expectation(&w, unknown), 8000);
	work_note_time(&w, 0);
	cr_expect_eq(work_expectation(&w, unknown), 7000);
	work_note_time(&w, UINT64_C(1000000000));
	cr_expect_eq(work_expectation(&w, unknown), 125006125, "uncapped");
}

/* segment_pages_test.c: sets of parts against a model with a byte a part. */
#include "shm/segment_pages.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

#define N 200u

Test(segment_pages, a_new_one_is_open)
{
	struct segment_pages p;
	uint64_t from, to;

	cr_assert_eq(segment_pages_init(&p, N), 0);
	cr_assert_not(segment_pages_all_there(&p, 0, 1));
	cr_assert(segment_pages_all_there(&p, 5, 5));
	cr_assert_not(segment_pages_any_bad(&p, 0, N));
	cr_assert_eq(segment_pages_missing(&p, 0, N), N);
	cr_assert(segment_pages_next(&p, 0, N, 70, &from, &to));
	cr_assert(from == 0 && to == 70);
	cr_assert_not(segment_pages_next(&p, 0, 0, 1, &from, &to));
	segment_pages_deinit(&p);
}

Test(segment_pages, bad_ones_stay_so_until_forgiven)
{
	struct segment_pages p;
	uint64_t from, to;

	cr_assert_eq(segment_pages_init(&p, N), 0);
	segment_pages_set(&p, 10, 20);
	segment_pages_spoil(&p, 0, 30);
	cr_assert_eq(p.n_bad, 20);
	cr_assert_not(segment_pages_any_bad(&p, 10, 20));
	cr_assert(segment_pages_any_bad(&p, 9, 20));
	cr_assert(segment_pages_next(&p, 0, N, UINT64_MAX, &from, &to));
	cr_assert(from == 30 && to == N);
	cr_assert_not(segment_pages_next(&p, 0, 30, 1, &from, &to));
	segment_pages_set(&p, 0, 1); /* there is some after all */
	cr_assert_eq(p.n_bad, 19);
	segment_pages_forgive(&p);
	cr_assert_not(segment_pages_any_bad(&p, 0, N));
	cr_assert(segment_pages_next(&p, 0, N, UINT64_MAX, &from, &to));
	cr_assert(from == 1 && to == 10);
	segment_pages_deinit(&p);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void compare(struct segment_pages *p, const char *model, uint64_t from, uint64_t to)
{
	uint64_t missing = 0, bad = 0, open = to, end, got_from, got_to;

	for (uint64_t i = from; i < to; i++) {
		missing += model[i] != 't';
		bad += model[i] == 'b';
		if (model[i] == '.' && open == to)
			open = i;
	}
	cr_assert_eq(segment_pages_missing(p, from, to), missing);
	cr_assert_eq(segment_pages_all_there(p, from, to), missing == 0);
	cr_assert_eq(segment_pages_any_bad(p, from, to), bad > 0);
	cr_assert_eq(segment_pages_next(p, from, to, 100, &got_from, &got_to), open < to);
	if (open == to)
		return;
	for (end = open; end < to && end - open < 100 && model[end] == '.';)
		end++;
	cr_assert(got_from == open && got_to == end);
}

Test(segment_pages, random_use)
{
	struct segment_pages p;
	uint64_t random = 3;
	char model[N];

	memset(model, '.', N);
	cr_assert_eq(segment_pages_init(&p, N), 0);
	for (unsigned k = 0; k < 3000; k++) {
		uint64_t a = next_random(&random) % (N + 1), b = next_random(&random) % (N + 1);
		uint64_t from = a < b ? a : b, to = a < b ? b : a;
		uint64_t what = next_random(&random) % 16;

		if (what == 0) {
			segment_pages_forgive(&p);
			for (uint64_t i = 0; i < N; i++)
				model[i] = model[i] == 'b' ? '.' : model[i];
		} else if (what < 4) {
			to = from + (to - from) % 8;
			segment_pages_spoil(&p, from, to);
			for (uint64_t i = from; i < to; i++)
				model[i] = model[i] == '.' ? 'b' : model[i];
		} else if (what < 6) {
			to = from + (to - from) % 4;
			segment_pages_set(&p, from, to);
			memset(model + from, 't', to - from);
		}
		compare(&p, model, from, to);
		compare(&p, model, 0, to);
		if (k % 500 == 499) {
			segment_pages_deinit(&p);
			memset(model, '.', N);
			cr_assert_eq(segment_pages_init(&p, N), 0);
		}
	}
	segment_pages_deinit(&p);
}

static int make(void *arg)
{
	struct segment_pages p;
	int r = segment_pages_init(&p, N);

	segment_pages_deinit(&p);
	return r;
}

Test(segment_pages, faults)
{
	FAULT_LOOP(make, NULL);
}

/* Tests of wish.c: what is asked for adds up. */
#include "models/wish.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "models/overlay.h"
#include "tests/support/failalloc.h"

static struct wishes w;

static void setup(void)
{
	wishes_init(&w);
}

static void teardown(void)
{
	wishes_release(&w);
}

TestSuite(wish, .init = setup, .fini = teardown);

static bool wanted(uint64_t number, bool chosen)
{
	return wish_has(wishes_find(&w, "m"), number, chosen);
}

Test(wish, by_policy)
{
	cr_expect_null(wishes_find(&w, "m"));
	cr_assert_eq(wishes_add(&w, "m", 0), 0);
	cr_expect(wanted(3, true));
	cr_expect_not(wanted(2, false));
	cr_expect_null(wishes_find(&w, "n"));
}

Test(wish, a_version_more_and_one_less)
{
	cr_assert_eq(wishes_add(&w, "m", 0), 0);
	cr_assert_eq(wishes_add(&w, "m", 2), 0);
	cr_assert_eq(wishes_add(&w, "m", 2), 0);
	cr_expect(wanted(3, true) && wanted(2, false));
	cr_assert_eq(wishes_remove(&w, "m", 3), 0);
	cr_expect(!wanted(3, true) && wanted(2, false));
	cr_assert_eq(wishes_add(&w, "m", 3), 0);
	cr_expect(wanted(3, true) && wanted(2, false));
	cr_assert_eq(wishes_remove(&w, "m", 2), 0);
	cr_expect(wanted(3, true) && !wanted(2, false));
}

Test(wish, only_one_version)
{
	cr_assert_eq(wishes_add(&w, "m", 2), 0);
	cr_expect(!wanted(3, true) && wanted(2, false));
	cr_expect_not(wish_empty(wishes_find(&w, "m")));
	cr_assert_eq(wishes_remove(&w, "m", 2), 0);
	cr_expect(wish_empty(wishes_find(&w, "m")));
}

Test(wish, settings_stay_as_long_as_anything_is_wanted)
{
	struct overlay *o;
	char text[64];

	cr_assert_eq(overlay_new_keys(&o, NULL, 0, text, sizeof(text)), 0);
	cr_assert_eq(wishes_add(&w, "m", 2), 0);
	cr_assert_eq(wishes_add(&w, "m", 3), 0);
	wish_set_overlay(wishes_need(&w, "m"), o);
	wish_set_overlay(wishes_need(&w, "m"), o);
	overlay_unref(o);
	cr_assert_eq(wishes_remove(&w, "m", 2), 0);
	cr_expect_eq(wishes_find(&w, "m")->overlay, o);
	wish_clear(wishes_need(&w, "m"));
	cr_expect_eq(wishes_find(&w, "m")->overlay, o, "what was evicted may come back");
	cr_assert_eq(wishes_remove(&w, "m", 0), 0);
	cr_expect_null(wishes_find(&w, "m")->overlay);
}

Test(wish, all_of_it)
{
	cr_assert_eq(wishes_add(&w, "m", 2), 0);
	cr_assert_eq(wishes_add(&w, "m", 0), 0);
	cr_expect_not(wanted(2, false), "what the policy says and nothing else");
	cr_assert_eq(wishes_remove(&w, "m", 0), 0);
	cr_expect_not(wanted(3, true));
	cr_expect(wish_empty(wishes_find(&w, "m")));
}

Test(wish, dropped)
{
	char name[16];

	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_assert_eq(wishes_add(&w, name, 1), 0);
	}
	for (unsigned i = 0; i < 40; i += 2) {
		snprintf(name, sizeof(name), "m%u", i);
		wishes_drop(&w, wishes_need(&w, name));
		cr_expect_null(wishes_find(&w, name));
	}
	cr_expect_eq(wishes_count(&w), 20);
	for (unsigned i = 1; i < 40; i += 2) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_expect(wishes_find(&w, name));
	}
}

static int life(void *arg)
{
	struct wishes own;
	int r;

	(void)arg;
	wishes_init(&own);
	r = wishes_add(&own, "a", 1);
	if (!r)
		r = wishes_remove(&own, "a", 2);
	if (!r)
		r = wishes_remove(&own, "b", 2);
	wishes_release(&own);
	return r;
}

Test(wish, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}

/* Finding one costs the same however many there are. */
Test(wish, five_thousand)
{
	size_t longest = 0, n = 0;
	char name[16];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_assert_eq(wishes_add(&w, name, i + 1), 0);
	}
	cr_expect_eq(wishes_count(&w), 5000);
	for (size_t i = 0; i < w.n_buckets; i++) {
		size_t length = 0;

		for (const struct wish *at = w.buckets[i]; at; at = at->next)
			length++;
		longest = length > longest ? length : longest;
		n += length;
	}
	cr_expect_eq(n, 5000);
	cr_expect_leq(longest, 16);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_assert(wish_has(wishes_find(&w, name), i + 1, false));
	}
	cr_expect_null(wishes_find(&w, "m5000"));
}

/* Tests of catalogue.c: versions by name. */
#include "dispatch/catalogue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/version_private.h"
#include "tests/support/failalloc.h"

#define N 50

static int add(struct catalogue *c, const char *name, uint32_t id)
{
	const struct version_settings s = {.name = name, .version = "1"};
	struct version *v;
	int r = version_new(&v, &s, 1, NULL, id);

	if (r)
		return r;
	v->counters.requests_ok = 1;
	v->counters.requests_failed = 2;
	v->counters.batches = 3;
	v->counters.total_ns = 4;
	r = catalogue_add(c, v);
	if (r)
		version_unref(v);
	return r;
}

static const char *found(const struct catalogue *c, const char *name)
{
	struct version *v = catalogue_find(c, name, strlen(name));

	return v ? version_settings(v)->name : NULL;
}

Test(catalogue, finds_by_the_whole_name)
{
	struct catalogue c = {0};

	cr_assert_eq(add(&c, "beta", 0), 0);
	cr_assert_eq(add(&c, "alpha", 1), 0);
	cr_assert_eq(add(&c, "alpha2", 2), 0);
	cr_expect_str_eq(found(&c, "alpha"), "alpha");
	cr_expect_str_eq(found(&c, "alpha2"), "alpha2");
	cr_expect_str_eq(found(&c, "beta"), "beta");
	cr_expect_null(found(&c, "alph"));
	cr_expect_null(found(&c, "alpha3"));
	cr_expect_null(found(&c, ""));
	cr_expect_null(catalogue_find(&c, "alpha\0x", 7), "a NUL inside");
	cr_expect_str_eq(version_settings(c.versions[0])->name, "beta", "in the order of ids");
	catalogue_deinit(&c);
	cr_expect_eq(c.n, 0);
}

Test(catalogue, a_name_is_taken_once)
{
	struct catalogue c = {0};

	cr_assert_eq(add(&c, "a", 0), 0);
	cr_expect_eq(add(&c, "a", 1), -EEXIST);
	cr_expect_eq(c.n, 1);
	catalogue_deinit(&c);
}

Test(catalogue, counters_are_sums)
{
	struct catalogue c = {0};
	struct version_counters sum;

	cr_assert_eq(add(&c, "a", 0), 0);
	cr_assert_eq(add(&c, "b", 1), 0);
	sum = catalogue_counters(&c);
	cr_expect_eq(sum.requests_ok, 2);
	cr_expect_eq(sum.requests_failed, 4);
	cr_expect_eq(sum.batches, 6);
	cr_expect_eq(sum.total_ns, 8);
	catalogue_deinit(&c);
}

static int fill(void *arg)
{
	struct catalogue c = {0};
	char name[16];
	int r = 0;

	(void)arg;
	for (uint32_t i = 0; !r && i < N; i++) {
		snprintf(name, sizeof(name), "m%u", i * 7 % N);
		r = add(&c, name, i);
	}
	for (uint32_t i = 0; !r && i < N; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_assert_str_eq(found(&c, name), name);
	}
	catalogue_deinit(&c);
	return r;
}

Test(catalogue, faults)
{
	FAULT_LOOP(fill, NULL);
}

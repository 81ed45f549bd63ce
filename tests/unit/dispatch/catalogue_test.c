/* Tests of catalogue.c: versions by name and number; how they come, take over and go. */
#include "dispatch/catalogue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "fake_pool.h"
#include "tests/support/failalloc.h"

#define N 12

static const struct wire_loaded declared = {.ok = true, .max_batch_size = 8};
static struct pool pool;
static struct pool_events events;
static struct catalogue c;
static unsigned changes;

static void on_model(void *data, void *owner)
{
	catalogue_note(&c, owner);
}

static void on_model_gone(void *data, void *owner)
{
	catalogue_gone(&c, owner);
}

static void on_credit(void *data)
{
}

static void on_change(void *data, struct version *v)
{
	changes++;
}

static void setup(void)
{
	memset(&pool, 0, sizeof(pool));
	events = (struct pool_events){
		.on_model = on_model, .on_model_gone = on_model_gone, .on_credit = on_credit};
	pool.events = &events;
	pool.n_workers = 2;
	for (size_t i = 0; i < 2; i++)
		pool.workers[i] = (struct worker){.pool = &pool, .ready = true};
	changes = 0;
	catalogue_init(&c, &pool, 4, on_change, NULL);
}

static void teardown(void)
{
	catalogue_deinit(&c);
	for (size_t i = 0; i < pool.n_models; i++)
		cr_assert_null(pool.models[i], "%zu", i);
}

TestSuite(catalogue, .init = setup, .fini = teardown);

static int try_add(const char *name, const char *number, struct version *replaces,
	struct version **ret_version)
{
	const struct version_settings s = {
		.name = name, .version = number, .max_batch_size = UINT32_MAX};

	return catalogue_add(&c, &s, replaces, ret_version);
}

static struct version *add(const char *name, const char *number, struct version *replaces)
{
	struct version *v;

	cr_assert_eq(try_add(name, number, replaces, &v), 0);
	return v;
}

static struct version *find(const char *name, const char *number)
{
	return catalogue_find(&c, name, strlen(name), number, strlen(number));
}

static uint32_t id_of(const struct version *v)
{
	return pool_model_id(v->pool_model);
}

/* --- Finding ---------------------------------------------------------------------------------- */

Test(catalogue, finds_by_the_whole_name)
{
	struct version *beta = add("beta", "1", NULL);
	struct version *alpha = add("alpha", "1", NULL);
	struct version *alpha2 = add("alpha2", "1", NULL);

	cr_expect_eq(find("alpha", ""), alpha);
	cr_expect_eq(find("alpha2", ""), alpha2);
	cr_expect_eq(find("beta", ""), beta);
	cr_expect_null(find("alph", ""));
	cr_expect_null(find("alpha3", ""));
	cr_expect_null(find("", ""));
	cr_expect_null(catalogue_find(&c, "alpha\0x", 7, NULL, 0), "a NUL inside");
	cr_expect_null(catalogue_find(&c, "alpha", 5, "1\0", 2), "a NUL inside");
	cr_expect_eq(c.versions[0], beta, "in the order in which they came");
	cr_expect_eq(changes, 3);
}

Test(catalogue, the_default_is_the_highest_that_was_ever_ready)
{
	struct version *v9 = add("a", "9", NULL);
	struct version *v10 = add("a", "10", NULL);
	struct version *v1 = add("a", "1", NULL);

	cr_expect_eq(find("a", ""), v10, "none was ready: the highest");
	fake_load(&pool, id_of(v1), &declared);
	cr_expect_eq(find("a", ""), v1);
	fake_load(&pool, id_of(v9), &declared);
	cr_expect_eq(find("a", ""), v9);
	pool.workers[0].ready = pool.workers[1].ready = false;
	cr_expect_eq(find("a", ""), v9, "it stays so when it is not ready for a while");
	cr_expect_eq(find("a", "1"), v1);
	cr_expect_eq(find("a", "10"), v10);
	cr_expect_null(find("a", "2"));
	cr_expect_null(find("a", "100"));
}

Test(catalogue, a_version_is_there_once)
{
	struct version *v = add("a", "1", NULL);
	struct version *other;

	cr_expect_eq(try_add("a", "1", NULL, &other), -EEXIST);
	add("a", "2", NULL);
	cr_expect_eq(try_add("a", "2", v, &other), -EEXIST, "that is not the one to be replaced");
	cr_expect_eq(try_add("b", "1", v, &other), -EINVAL, "another model");
	cr_expect_eq(c.n, 2);
	cr_expect_eq(c.n_families, 1);
}

/* --- Taking over ------------------------------------------------------------------------------ */

Test(catalogue, a_candidate_takes_over_when_it_is_ready)
{
	struct version *old = add("a", "1", NULL);
	struct version *new;

	fake_load(&pool, id_of(old), &declared);
	new = add("a", "1", old);
	cr_expect_eq(find("a", ""), old);
	cr_expect_eq(find("a", "1"), old);
	pool.loaded[id_of(new)] = &declared;
	pool.workers[0].holds[id_of(new)] = true;
	catalogue_note(&c, new);
	cr_expect_eq(find("a", ""), old, "it is ready on one worker of two");
	fake_load(&pool, id_of(new), &declared);
	cr_expect_eq(find("a", ""), new);
	cr_expect_eq(find("a", "1"), new);
	cr_expect_null(new->replaces);
	cr_expect(old->retired);
	cr_expect_eq(c.n, 1);
}

Test(catalogue, a_candidate_takes_over_from_one_that_broke)
{
	struct version *old = add("a", "1", NULL);
	struct version *new = add("a", "2", old);

	cr_expect_eq(find("a", "2"), new, "by its own number it is found");
	cr_expect_eq(find("a", ""), old);
	pool.loaded[id_of(new)] = &declared;
	pool.workers[0].holds[id_of(new)] = true;
	catalogue_note(&c, old);
	cr_expect_eq(find("a", ""), new, "one worker is more than none");
	cr_expect_null(find("a", "1"));
}

Test(catalogue, a_candidate_that_fails_changes_nothing)
{
	struct version *old = add("a", "1", NULL);
	struct version *new;

	fake_load(&pool, id_of(old), &declared);
	new = add("a", "2", old);
	fake_fail(&pool, id_of(new), "no such file");
	cr_expect(new->retired);
	cr_expect_eq(find("a", ""), old);
	cr_expect_null(find("a", "2"));
	cr_expect_eq(old->refs, 1);
	cr_expect_eq(c.n, 1);
}

Test(catalogue, a_later_candidate_takes_the_place_of_an_earlier)
{
	struct version *old = add("a", "1", NULL);
	struct version *first = add("a", "2", old);
	struct version *second = add("a", "2", old);

	cr_expect(first->retired);
	cr_expect_eq(second->replaces, old);
	cr_expect_eq(find("a", "2"), second);
	cr_expect_eq(c.n, 2);
}

Test(catalogue, a_candidate_serves_when_the_other_is_removed)
{
	struct version *old = add("a", "1", NULL);
	struct version *new = add("a", "2", old);

	catalogue_retire(&c, old);
	cr_expect_null(new->replaces);
	cr_expect_eq(find("a", ""), new);
}

/* --- Going ------------------------------------------------------------------------------------ */

Test(catalogue, a_retired_one_goes_when_its_requests_are_done)
{
	struct version *v = add("a", "1", NULL);
	uint32_t id = id_of(v);

	v->counters = (struct version_counters){1, 2, 3, 4, 5, 6, 7, 8, 9};
	version_ref(v);
	v->n_requests = 1;
	catalogue_retire(&c, v);
	cr_expect_null(find("a", ""));
	cr_expect_eq(c.n, 0);
	cr_expect_eq(c.n_families, 0);
	catalogue_sweep(&c);
	cr_expect_not(pool.models[id]->retired, "a request is not done");
	cr_assert_not_null(v->work);
	v->n_requests = 0;
	catalogue_sweep(&c);
	cr_expect(pool.models[id]->retired);
	cr_expect_null(v->work);
	catalogue_sweep(&c);
	cr_expect_eq(catalogue_counters(&c).batches, 3);
	fake_gone(&pool, id);
	cr_expect_eq(catalogue_counters(&c).batches, 3, "it counts when it is gone, too");
	cr_expect_not_null(pool.models[id], "a reference is held");
	version_unref(v);
	cr_expect_null(pool.models[id]);
}

Test(catalogue, its_name_may_come_again)
{
	struct version *v = add("a", "1", NULL);
	struct version *again;

	catalogue_retire(&c, v);
	again = add("a", "1", NULL);
	cr_expect_eq(find("a", "1"), again);
	cr_expect_neq(id_of(v), id_of(again), "numbers are never used again");
}

Test(catalogue, counters_are_sums)
{
	struct version_counters sum;

	add("a", "1", NULL)->counters = (struct version_counters){1, 2, 3, 4, 5, 6, 7, 8, 9};
	add("b", "1", NULL)->counters = (struct version_counters){1, 2, 3, 4, 5, 6, 7, 8, 9};
	sum = catalogue_counters(&c);
	cr_expect_eq(sum.requests_ok, 2);
	cr_expect_eq(sum.requests_failed, 4);
	cr_expect_eq(sum.batches, 6);
	cr_expect_eq(sum.total_ns, 8);
	cr_expect_eq(sum.queue_ns, 10);
	cr_expect_eq(sum.compute_ns, 12);
	cr_expect_eq(sum.rows, 14);
	cr_expect_eq(sum.failed_ns, 16);
	cr_expect_eq(sum.last_ns, 9, "the latest");
}

/* --- Faults ----------------------------------------------------------------------------------- */

static int fill(void *arg)
{
	struct version *v = NULL;
	char name[16];
	int r = 0;

	(void)arg;
	setup();
	for (uint32_t i = 0; !r && i < N; i++) {
		snprintf(name, sizeof(name), "m%u", i * 7 % N);
		r = try_add(name, "1", NULL, &v);
	}
	if (!r)
		r = try_add(version_settings(v)->name, "2", v, &v);
	for (uint32_t i = 0; !r && i < N; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		cr_assert_str_eq(version_settings(find(name, ""))->name, name);
	}
	for (size_t i = 0; i < c.n_families; i++)
		cr_assert_not_null(
			find(version_settings(c.versions[i])->name, ""), "none is empty");
	catalogue_deinit(&c);
	return r;
}

Test(catalogue, faults)
{
	FAULT_LOOP(fill, NULL);
	setup();
}

Test(catalogue, versions_of_one_model)
{
	struct version *list[2] = {NULL};
	struct version *v10;

	cr_expect_eq(catalogue_family(&c, "a", NULL, 0), 0);
	(void)add("a", "9", NULL);
	v10 = add("a", "10", NULL);
	(void)add("a", "1", NULL);
	(void)add("b", "1", NULL);
	cr_expect_eq(catalogue_family(&c, "a", list, 1), 3);
	cr_expect_eq(list[0], v10, "the highest first");
	cr_expect_null(list[1]);
}

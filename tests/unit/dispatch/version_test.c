/* Tests of version.c: what a version says of itself. */
#include "dispatch/version.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

static struct bed bed;

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(version, .fini = teardown);

static void up(uint32_t own, uint32_t otherwise)
{
	bed_init(&bed);
	bed.models[0].max_batch_size = own;
	bed.settings.default_max_batch_size = otherwise;
	bed_up(&bed);
}

Test(version, batch_size_is_the_backend_s)
{
	up(UINT32_MAX, 16);
	cr_expect_eq(version_max_batch_size(bed.alpha), 8);
}

Test(version, batch_size_is_the_default)
{
	up(UINT32_MAX, 4);
	cr_expect_eq(version_max_batch_size(bed.alpha), 4);
}

Test(version, batch_size_is_its_own)
{
	up(2, 4);
	cr_expect_eq(version_max_batch_size(bed.alpha), 2);
	bed.pool->loaded[0] = NULL;
	cr_expect_eq(version_max_batch_size(bed.alpha), 2);
}

Test(version, its_own_is_cut_by_the_backend_s)
{
	up(64, 4);
	cr_expect_eq(version_max_batch_size(bed.alpha), 8);
}

Test(version, names_are_found)
{
	uint32_t i = 9;

	up(UINT32_MAX, 16);
	cr_expect_eq(version_find_input(bed.gamma, "b", &i), 0);
	cr_expect_eq(i, 1);
	cr_expect_eq(version_find_output(bed.gamma, "z", &i), 0);
	cr_expect_eq(i, 1);
	for (uint32_t from = 0; from < 3; from++) {
		i = from;
		cr_expect_eq(version_find_input(bed.gamma, "b", &i), 0, "wherever it looks first");
		cr_expect_eq(i, 1);
	}
	i = 9;
	cr_expect_eq(version_find_input(bed.gamma, "y", &i), -ENOENT);
	cr_expect_eq(version_find_output(bed.gamma, "b", &i), -ENOENT);
	bed.pool->loaded[2] = NULL;
	cr_expect_eq(version_find_input(bed.gamma, "b", &i), -ENOENT);
	cr_expect_eq(i, 9);
}

Test(version, states)
{
	struct worker *w;

	up(UINT32_MAX, 16);
	w = &bed.pool->workers[0];
	cr_expect_str_eq(version_state_name(bed.alpha), "ready");
	cr_expect_eq(version_workers_ready(bed.alpha), 1);
	w->ready = false;
	cr_expect_str_eq(version_state_name(bed.alpha), "unavailable");
	bed.alpha->proven = false;
	cr_expect_str_eq(
		version_state_name(bed.alpha), "loading", "declared, but nobody has had it");
	cr_expect_str_eq(version_unavailable_text(bed.alpha), "is not loaded yet");
	bed.alpha->proven = true;
	bed.pool->loaded[0] = NULL;
	cr_expect_str_eq(version_state_name(bed.alpha), "loading");
	bed.pool->hopeless[0] = true;
	cr_expect_str_eq(version_state_name(bed.alpha), "failed");
	cr_expect_str_eq(version_detail(bed.alpha), "");
	cr_expect_str_eq(version_settings(bed.gamma)->name, "gamma");
}

Test(version, keeps_in_mind_what_could_not_take_its_place)
{
	up(UINT32_MAX, 16);
	cr_expect_str_eq(version_remark(bed.alpha), "");
	for (int i = 0; i < 2; i++)
		version_pass_over(bed.alpha, bed.gamma);
	cr_expect(strstr(version_remark(bed.alpha), " has failed, this one goes on: "));
	version_stays(bed.alpha);
	cr_expect_str_eq(version_remark(bed.alpha), "");
	version_pass_over(bed.alpha, bed.gamma); /* goes with it */
}

/* It is a string of a message then, which parsers refuse where it is no UTF-8. */
Test(version, what_could_not_take_its_place_is_cut_where_it_may_be)
{
	static char detail[1000];

	up(UINT32_MAX, 16);
	for (size_t i = 0; i < 3; i++) {
		memset(detail, 'x', i);
		for (size_t at = i; at + 4 < sizeof(detail); at += 3)
			memcpy(detail + at, "\u2713", 4);
		bed.pool->detail[bed.gamma->pool_model->id] = detail;
		version_pass_over(bed.alpha, bed.gamma);
		cr_expect(strstr(version_remark(bed.alpha), "\u2713\u2713\u2713"));
		cr_expect(utf8_valid(version_remark(bed.alpha), strlen(version_remark(bed.alpha))));
	}
}

Test(version, keeps_in_mind_where_its_configuration_contradicts_it)
{
	struct claims *c = claims_new(1);

	up(UINT32_MAX, 16);
	version_compare(bed.alpha);
	cr_expect_str_eq(version_remark(bed.alpha), "");
	cr_assert_not_null(c);
	memcpy(c->list[0].name, "none", 5);
	bed.alpha->settings.claims = c; /* and goes with it */
	for (int i = 0; i < 2; i++)
		version_compare(bed.alpha);
	cr_expect_str_eq(version_remark(bed.alpha),
		"input 'none' is in its configuration, and the model has no such input");
	version_pass_over(bed.alpha, bed.gamma);
	cr_expect(strstr(version_remark(bed.alpha), " has failed, this one goes on: "),
		"which goes first");
}

Test(version, is_where_the_pool_has_it)
{
	struct pool_placement p;
	size_t i = 0;

	up(UINT32_MAX, 16);
	cr_assert(version_placement(bed.alpha, &i, &p));
	cr_expect_eq(p.worker, &bed.pool->workers[0]);
	cr_expect_eq(p.instances, 1);
	bed.pool->workers[0].holds[0] = bed.pool->workers[1].holds[0] = false;
	i = 0;
	cr_expect_not(version_placement(bed.alpha, &i, &p));
}

Test(version, lives_as_long_as_somebody_holds_it)
{
	char name[] = "digits";
	struct version_settings s = {.name = name, .version = "3", .max_batch_size = UINT32_MAX};
	struct version *v;

	up(UINT32_MAX, 16);
	cr_assert_eq(version_new(&v, &s, 5, bed.pool), 0);
	name[0] = 'x';
	cr_expect_str_eq(version_settings(v)->name, "digits", "its settings are its own");
	cr_expect_eq(v->max_batch_size, 5);
	cr_expect_eq(version_queue_depth(v), 0, "nothing is scheduled for it yet");
	cr_expect_eq(version_in_flight(v), 0);
	cr_expect_eq(version_ref(v), v);
	cr_expect_null(version_unref(v));
	cr_expect_eq(v->refs, 1);
	cr_expect_null(version_unref(v));
	cr_expect_null(version_unref(NULL));
}

Test(version, a_request_holds_one)
{
	struct answer a = {0};
	struct request *r;
	uint32_t refs;

	up(UINT32_MAX, 16);
	refs = bed.alpha->refs;
	r = bed_request(&bed, bed.alpha, bed.client, 1, 0, &a);
	cr_assert_not_null(r);
	cr_expect_eq(bed.alpha->refs, refs + 1);
	request_unref(r);
	cr_expect_eq(bed.alpha->refs, refs);
}

static struct pool spare_pool;

static int make(void *arg)
{
	static const struct wire_pair pair = {"k", "v"};
	const struct version_settings s = {.name = "a",
		.version = "1",
		.path = "/p",
		.backend = "b",
		.devices = "cpu:0",
		.parameters = &pair,
		.n_parameters = 1};
	struct version *v;
	int r;

	spare_pool.n_models = 0;
	r = version_new(&v, &s, 1, arg);
	if (!r)
		version_unref(v);
	return r;
}

Test(version, faults)
{
	up(UINT32_MAX, 16);
	FAULT_LOOP(make, &spare_pool);
}

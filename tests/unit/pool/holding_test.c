/* holding_test.c: what workers have of models: where models are meant to be, and what counting costs. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/utf8.h"
#include "fake_bed.h"
#include "pool/holding.h"
#include "pool/pool_private.h"

Test(holding, devices_that_a_model_is_meant_for)
{
	struct bed b;

	bed_init(&b, "good", "all one two none");
	b.places[0].count = 2;
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	b.models[1].devices = "cpu:1";
	b.models[2].devices = "cpu:0, cpu:1";
	b.models[3].devices = "cpu:10,pu:1";
	bed_up(&b);
	cr_expect_eq(pool_model_ready(b.pm[0]), 3);
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(pool_model_ready(b.pm[2]), 3);
	cr_expect_eq(pool_model_ready(b.pm[3]), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[3]), 0);
	cr_expect_str_eq(pool_model_detail(b.pm[3]), "no worker runs on its devices: cpu:10,pu:1");
	bed_drain_end(&b);
}

/* An answer of it would hold nothing, and be as many as it likes. */
Test(holding, what_answers_in_part_declares_what)
{
	const struct wire_loaded nothing = {.ok = true, .decoupled = true};
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_start(&b);
	bed_wait(&b, b.pm[0]->holdings[0].state == HOLDING_LOADING);
	cr_expect_not(pool_loaded(b.pm[0], bed_worker(&b, 0), &nothing));
	cr_expect_str_eq(b.pm[0]->error,
		"load failed on cpu:0: it is decoupled and declares no outputs: there is nothing "
		"that it could answer");
	bed_end(&b);
}

/* A model that is loaded concerns one worker's holding of it, and no other. */
Test(holding, a_load_costs_the_same_however_many_there_are)
{
	struct bed b;
	uint64_t before;

	bed_init(&b, "good", "echo a b c d e");
	b.places[0].count = 4;
	bed_up(&b);
	before = b.pool->n_counted;
	bed_add_named(&b, "late");
	bed_wait(&b, pool_model_ready(b.pm[6]) == 4);
	/* When it came: each worker's; for each worker: Load was sent, Loaded came. */
	cr_expect_eq(b.pool->n_counted - before, 4 + 2 * 4);
	before = b.pool->n_counted;
	bed_retire(&b, 6);
	bed_wait(&b, b.n_models_gone == 1);
	/* Each is to leave, Unload was sent, Unloaded came; and all once more. */
	cr_expect_eq(b.pool->n_counted - before, 3 * 4 + 4);
	bed_drain_end(&b);
}

/* From spawn to ready: every holding when it was made, loaded, and as its worker's state changed. */
Test(holding, a_start_costs_models_times_workers)
{
	struct bed b;
	const uint64_t n = 6 * 4;

	bed_init(&b, "good", "echo a b c d e");
	b.places[0].count = 4;
	bed_up(&b);
	cr_expect_leq(b.pool->n_counted, 5 * n);
	for (size_t i = 0; i < 6; i++)
		cr_expect_eq(pool_model_ready(b.pm[i]), 4);
	bed_drain_end(&b);
}

/* Why a load has failed is a string of messages then, which parsers refuse where it is no UTF-8. */
Test(holding, why_a_load_failed_is_cut_where_it_may_be)
{
	char error[2000];
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	for (size_t i = 0; i < 3; i++) {
		const struct wire_loaded l = {.error = error};

		memset(error, 'x', i);
		for (size_t at = i; at + 4 < sizeof(error); at += 3)
			memcpy(error + at, "\u2713", 4);
		cr_expect_not(pool_loaded(b.pm[0], bed_worker(&b, 0), &l));
		cr_expect(strstr(b.pm[0]->error, "\u2713\u2713\u2713"));
		cr_expect(utf8_valid(b.pm[0]->error, strlen(b.pm[0]->error)));
	}
	bed_drain_end(&b);
}

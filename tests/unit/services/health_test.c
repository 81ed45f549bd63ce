/* health_test.c: what a change costs those who watch, in models and watches looked at; never in time. */
#include "services/health.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "service_fixture.h"
#include "tests/support/failalloc.h"

#define N_MODELS  1000u
#define N_WATCHES 1000u

static struct fixture f;
static char names[N_MODELS][16];

struct watching {
	struct health_watch watch;
	unsigned told;
	struct health_watch *ends; /* which one is ended when it is told; NULL: none */
};

static void set_up(void)
{
	fixture_init(&f);
}

static void tear_down(void)
{
	fixture_deinit(&f);
}

TestSuite(health_watch, .init = set_up, .fini = tear_down);

static void on_status(struct health_watch *watch)
{
	struct watching *w = container_of(watch, struct watching, watch);

	w->told++;
	if (w->ends)
		health_unwatch(w->ends);
}

static void watch(struct watching *w, const char *name)
{
	*w = (struct watching){.watch.on_status = on_status};
	cr_assert_eq(health_watch(f.services.health, &w->watch, name), 0);
}

static void make_models(void)
{
	for (unsigned i = 0; i < N_MODELS; i++) {
		snprintf(names[i], sizeof(names[i]), "model-%u", i);
		double_model(&f.dispatch, names[i]);
	}
}

static void set_ready(unsigned i, bool ready)
{
	f.dispatch.models[i].ready = ready;
	health_model_changed(f.services.health, &f.dispatch.models[i]);
}

/* The worker dies and takes all models with it; then they load, a turn each. `watches`: those of one
 * name each. Returns how much was looked at. */
static uint64_t restart(void)
{
	uint64_t before = health_visits(f.services.health);

	for (unsigned i = 0; i < N_MODELS; i++)
		set_ready(i, false);
	health_flush(f.services.health);
	for (unsigned i = 0; i < N_MODELS; i++) {
		set_ready(i, true);
		health_flush(f.services.health);
	}
	return health_visits(f.services.health) - before;
}

static void end_all(struct watching *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		health_unwatch(&w[i].watch);
	free(w);
}

/* Not one with the other multiplied. */
Test(health_watch, a_restart_costs_models_and_watches)
{
	struct watching *w = calloc(N_WATCHES, sizeof(*w));
	struct watching server;

	make_models();
	for (unsigned i = 0; i < N_WATCHES; i++)
		watch(&w[i], names[i % N_MODELS]);
	watch(&server, "");
	/* Names are found by a hash whose key is another one each time: some more meet in a bucket, or less. */
	cr_assert_leq(restart(), 20 * (N_MODELS + N_WATCHES));
	for (unsigned i = 0; i < N_WATCHES; i++)
		cr_assert_eq(w[i].told, 2);
	cr_assert_eq(server.told, 2, "it is ready with the last of them");
	health_unwatch(&server.watch);
	end_all(w, N_WATCHES);
}

Test(health_watch, all_of_them_watch_the_server)
{
	struct watching *w = calloc(N_WATCHES, sizeof(*w));

	make_models();
	for (unsigned i = 0; i < N_WATCHES; i++)
		watch(&w[i], "");
	/* Names are found by a hash whose key is another one each time: some more meet in a bucket, or less. */
	cr_assert_leq(restart(), 20 * (N_MODELS + N_WATCHES));
	for (unsigned i = 0; i < N_WATCHES; i++)
		cr_assert_eq(w[i].told, 2);
	end_all(w, N_WATCHES);
}

Test(health_watch, all_of_them_watch_one_model)
{
	struct watching *w = calloc(N_WATCHES, sizeof(*w));

	make_models();
	for (unsigned i = 0; i < N_WATCHES; i++)
		watch(&w[i], names[7]);
	/* Names are found by a hash whose key is another one each time: some more meet in a bucket, or less. */
	cr_assert_leq(restart(), 20 * (N_MODELS + N_WATCHES));
	for (unsigned i = 0; i < N_WATCHES; i++)
		cr_assert_eq(w[i].told, 2);
	end_all(w, N_WATCHES);
}

/* Where a hash is known, as hash_bytes() is to everybody, names that meet in a table are found quickly. */
Test(health_watch, names_that_are_chosen_to_meet)
{
	struct watching *w = calloc(N_WATCHES, sizeof(*w));
	char name[24];
	unsigned n = 0;

	for (unsigned i = 0; n < N_WATCHES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		if (hash_bytes(name, strlen(name)) % 1024 == 0)
			watch(&w[n++], name);
	}
	cr_assert_leq(health_visits(f.services.health), 10 * N_WATCHES);
	end_all(w, N_WATCHES);
}

/* As long as they are, each is found. */
Test(health_watch, many_names)
{
	const unsigned n = 200000;
	struct watching *w = calloc(n, sizeof(*w));
	char name[24];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		watch(&w[i], name);
	}
	cr_assert_leq(health_visits(f.services.health), 10 * (uint64_t)n);
	double_model(&f.dispatch, "77777");
	set_ready(0, true);
	health_flush(f.services.health);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(w[i].told, i == 77777);
	end_all(w, n);
}

Test(health_watch, what_nobody_watches_costs_nothing)
{
	make_models();
	cr_assert_eq(restart(), 0);
}

Test(health_watch, changes_of_a_turn_are_told_as_one)
{
	struct watching w;

	make_models();
	watch(&w, names[3]);
	set_ready(3, false);
	set_ready(3, true);
	health_flush(f.services.health);
	cr_assert_eq(w.told, 0, "it is as it was");
	set_ready(3, false);
	set_ready(3, true);
	set_ready(3, false);
	cr_assert_eq(w.told, 0);
	health_flush(f.services.health);
	cr_assert_eq(w.told, 1);
	cr_assert_eq(health_watched(&w.watch), HEALTH_NOT_SERVING);
	health_unwatch(&w.watch);
	health_unwatch(&w.watch);
}

Test(health_watch, a_model_that_comes_later)
{
	struct watching w;

	watch(&w, "late");
	cr_assert_eq(health_watched(&w.watch), HEALTH_UNKNOWN);
	double_model(&f.dispatch, "late");
	set_ready(0, true);
	health_flush(f.services.health);
	cr_assert_eq(w.told, 1);
	cr_assert_eq(health_watched(&w.watch), HEALTH_SERVING);
	health_unwatch(&w.watch);
}

/* Who is told may leave, and take any other with him. */
Test(health_watch, watches_end_each_other)
{
	struct watching w[4];

	make_models();
	for (unsigned i = 0; i < 4; i++)
		watch(&w[i], names[i / 2]);
	w[0].ends = &w[1].watch;
	w[2].ends = &w[2].watch;
	w[3].ends = &w[0].watch;
	set_ready(0, false);
	set_ready(1, false);
	health_flush(f.services.health);
	cr_assert_eq(w[0].told, 1);
	cr_assert_eq(w[1].told, 0);
	cr_assert_eq(w[2].told, 1);
	cr_assert_eq(w[3].told, 1);
	health_unwatch(&w[3].watch);
}

static int watch_once(void *arg)
{
	struct watching w = {.watch.on_status = on_status};
	int r = health_watch(f.services.health, &w.watch, "some name");

	health_unwatch(&w.watch);
	return r;
}

Test(health_watch, faults)
{
	FAULT_LOOP(watch_once, NULL);
}

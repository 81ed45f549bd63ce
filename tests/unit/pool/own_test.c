/* own_test.c: models with worker processes of their own. */
#include "pool/own.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_bed.h"

#define SHARED 0u
#define OWN    1u

/* echo on a shared worker, and `names`, which are isolated; places for `max` workers. */
static void init(struct bed *b, const char *script, const char *names, uint32_t max)
{
	bed_init(b, script, names);
	b->settings.max_model_workers = max;
	for (size_t i = 1; i < b->n_models; i++)
		b->models[i].isolation = ISOLATION_MODEL;
}

static struct breaker *breaker_of(struct bed *b, size_t model)
{
	return pool_breaker(b->pm[model], 0);
}

Test(own, one_lives_alone)
{
	struct bed b;
	struct worker *w;

	init(&b, "good", "echo second", 3);
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 2);
	cr_assert_eq(pool_max_workers(b.pool), 4);
	w = bed_worker(&b, OWN);
	cr_expect_str_eq(worker_name(w), "cpu:0/own-0");
	cr_expect_eq(worker_model(w), &b.models[1]);
	cr_expect_null(worker_model(bed_worker(&b, SHARED)));
	cr_expect_not(worker_is_used(bed_worker(&b, 2)));
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(pool_model_hopeful(b.pm[1]), 1);
	cr_expect(worker_holds(w, b.pm[1]));
	cr_expect_not(worker_holds(w, b.pm[0]));
	cr_expect_not(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	cr_expect_eq(bed_run(&b, SHARED, 1, 1, 10), WORKER_E_BUSY);
	cr_expect_eq(bed_run(&b, OWN, 1, 2, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'd');
	bed_drain_end(&b);
}

Test(own, unloading_ends_its_process)
{
	struct bed b;
	struct worker *w;
	int pid;

	init(&b, "good", "echo second", 1);
	bed_up(&b);
	w = bed_worker(&b, OWN);
	pid = worker_pid(w);
	cr_assert_eq(bed_run(&b, OWN, 1, 2, 10), 0);
	bed_retire(&b, 1);
	cr_expect_eq(pool_model_ready(b.pm[1]), 0);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(b.n_events, 1);
	cr_expect_eq(b.events[0].what, 'd', "what was in flight is answered first");
	cr_expect_eq(kill(pid, 0), -1);
	cr_expect_not(worker_is_used(w));
	cr_expect_eq(pool_n_workers(b.pool), 1);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 0);
	bed_add(&b, 1);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_restarts(w), 0, "it is a new one");
	bed_drain_end(&b);
}

/* Whoever starts meanwhile shares the processors with those that there are. */
Test(own, a_place_between_others_is_free)
{
	struct bed b;

	init(&b, "good", "echo second third", 2);
	b.settings.processors = 4;
	bed_up(&b);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1 && pool_model_ready(b.pm[2]) == 1);
	cr_expect_eq(pool_n_workers(b.pool), 3);
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(pool_n_workers(b.pool), 3);
	cr_expect_str_eq(worker_device(bed_worker(&b, OWN)), "", "it can be compared");
	cr_expect_eq(worker_threads(bed_worker(&b, SHARED)), 2);
	kill(worker_pid(bed_worker(&b, SHARED)), SIGKILL);
	bed_wait(
		&b, worker_restarts(bed_worker(&b, SHARED)) == 1 && pool_model_ready(b.pm[0]) == 1);
	bed_drain_end(&b);
}

/* Who goes by a place and the number of its process must not take the next one's for it. */
Test(own, who_has_a_place_next_is_not_who_had_it)
{
	struct bed b;
	struct worker *w;

	init(&b, "good", "echo second", 1);
	bed_up(&b);
	w = bed_worker(&b, OWN);
	worker_bind(w);
	cr_expect_eq(worker_generation(w), 1);
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	bed_add(&b, 1);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_generation(w), 2);
	worker_unbind(w);
	bed_drain_end(&b);
}

Test(own, a_crash_costs_it_alone)
{
	struct bed b;

	init(&b, "good", "echo crash", 1);
	bed_up(&b);
	cr_assert_eq(bed_run(&b, OWN, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == 1 && pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(b.events[0].what, 's');
	cr_expect_eq(worker_restarts(bed_worker(&b, OWN)), 1);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 0);
	cr_expect_eq(breaker_of(&b, 1)->crashes, 1);
	bed_drain_end(&b);
}

/* The shared worker is ready, and loads what comes, while the other one hangs. */
Test(own, a_load_that_hangs_keeps_nobody_back)
{
	struct bed b;

	init(&b, "good", "echo hangload third", 1);
	b.models[2].isolation = ISOLATION_DEVICE;
	bed_start(&b);
	bed_retire(&b, 2);
	bed_wait(&b, bed_worker(&b, OWN)->loading && b.n_models_gone == 1);
	bed_add(&b, 2);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 1 && pool_model_ready(b.pm[0]) == 1);
	cr_expect_eq(bed_worker(&b, OWN)->loading, b.pm[1]);
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 2);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 0);
	bed_drain_end(&b);
}

Test(own, what_crashes_too_often_rests_without_a_process)
{
	struct bed b;
	struct worker *w;

	init(&b, "good", "echo crashload", 1);
	bed_start(&b);
	w = bed_worker(&b, OWN);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN && w->state == WORKER_REAPED);
	cr_expect_eq(worker_restart_at_ns(w), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[1]), 0);
	cr_expect(strstr(pool_model_detail(b.pm[1]), "circuit breaker open on cpu:0"));
	cr_expect_eq(b.pool->workers[b.pool->max_workers].generation, 0, "no other one tries it");
	breaker_of(&b, 1)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, w->generation == 3);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN && w->state == WORKER_REAPED);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 0);
	bed_drain_end(&b);
}

Test(own, comes_back_when_it_loads_again)
{
	struct bed b;

	init(&b, "good,odd,odd,good", "echo oddload", 1);
	b.settings.breaker_crashes = 2;
	bed_start(&b);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN);
	breaker_of(&b, 1)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_neq(breaker_of(&b, 1)->state, BREAKER_TRIAL);
	cr_assert_eq(bed_run(&b, OWN, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(breaker_of(&b, 1)->state, BREAKER_CLOSED);
	bed_drain_end(&b);
}

Test(own, too_few_places)
{
	struct bed b;

	init(&b, "good", "echo second third", 1);
	bed_up(&b);
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(pool_model_hopeful(b.pm[2]), 0);
	cr_expect_str_eq(pool_model_detail(b.pm[2]),
		"it needs 1 worker processes of its own, and 1 of [worker] max_model_workers = 1 "
		"are taken");
	/* It has a hope as soon as the other one goes. */
	bed_retire(&b, 1);
	cr_expect_eq(pool_model_hopeful(b.pm[2]), 1);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 1 && b.n_models_gone == 1);
	cr_expect_str_eq(pool_model_detail(b.pm[2]), "");
	bed_drain_end(&b);
}

Test(own, who_waits_may_go)
{
	struct bed b;

	init(&b, "good", "echo second third", 0);
	bed_up(&b);
	cr_expect_eq(pool_model_hopeful(b.pm[1]), 0);
	bed_retire(&b, 2);
	bed_wait(&b, b.n_models_gone == 1);
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 2);
	cr_expect_eq(b.pool->n_waiting, 0);
	bed_drain_end(&b);
}

Test(own, one_on_each_of_its_devices)
{
	struct bed b;

	init(&b, "good", "echo second third", 8);
	b.places[1] = (struct pool_place){"cpu:1", 2};
	b.settings.n_places = 2;
	b.models[2].devices = "cpu:1";
	bed_up(&b);
	cr_expect_eq(pool_n_workers(b.pool), 8);
	cr_expect_eq(pool_model_ready(b.pm[1]), 3, "as many as models share");
	cr_expect_eq(pool_model_ready(b.pm[2]), 2);
	cr_expect_str_eq(worker_name(bed_worker(&b, 3)), "cpu:0/own-0");
	cr_expect_str_eq(worker_name(bed_worker(&b, 4)), "cpu:1/own-1");
	cr_expect_str_eq(worker_name(bed_worker(&b, 7)), "cpu:1/own-4");
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(pool_n_workers(b.pool), 8, "numbers stay");
	cr_expect_not(worker_is_used(bed_worker(&b, 3)));
	bed_drain_end(&b);
}

/* What the process was executed with. */
static void expect_arguments(int pid, const char *const *argv)
{
	char path[64], line[256] = {0};
	const char *at = line;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "r");
	cr_assert_not_null(f);
	cr_assert_gt(fread(line, 1, sizeof(line) - 1, f), 0);
	fclose(f);
	for (; *argv; argv++, at += strlen(at) + 1)
		cr_expect_str_eq(at, *argv);
	cr_expect_str_empty(at);
}

/* Each instance is a process of the program that its backend names. */
Test(own, a_program_of_its_backend)
{
	static const char *const argv[] = {"/proc/self/exe", "one", "two", NULL};
	static const struct pool_program program = {.backend = "py", .argv = argv};
	struct bed b;

	init(&b, "good", "echo second", 4);
	b.settings.programs = &program;
	b.settings.n_programs = 1;
	b.models[1].isolation = ISOLATION_DEVICE;
	b.models[1].backend = "py";
	b.models[1].instances = 3;
	bed_up(&b);
	cr_expect_eq(pool_n_workers(b.pool), 4);
	cr_expect_eq(pool_model_ready(b.pm[1]), 3);
	expect_arguments(worker_pid(bed_worker(&b, OWN)), argv);
	bed_drain_end(&b);
}

struct party {
	int fds[2];
	int r;
	unsigned n;
};

static int invite(void *data, int *ret_fd)
{
	struct party *party = data;

	party->n++;
	*ret_fd = party->r ? -1 : party->fds[1];
	return party->r;
}

/* Workers of a program get what they may ask by; those of the pool's own do not. */
Test(own, who_runs_a_program_is_invited)
{
	static const char *const argv[] = {"/proc/self/exe", "one", NULL};
	static const struct pool_program program = {.backend = "py", .argv = argv};
	struct party party = {.r = 0};
	struct bed b;
	char byte;

	init(&b, "good", "echo second third", 4);
	b.settings.programs = &program;
	b.settings.n_programs = 1;
	b.models[1].backend = "py";
	cr_assert_eq(bed_make(&b), 0);
	cr_assert_eq(pipe2(party.fds, O_CLOEXEC | O_NONBLOCK), 0);
	pool_set_invite(b.pool, invite, &party);
	cr_assert_eq(pool_start(b.pool), 0);
	bed_wait(&b, b.n_started == 1);
	cr_expect_eq(party.n, 1);
	cr_expect_eq(read(party.fds[0], &byte, 1), -1, "the worker has it");
	party.r = -EUSERS;
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(read(party.fds[0], &byte, 1), 0, "nobody has it");
	close(party.fds[0]);
	bed_add(&b, 1);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(party.n, 2, "without one it serves as well");
	bed_drain_end(&b);
}

Test(own, a_program_that_is_not_there)
{
	static const char *const argv[] = {"/nowhere/at/all", NULL};
	static const struct pool_program program = {.backend = "py", .argv = argv};
	struct bed b;

	init(&b, "good", "echo second", 1);
	b.settings.programs = &program;
	b.settings.n_programs = 1;
	b.models[1].backend = "py";
	bed_up(&b);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	bed_wait(&b, pool_model_hopeful(b.pm[1]) == 0);
	cr_expect(strstr(pool_model_detail(b.pm[1]), "cannot be started"));
	bed_drain_end(&b);
}

/* Times are left to chance: a model may go at any point of its process's life. */
Test(own, models_that_come_and_go_in_haste)
{
	struct bed b;
	uint32_t gone = 0;

	init(&b, "good", "echo second", 2);
	bed_up(&b);
	for (unsigned i = 0; i < 5; i++) {
		bed_retire(&b, 1);
		bed_wait(&b, b.n_models_gone == gone + 1);
		gone++;
		bed_add(&b, 1);
		for (unsigned turns = 0; turns < 3 * i && pool_model_ready(b.pm[1]) == 0; turns++)
			bed_turn(&b);
	}
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 0);
	bed_drain_end(&b);
}

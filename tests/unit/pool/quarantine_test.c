/* quarantine_test.c: a worker whose process has ended waits for a look at its GPU, and for help where that is needed. */
#include "pool/quarantine.h"

#include <criterion/criterion.h>
#include <semaphore.h>

#include "base/clock.h"
#include "pool/gpus.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"
#include "tests/support/fake_driver.h"

#define NOW UINT64_C(1000)

static sem_t looked;
static char path[64];

static void post(void *data)
{
	(void)data;
	sem_post(&looked);
}

/* What the driver says from now on. */
static void say(unsigned action)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f);
	fprintf(f, "%u\n", action);
	fclose(f);
}

static void start(struct pool *p, unsigned action)
{
	char settings[128];

	snprintf(path, sizeof(path), "/tmp/quarantine-%d", (int)getpid());
	say(action);
	sem_init(&looked, 0, 0);
	snprintf(settings, sizeof(settings), "recovery_from=%s", path);
	fake_driver_load(settings);
	unsetenv("CUDA_VISIBLE_DEVICES");
	cr_assert_eq(gpus_new(&p->gpus, post, NULL), 0);
}

static void end(struct pool *p)
{
	gpus_free(p->gpus);
	remove(path);
}

static void wait_for_look(struct worker *w)
{
	quarantine_ask(w, NOW);
	while (!gpus_answered(w->pool->gpus, w->look))
		sem_wait(&looked);
}

Test(quarantine, a_gpu_that_is_well)
{
	struct pool p = {.n_all = 0};
	struct worker w = {
		.pool = &p, .device = "cuda:0", .name = "cuda:0/0", .state = WORKER_REAPED};

	start(&p, 0);
	wait_for_look(&w);
	cr_assert_not(quarantine_keeps(&w, NOW));
	cr_assert_eq(w.quarantine, 0);
	cr_assert_not(quarantine_look(&w, NOW), "it did not wait");
	end(&p);
}

Test(quarantine, until_the_gpu_had_its_help)
{
	struct pool p = {.n_all = 0};
	struct worker w = {
		.pool = &p, .device = "cuda:0", .name = "cuda:0/0", .state = WORKER_REAPED};

	start(&p, 1);
	wait_for_look(&w);
	w.restart_at_ns = NOW;
	cr_assert(quarantine_keeps(&w, NOW));
	cr_assert_eq(w.quarantine, 1);
	cr_assert_eq(w.restart_at_ns, 0);
	/* Each look asks again. */
	cr_assert(quarantine_look(&w, NOW + 1));
	cr_assert_eq(w.restart_at_ns, NOW + 1);
	cr_assert(quarantine_keeps(&w, NOW + 1));
	say(0);
	wait_for_look(&w);
	cr_assert(quarantine_look(&w, NOW + 2));
	cr_assert_not(quarantine_keeps(&w, NOW + 2));
	cr_assert_eq(w.quarantine, 0);
	end(&p);
}

/* No look is ever answered here: there is no thread that could. */
Test(quarantine, a_driver_that_says_nothing_is_not_waited_for_long)
{
	struct pool p = {.n_all = 0};
	struct worker w = {
		.pool = &p, .device = "cuda:0", .name = "cuda:0/0", .state = WORKER_REAPED};

	start(&p, 1);
	w.look = UINT64_MAX;
	w.look_by_ns = NOW + 5;
	cr_assert(quarantine_keeps(&w, NOW));
	cr_assert_eq(w.restart_at_ns, NOW + 5);
	cr_assert_eq(w.quarantine, 0);
	cr_assert(quarantine_look(&w, NOW + 1), "it waits for one");
	cr_assert(quarantine_keeps(&w, NOW + 1));
	/* What is known by now counts all the same. */
	wait_for_look(&w);
	w.look = UINT64_MAX;
	w.look_by_ns = NOW + 5;
	cr_assert(quarantine_keeps(&w, NOW + 5));
	cr_assert_eq(w.quarantine, 1);
	end(&p);
}

Test(quarantine, is_for_gpus_that_can_be_asked)
{
	struct pool p = {.gpus = NULL};
	struct worker w = {
		.pool = &p, .device = "cuda:0", .name = "cuda:0/0", .state = WORKER_REAPED};

	quarantine_ask(&w, NOW);
	cr_assert_not(quarantine_keeps(&w, NOW));
	start(&p, 1);
	w.device = "cpu:0";
	quarantine_ask(&w, NOW);
	cr_assert_eq(w.look, 0);
	cr_assert_not(quarantine_keeps(&w, NOW));
	end(&p);
}

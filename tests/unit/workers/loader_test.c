/* loader_test.c: one job after the other, on another thread. */
#include "workers/loader.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "tests/support/failalloc.h"

struct seen {
	pthread_mutex_t lock; /* held by the test: handle() waits */
	uint32_t last;
	uint32_t n;
};

static void handle(void *data, const struct wire_message *m)
{
	struct seen *s = data;

	pthread_mutex_lock(&s->lock);
	s->n++;
	s->last = m->unload.model;
	pthread_mutex_unlock(&s->lock);
}

/* An Unload as it comes. NULL: no memory. */
static struct job *unload(struct wire_scratch *out, uint32_t model)
{
	const struct wire_message m = {.type = WIRE_UNLOAD, .unload = {.model = model}};
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(out, &m, &data, &n), 0);
	return job_new(0, data, n);
}

Test(loader, handles_jobs_in_turn_and_forgets_what_waits_in_the_end)
{
	struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct wire_scratch *out;
	struct loader *l;

	cr_assert_eq(wire_scratch_new(&out), 0);
	cr_assert_eq(loader_new(&l, handle, &s), 0);
	cr_assert(loader_is_idle(l));
	for (uint32_t i = 1; i <= 50; i++)
		loader_push(l, unload(out, i));
	while (!loader_is_idle(l))
		;
	pthread_mutex_lock(&s.lock);
	cr_assert_eq(s.n, 50);
	cr_assert_eq(s.last, 50);
	for (uint32_t i = 51; i <= 60; i++)
		loader_push(l, unload(out, i));
	cr_assert_not(loader_is_idle(l));
	pthread_mutex_unlock(&s.lock);
	loader_wait_idle(l);
	cr_assert(loader_is_idle(l));
	loader_free(l);
	wire_scratch_free(out);
}

static int work(void *arg)
{
	struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	_cleanup_(loader_freep) struct loader *l = NULL;
	struct job *j;
	int r = loader_new(&l, handle, &s);

	if (r)
		return r;
	j = unload(arg, 1);
	if (!j)
		return -1;
	loader_push(l, j);
	return 0;
}

Test(loader, faults)
{
	struct wire_scratch *out;

	cr_assert_eq(wire_scratch_new(&out), 0);
	FAULT_LOOP(work, out);
	wire_scratch_free(out);
}

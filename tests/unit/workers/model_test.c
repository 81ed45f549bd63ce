/* model_test.c: loading through a backend, and what becomes of failures. */
#include "workers/model.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"
#include "workers/host.h"

static const struct wire_setup setup = {.worker = "cpu:0/0", .device = "cpu:0"};

static struct wire_load load_of(uint32_t number, const char *name)
{
	return (struct wire_load){.model = number,
		.name = name,
		.version = "1",
		.path = "/",
		.backend = "builtin",
		.max_batch_size = 8};
}

/* A model, which must be loaded; NULL where `error` has to be part of why not. */
static struct model *load(const struct wire_load *load, const char *error)
{
	struct modeld_error why = {.size = sizeof(why)};
	struct backends *backends;
	struct model *m = NULL;

	cr_assert_eq(backends_new(&backends, NULL, 0, NULL), 0);
	cr_assert_eq(model_load(&m, backends, NULL, load, &why), error ? MODEL_E_FAILED : 0);
	if (error) {
		cr_assert_null(m);
		cr_assert(strstr(why.text, error), "%s", why.text);
	}
	backends_free(backends);
	return m;
}

Test(model, is_what_its_backend_says)
{
	struct wire_load simple = load_of(3, "simple");
	struct wire_load identity = load_of(4, "identity");
	struct model *m = load(&simple, NULL);

	cr_assert_eq(m->number, 3);
	cr_assert_eq(m->max_batch_size, 8);
	cr_assert_eq(m->n_lanes, 1);
	cr_assert_eq(m->lanes[0].model, m);
	cr_assert_not_null(m->lanes[0].instance);
	cr_assert_neq(m->lanes[0].instance, m->handle, "its instances are its own");
	cr_assert_gt(model_memory_bytes(m), 0);
	model_unload(m);
	m = load(&identity, NULL);
	cr_assert_eq(m->max_batch_size, 0, "it cannot batch, whatever it is told");
	model_unload(m);
}

Test(model, failures_say_why)
{
	struct wire_load l = load_of(0, "unheard-of");

	load(&l, "no function 'unheard-of'");
	l.backend = "absent";
	load(&l, "no backend 'absent'");
}

Test(model, parameters_reach_the_backend)
{
	const struct wire_pair pairs[] = {{"function", "identity"}, {"function", "simple"}};
	struct wire_load l = load_of(0, "unheard-of");
	const char *key, *value;
	struct model *m;

	l.parameters = pairs;
	l.n_parameters = 2;
	m = load(&l, NULL);
	cr_assert_eq(m->info.n_inputs, 2, "the last one holds");
	cr_assert_null(m->spec.parameter(&m->spec, "other"));
	cr_assert_eq(m->spec.parameter_at(&m->spec, 1, &key, &value), 1);
	cr_assert_str_eq(key, "function");
	cr_assert_str_eq(value, "simple");
	cr_assert_eq(m->spec.parameter_at(&m->spec, 2, &key, &value), 0);
	cr_assert_eq(m->spec.max_batch_size, 8);
	model_unload(m);
}

static int work(void *arg)
{
	const struct wire_pair pairs[] = {{"function", "identity"}};
	struct wire_load l = load_of(2, "x");
	_cleanup_(backends_freep) struct backends *backends = NULL;
	_cleanup_(host_freep) struct host *h = NULL;
	_cleanup_(model_unloadp) struct model *m = NULL;
	struct modeld_error error;
	const char *directory = "/nowhere";
	int r;

	l.parameters = pairs;
	l.n_parameters = 1;
	r = host_new(&h, &setup, &(struct host_calls){0});
	if (!r)
		r = backends_new(&backends, &directory, 1, host_api(h));
	if (!r)
		r = model_load(&m, backends, NULL, &l, &error);
	cr_assert_eq(m != NULL, r == 0);
	return r;
}

Test(model, faults)
{
	FAULT_LOOP(work, NULL);
}

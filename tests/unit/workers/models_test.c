/* models_test.c: the table of models, and declarations that are not believed. */
#include "workers/models.h"

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

/* --- With the builtin backend ------------------------------------------------------------- */

Test(models, by_number)
{
	struct wire_load load = load_of(3, "simple");
	const struct model *m = NULL;
	struct backends *backends;
	struct models t = {0};
	struct modeld_error error;

	cr_assert_eq(backends_new(&backends, NULL, 0, NULL), 0);
	cr_assert_null(models_get(&t, 3));
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	cr_assert_eq(models_get(&t, 3), m);
	cr_assert_null(models_get(&t, 2));
	cr_assert_null(models_get(&t, 4));
	cr_assert_eq(m->max_batch_size, 8);
	cr_assert_gt(model_memory_bytes(m), 0);
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), MODELS_E_IN_USE);
	load.model = 0;
	load.name = "identity";
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	cr_assert_eq(m->max_batch_size, 0, "it cannot batch, whatever it is told");
	load.model = UINT32_MAX;
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	cr_assert_eq(models_get(&t, UINT32_MAX), m);
	cr_assert_eq(models_unload(&t, 1), -ENOENT);
	cr_assert_eq(models_unload(&t, 99), -ENOENT);
	cr_assert_eq(models_unload(&t, 3), 0);
	cr_assert_null(models_get(&t, 3));
	load.model = 3;
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	models_deinit(&t);
	backends_free(backends);
}

/* Numbers grow for as long as the daemon runs, and those that are held lie anywhere among them. */
Test(models, numbers_are_sparse)
{
	struct wire_load load = load_of(0, "identity");
	const struct model *m = NULL;
	struct backends *backends;
	struct models t = {0};
	struct modeld_error error;

	cr_assert_eq(backends_new(&backends, NULL, 0, NULL), 0);
	for (uint32_t i = 0; i < 200; i++) {
		load.model = i * 1000003;
		cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
		if (i % 2)
			cr_assert_eq(models_unload(&t, load.model), 0);
	}
	for (uint32_t i = 0; i < 200; i++)
		cr_assert_eq(models_get(&t, i * 1000003) != NULL, i % 2 == 0, "%u", i);
	cr_assert_eq(t.n, 100);
	cr_assert_leq(t.n_buckets, 128);
	models_deinit(&t);
	backends_free(backends);
}

Test(models, failures_say_why_and_leave_the_number_free)
{
	struct wire_load load = load_of(0, "unheard-of");
	const struct model *m = NULL;
	struct backends *backends;
	struct models t = {0};
	struct modeld_error error;

	cr_assert_eq(backends_new(&backends, NULL, 0, NULL), 0);
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), MODELS_E_FAILED);
	cr_assert(strstr(error.text, "no function 'unheard-of'"));
	load.backend = "absent";
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), MODELS_E_FAILED);
	cr_assert(strstr(error.text, "no backend 'absent'"));
	cr_assert_null(m);
	load = load_of(0, "identity");
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	models_deinit(&t);
	backends_free(backends);
}

Test(models, parameters_reach_the_backend)
{
	const struct wire_pair pairs[] = {{"function", "identity"}, {"function", "simple"}};
	const char *key, *value;
	struct wire_load load = load_of(0, "unheard-of");
	const struct model *m = NULL;
	struct backends *backends;
	struct models t = {0};
	struct modeld_error error;

	load.parameters = pairs;
	load.n_parameters = 2;
	cr_assert_eq(backends_new(&backends, NULL, 0, NULL), 0);
	cr_assert_eq(models_load(&t, backends, &load, &m, &error), 0);
	cr_assert_eq(m->info.n_inputs, 2, "the last one holds");
	cr_assert_null(m->spec.parameter(&m->spec, "other"));
	cr_assert_eq(m->spec.parameter_at(&m->spec, 1, &key, &value), 1);
	cr_assert_str_eq(key, "function");
	cr_assert_str_eq(value, "simple");
	cr_assert_eq(m->spec.parameter_at(&m->spec, 2, &key, &value), 0);
	cr_assert_eq(m->spec.max_batch_size, 8);
	models_deinit(&t);
	backends_free(backends);
}

static int work(void *arg)
{
	const struct wire_pair pairs[] = {{"function", "identity"}};
	struct wire_load load = load_of(2, "x");
	const struct model *m = NULL;
	_cleanup_(backends_freep) struct backends *backends = NULL;
	_cleanup_(host_freep) struct host *h = NULL;
	struct models t = {0};
	struct modeld_error error;
	const char *directory = "/nowhere";
	int r;

	load.parameters = pairs;
	load.n_parameters = 1;
	r = host_new(&h, &setup, NULL);
	if (!r)
		r = backends_new(&backends, &directory, 1, host_api(h));
	if (!r)
		r = models_load(&t, backends, &load, &m, &error);
	cr_assert_eq(models_get(&t, 2) != NULL, r == 0);
	models_deinit(&t);
	return r;
}

Test(models, faults)
{
	FAULT_LOOP(work, NULL);
}

/* loading_test.c: what of Load and Unload no daemon can time from outside; the rest is in loop_test.c. */
#include <criterion/criterion.h>
#include <string.h>

#include "workers/loop_private.h"

/* Between being put and being taken back, since its declaration did not fit, a model could be unloaded. */
static void unload_and_expect_the_end(struct model *there)
{
	struct loop l = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {.model = 3}};

	if (there)
		cr_assert_eq(models_put(&l.models, there), 0);
	cr_expect_eq(loop_handle_load(&l, &unload), -ECANCELED);
	cr_expect_eq(l.exit, WORKER_EXIT_INTERNAL);
	cr_expect_not_null(l.stopped);
	if (there)
		cr_expect_eq(models_take(&l.models, there->number), there);
	models_deinit(&l.models);
}

Test(loading, a_model_that_is_gone_is_not_unloaded)
{
	unload_and_expect_the_end(NULL);
}

/* Another one that has its number since: nobody asked for its end. */
Test(loading, a_model_that_nobody_lets_go_stays)
{
	struct model m = {.number = 3};

	unload_and_expect_the_end(&m);
}

/* The loader may come to another one before the worker has ended. */
Test(loading, nothing_is_left_of_a_model_whose_number_is_in_use)
{
	static const struct wire_setup setup = {.worker = "cpu:0/0", .device = "cpu:0"};
	static const struct host_calls calls;
	const struct wire_message load = {.type = WIRE_LOAD,
		.load = {.model = 3,
			.name = "identity",
			.version = "1",
			.path = "/",
			.backend = "builtin"}};
	struct model there = {.number = 3};
	struct loop l = {.lock = PTHREAD_MUTEX_INITIALIZER};

	cr_assert_eq(host_new(&l.host, &setup, &calls), 0);
	cr_assert_eq(backends_new(&l.backends, NULL, 0, host_api(l.host)), 0);
	ledger_init(&l.ledger, ledger_private_bytes);
	cr_assert_eq(models_put(&l.models, &there), 0);
	cr_expect_eq(loop_handle_load(&l, &load), -ECANCELED);
	cr_expect(list_empty(&l.ledger.shares));
	cr_expect_eq(models_take(&l.models, there.number), &there);
	models_deinit(&l.models);
	backends_free(l.backends);
	host_free(l.host);
}

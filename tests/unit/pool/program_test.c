/* program_test.c: what a worker program is told before it speaks to the daemon. */
#include "pool/program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "tests/support/failalloc.h"

static const char *const argv[] = {"/bin/py", NULL};
static const char *const environment[] = {"A=1", "B=", NULL};
static const struct pool_program programs[] = {
	{.backend = "py", .argv = argv, .environment = environment},
	{.backend = "other", .argv = argv},
};
static const struct wire_pair settings[] = {
	{"py.interpreter", "/usr/bin/python3"}, {"pyx.key", "no"}, {"py.x", "1"}};
static const struct wire_pair parameters[] = {{"mode", "fast"}, {"n", "2"}};
static const struct pool_settings pool = {.programs = programs,
	.n_programs = 2,
	.settings = settings,
	.n_settings = 3,
	.load_timeout_ms = 60000};
static const struct pool_model_settings model = {.name = "m",
	.version = "7",
	.path = "/models/m/7",
	.backend = "py",
	.parameters = parameters,
	.n_parameters = 2,
	.run_timeout_ms = 1500};

Test(program, by_its_backend)
{
	cr_expect_eq(program_find(&pool, "py"), &programs[0]);
	cr_expect_eq(program_find(&pool, "other"), &programs[1]);
	cr_expect_null(program_find(&pool, "onnxruntime"));
}

Test(program, environment)
{
	static const char *const expected[] = {"A=1", "B=", "MODELD_DEVICE=cpu:0",
		"MODELD_MODEL_NAME=m", "MODELD_MODEL_VERSION=7", "MODELD_MODEL_PATH=/models/m/7",
		"MODELD_PARAMETERS=mode=fast\nn=2\n",
		"MODELD_SETTINGS=interpreter=/usr/bin/python3\nx=1\n", "MODELD_RUN_TIMEOUT_MS=1500",
		"MODELD_LOAD_TIMEOUT_MS=60000"};
	const size_t n = sizeof(expected) / sizeof(expected[0]);
	char **list;

	cr_assert_eq(program_environment(&list, &pool, &programs[0], &model, "cpu:0"), 0);
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(list[i], expected[i]);
	cr_expect_null(list[n]);
	free(list);
}

Test(program, environment_of_the_pools_own)
{
	static const struct pool_settings none = {0};
	static const struct pool_model_settings bare = {
		.name = "m", .version = "1", .path = "/", .backend = "builtin"};
	char **list;

	cr_assert_eq(program_environment(&list, &none, NULL, &bare, "cuda:1"), 0);
	cr_expect_str_eq(list[0], "MODELD_DEVICE=cuda:1");
	cr_expect_str_eq(list[5], "MODELD_SETTINGS=");
	cr_expect_str_eq(list[6], "MODELD_RUN_TIMEOUT_MS=0");
	cr_expect_str_eq(list[7], "MODELD_LOAD_TIMEOUT_MS=0");
	cr_expect_null(list[8]);
	free(list);
}

static int make(void *arg)
{
	char **list = NULL;
	int r = program_environment(&list, &pool, &programs[0], &model, "cpu:0");

	free(list);
	return r;
}

Test(program, faults)
{
	FAULT_LOOP(make, NULL);
}

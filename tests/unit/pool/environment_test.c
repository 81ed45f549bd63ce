/* environment_test.c: which GPUs a worker sees. */
#include "pool/environment.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

/* The value of a variable, which is there once. */
static const char *value_of(char *const *env, const char *name)
{
	const char *value = NULL;
	size_t n = strlen(name);

	for (; *env; env++) {
		if (strncmp(*env, name, n) != 0 || (*env)[n] != '=')
			continue;
		cr_assert_null(value, "%s twice", name);
		value = *env + n + 1;
	}
	return value;
}

static void sees(const char *device, const char *expected)
{
	char **env;

	cr_assert_eq(environment_new(&env, device, NULL, NULL), 0);
	cr_assert_str_eq(value_of(env, "CUDA_VISIBLE_DEVICES"), expected, "%s", device);
	cr_assert_str_eq(value_of(env, "CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
	cr_assert_str_eq(value_of(env, "MODELD_TEST_VARIABLE"), "kept");
	free(env);
}

Test(environment, a_worker_sees_its_gpu_and_no_other)
{
	setenv("MODELD_TEST_VARIABLE", "kept", 1);
	unsetenv("CUDA_VISIBLE_DEVICES");
	setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST", 1);
	sees("cpu:0", "");
	sees("cpu:3", "");
	sees("cuda:0", "0");
	sees("cuda:12", "12");
	sees("cuda:GPU-1234", "GPU-1234");
	sees("cuda:MIG-1/2/3", "MIG-1/2/3");
}

Test(environment, what_was_said_to_the_daemon_alone_is_not_passed_on)
{
	const char *names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS",
		"LISTEN_PID", "LISTEN_FDNAMES"};
	char **env;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		setenv(names[i], "1", 1);
	cr_assert_eq(environment_new(&env, "cpu:0", NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_null(value_of(env, names[i]), "%s", names[i]);
	free(env);
}

Test(environment, numbers_count_what_the_daemon_sees)
{
	setenv("MODELD_TEST_VARIABLE", "kept", 1);
	setenv("CUDA_VISIBLE_DEVICES", "GPU-a,3,MIG-b", 1);
	sees("cpu:0", "");
	sees("cuda:0", "GPU-a");
	sees("cuda:1", "3");
	sees("cuda:2", "MIG-b");
	sees("cuda:3", "");
	sees("cuda:GPU-z", "GPU-z");
	setenv("CUDA_VISIBLE_DEVICES", "", 1);
	sees("cuda:0", "");
	sees("cuda:1", "");
}

Test(environment, more_comes_in_place_of_the_daemons_own)
{
	const char *const more[] = {
		"MODELD_TEST_VARIABLE=mine", "MODELD_TEST=", "CUDA_VISIBLE_DEVICES=9", NULL};
	const char *const rest[] = {"MODELD_TEST=not this", "MODELD_TEST_REST=this", NULL};
	char **env;

	setenv("MODELD_TEST_VARIABLE", "kept", 1);
	setenv("MODELD_TEST_VARIABLES", "another", 1);
	setenv("MODELD_TEST_REST", "the daemon's", 1);
	cr_assert_eq(environment_new(&env, "cpu:0", more, rest), 0);
	cr_expect_str_eq(value_of(env, "MODELD_TEST_VARIABLE"), "mine");
	cr_expect_str_eq(value_of(env, "MODELD_TEST_VARIABLES"), "another");
	cr_expect_str_eq(value_of(env, "MODELD_TEST"), "");
	cr_expect_str_eq(value_of(env, "MODELD_TEST_REST"), "this");
	cr_expect_str_eq(value_of(env, "CUDA_VISIBLE_DEVICES"), "", "the device decides");
	free(env);
}

Test(environment, onnxruntime_has_no_telemetry_unless_somebody_says_so)
{
	const char *const more[] = {"ORT_DISABLE_TELEMETRY=no", NULL};
	char **env;

	unsetenv("ORT_DISABLE_TELEMETRY");
	cr_assert_eq(environment_new(&env, "cpu:0", NULL, NULL), 0);
	cr_expect_str_eq(value_of(env, "ORT_DISABLE_TELEMETRY"), "1");
	free(env);
	setenv("ORT_DISABLE_TELEMETRY", "0", 1);
	cr_assert_eq(environment_new(&env, "cpu:0", NULL, NULL), 0);
	cr_expect_str_eq(value_of(env, "ORT_DISABLE_TELEMETRY"), "0");
	free(env);
	cr_assert_eq(environment_new(&env, "cpu:0", more, NULL), 0);
	cr_expect_str_eq(value_of(env, "ORT_DISABLE_TELEMETRY"), "no");
	free(env);
}

static int work(void *arg)
{
	char **env;
	int r = environment_new(&env, "cuda:0", NULL, NULL);

	if (!r)
		free(env);
	return r;
}

Test(environment, faults)
{
	FAULT_LOOP(work, NULL);
}

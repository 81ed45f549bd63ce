/* config_gpus_test.c: cuda:all; that workers are started on what was found is in the system tests (test_gpu.py). */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_private.h"
#include "tests/support/fake_driver.h"

static struct config c;
static char text[512];

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
}

static void teardown(void)
{
	config_release(&c);
}

TestSuite(config_gpus, .init = setup, .fini = teardown);

static int find(const char *workers, const char **ret_text)
{
	char data[256];

	snprintf(data, sizeof(data), "[worker]\nworkers = %s\n", workers);
	cr_assert_eq(
		config_load_memory(&c, "f", data, strlen(data), text, sizeof(text)), 0, "%s", text);
	text[0] = 0;
	return config_find_gpus(&c, ret_text, text, sizeof(text));
}

Test(config_gpus, those_that_are_visible)
{
	const char *found;

	setenv("CUDA_VISIBLE_DEVICES", "4,GPU-a,7", 1);
	cr_assert_eq(find("cpu:1, cuda:all x2, cpu:0", &found), 0, "%s", text);
	cr_assert_str_eq(found, "cpu:1 x1, cuda:0 x2, cuda:1 x2, cuda:2 x2, cpu:0 x1");
	cr_assert_eq(c.pool.n_places, 5);
	cr_assert_str_eq(c.pool.places[2].device, "cuda:1");
	cr_assert_eq(c.pool.places[2].count, 2);
}

Test(config_gpus, not_asked_for)
{
	const char *found = "";

	cr_assert_eq(find("cpu:0, cuda:3", &found), 0);
	cr_assert_null(found);
	cr_assert_eq(c.pool.n_places, 2);
}

Test(config_gpus, none_is_visible)
{
	const char *found;

	setenv("CUDA_VISIBLE_DEVICES", "", 1);
	cr_assert_eq(find("cuda:all", &found), CONFIG_E_INVALID);
	cr_assert_str_eq(text, "[worker] workers: cuda:all, but there is no GPU here");
}

Test(config_gpus, one_by_name_beside_all)
{
	const char *found;

	setenv("CUDA_VISIBLE_DEVICES", "0,1", 1);
	cr_assert_eq(find("cuda:1, cuda:all", &found), CONFIG_E_INVALID);
	cr_assert_str_eq(text, "[worker] workers: 'cuda:1' beside cuda:all");
}

Test(config_gpus, nobody_can_count_them)
{
	const char *found;

	unsetenv("CUDA_VISIBLE_DEVICES");
	if (dlopen("libnvidia-ml.so.1", RTLD_NOW))
		return;
	cr_assert_eq(find("cuda:all", &found), CONFIG_E_INVALID);
	cr_assert(strstr(text, "libnvidia-ml.so.1), which is not here; name the GPUs instead"),
		"%s", text);
}

static const char *found_with(const char *driver)
{
	const char *found;

	unsetenv("CUDA_VISIBLE_DEVICES");
	fake_driver_load(driver);
	cr_assert_eq(find("cpu:0, cuda:all x2", &found), 0, "%s", text);
	return found;
}

Test(config_gpus, those_that_the_library_counts)
{
	cr_expect_str_eq(found_with("devices=2"), "cpu:0 x1, cuda:0 x2, cuda:1 x2");
}

/* CUDA counts nothing there that could be relied on: all go by UUID. */
Test(config_gpus, instances_where_a_gpu_is_divided)
{
	cr_expect_str_eq(found_with("devices=2 mig=0"),
		"cpu:0 x1, cuda:MIG-00000001-0000-5000-8000-000000000001 x2, "
		"cuda:MIG-00000001-0000-5000-8000-000000000003 x2, "
		"cuda:GPU-00000002-0000-4000-8000-000000000002 x2");
	cr_expect_eq(c.pool.n_places, 4);
}

Test(config_gpus, one_that_is_divided_into_nothing)
{
	const char *found;

	cr_expect_str_eq(found_with("devices=2 mig=1 instances=0"),
		"cpu:0 x1, cuda:GPU-00000001-0000-4000-8000-000000000001 x2");
	setenv("FAKENVML", "mig=0 instances=0", 1);
	teardown();
	setup();
	cr_expect_eq(find("cuda:all", &found), CONFIG_E_INVALID);
	cr_expect_str_eq(text, "[worker] workers: cuda:all, but there is no GPU here");
}

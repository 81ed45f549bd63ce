/* gpus_test.c: looking, asking for a look, and which GPU a worker's device means; see test_gpu.py, too. */
#include "pool/gpus.h"
#include "tests/support/fake_driver.h"

#include <criterion/criterion.h>
#include <semaphore.h>

static void post(void *data)
{
	sem_post(data);
}

Test(gpus, starts_and_ends_without_waiting)
{
	struct nvml_gpu list[2];
	struct gpus *g;

	cr_assert_eq(gpus_new(&g, NULL, NULL), 0);
	(void)gpus_read(g, list, 2);
	(void)gpus_read(g, NULL, 0);
	cr_assert_null(gpus_free(g));
	cr_assert_null(gpus_free(NULL));
	cr_assert_eq(gpus_read(NULL, list, 2), 0);
	cr_assert_eq(gpus_recovery_action(NULL, "cuda:0"), NVML_UNKNOWN);
}

/* A look that was asked for sees what is so now. */
Test(gpus, a_look_that_is_asked_for)
{
	struct gpus *g;
	uint64_t look;
	sem_t looked;

	sem_init(&looked, 0, 0);
	fake_driver_load("devices=2 recovery=1");
	cr_assert_eq(gpus_new(&g, post, &looked), 0);
	look = gpus_ask(g);
	while (!gpus_answered(g, look))
		sem_wait(&looked);
	cr_assert_eq(gpus_recovery_action(g, "cuda:0"), 1);
	gpus_free(g);
}

/* Nothing to see is an answer. */
Test(gpus, nobody_waits_for_a_library_that_is_not_there)
{
	struct gpus *g;
	uint64_t look;
	sem_t looked;

	sem_init(&looked, 0, 0);
	fake_driver_load("init=9");
	cr_assert_eq(gpus_new(&g, post, &looked), 0);
	sem_wait(&looked);
	look = gpus_ask(g);
	cr_assert(gpus_answered(g, look));
	cr_assert_eq(gpus_recovery_action(g, "cuda:0"), NVML_UNKNOWN);
	gpus_free(g);
}

static void check_names(struct gpus *g)
{
	static const struct {
		const char *device;
		bool known;
	} names[] = {
		{"cuda:0", true},
		{"cuda:1", true},
		{"cuda:2", false},
		{"cuda:GPU-00000002-0000-4000-8000-000000000002", true},
		{"cuda:GPU-00000002", true},
		{"cuda:GPU-00000009", false},
		{"cuda:GPU-", false},
		{"cuda:MIG-GPU-00000002-0000-4000-8000-000000000002/1/0", true},
		{"cuda:MIG-00000002-0000-4000-8000-000000000002", false},
		{"cpu:0", false},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_eq(gpus_recovery_action(g, names[i].device),
			names[i].known ? 3 : NVML_UNKNOWN, "%s", names[i].device);
}

Test(gpus, which_gpu_a_device_means)
{
	struct gpus *g;
	sem_t looked;

	sem_init(&looked, 0, 0);
	unsetenv("CUDA_VISIBLE_DEVICES");
	fake_driver_load("devices=2 recovery=3");
	cr_assert_eq(gpus_new(&g, post, &looked), 0);
	sem_wait(&looked);
	check_names(g);
	cr_expect(gpus_same(g, "cuda:1", "cuda:GPU-00000002-0000-4000-8000-000000000002"));
	cr_expect_not(gpus_same(g, "cuda:0", "cuda:GPU-00000002-0000-4000-8000-000000000002"));
	cr_expect_not(gpus_same(g, "cuda:7", "cuda:7"));
	cr_expect_not(gpus_same(NULL, "cuda:0", "cuda:0"));
	gpus_free(g);
}

/* The environment is not changed while the thread may look at it. */
Test(gpus, numbers_count_what_the_daemon_sees)
{
	struct gpus *g;
	sem_t looked;

	sem_init(&looked, 0, 0);
	setenv("CUDA_VISIBLE_DEVICES", "7,GPU-00000001", 1);
	fake_driver_load("devices=2 recovery=3");
	cr_assert_eq(gpus_new(&g, post, &looked), 0);
	sem_wait(&looked);
	cr_expect_eq(gpus_recovery_action(g, "cuda:0"), NVML_UNKNOWN);
	cr_expect_eq(gpus_recovery_action(g, "cuda:1"), 3);
	gpus_free(g);
}

Test(gpus, an_instance_is_part_of_its_gpu)
{
	static const char second[] = "cuda:MIG-00000002-0000-5000-8000-000000000003";
	struct gpus *g;
	sem_t looked;

	sem_init(&looked, 0, 0);
	unsetenv("CUDA_VISIBLE_DEVICES");
	fake_driver_load("devices=2 mig=1 recovery=3");
	cr_assert_eq(gpus_new(&g, post, &looked), 0);
	sem_wait(&looked);
	cr_expect_eq(gpus_recovery_action(g, "cuda:MIG-00000002-0000-5000-8000-000000000001"), 3);
	cr_expect_eq(gpus_recovery_action(g, second), 3);
	cr_expect_eq(gpus_recovery_action(g, "cuda:MIG-00000002-0000-5000-8000-000000000002"),
		NVML_UNKNOWN, "nothing is there");
	cr_expect_eq(gpus_recovery_action(g, "cuda:MIG-"), NVML_UNKNOWN);
	cr_expect_not(gpus_same(g, "cuda:1", second), "it is not all of it");
	gpus_free(g);
}

Test(gpus, actions_in_words)
{
	cr_expect_str_eq(gpus_action_text(0), "");
	cr_expect_str_eq(gpus_action_text(NVML_UNKNOWN), "");
	cr_expect_str_eq(gpus_action_text(1), "a reset of the GPU (recovery action 1)");
	cr_expect_str_eq(gpus_action_text(99), "a recovery action that is not known here");
}

/* descriptors_test.c: clients' limits follow from the limit of descriptors. */
#include "descriptors.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/resource.h>

#include "base/log.h"
#include "config.h"

/* Of each worker. */
#define SEGMENTS 9
#define NEEDED	 (40 + 4 * (8 + SEGMENTS))

static struct config config;
static struct pool_place places[] = {{"cpu:0", 3}, {"cpu:1", 1}};

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	config = (struct config){.pool = {.places = places,
					 .n_places = 2,
					 .output_arena_bytes = 1 << 26,
					 .output_segment_bytes = 1 << 26}};
	cr_assert_eq(pool_output_segments(&config.pool), SEGMENTS);
	config.frontend.http2.max_connections = 10000;
	config.handoff.max_connections = 1000;
	config.handoff.max_regions = 5000;
	config.frontend.services.max_shm_regions = 500;
}

TestSuite(descriptors, .init = setup);

Test(descriptors, enough_for_all)
{
	cr_assert_eq(descriptors_share(&config, 1 << 20), 0);
	cr_expect_eq(config.frontend.http2.max_connections, 10000);
	cr_expect_eq(config.handoff.max_connections, 1000);
	cr_expect_eq(config.handoff.max_regions, 5000);
	cr_expect_eq(config.frontend.services.max_shm_regions, 500);
}

/* However unlike what others want. */
Test(descriptors, what_fits_is_not_lowered)
{
	const uint32_t all = NEEDED + 10000 + 1000 + 5000 + 500;

	cr_assert_eq(descriptors_share(&config, all), 0);
	cr_expect_eq(config.frontend.http2.max_connections, 10000);
	cr_expect_eq(config.handoff.max_connections, 1000);
	cr_expect_eq(config.handoff.max_regions, 5000);
	cr_expect_eq(config.frontend.services.max_shm_regions, 500);
	cr_assert_eq(descriptors_share(&config, all - 1), 0);
	/* Those that want most, and no more than has to be. */
	cr_expect_eq(config.frontend.http2.max_connections, 9999);
	cr_expect_eq(config.handoff.max_regions, 4999);
	cr_expect_eq(config.handoff.max_connections, 1000);
	cr_expect_eq(config.frontend.services.max_shm_regions, 500);
}

Test(descriptors, shares_and_a_rest)
{
	const uint32_t limit = 1024;

	cr_assert_eq(descriptors_share(&config, limit), 0);
	cr_expect_gt(config.frontend.http2.max_connections, 300);
	cr_expect_gt(config.handoff.max_connections, 50);
	cr_expect_gt(config.handoff.max_regions, 100);
	/* Whoever takes all of it: the workers' own is left. */
	cr_expect_leq(config.frontend.http2.max_connections + config.handoff.max_connections +
			      config.handoff.max_regions + config.frontend.services.max_shm_regions,
		limit - NEEDED);
}

Test(descriptors, workers_of_models_own)
{
	config.pool.max_model_workers = 32;
	cr_assert_eq(descriptors_share(&config, 1 << 20), 0);
	cr_expect_eq(config.pool.max_model_workers, 32);
	cr_assert_eq(descriptors_share(&config, 512), 0);
	cr_expect_eq(config.pool.max_model_workers, (512 - NEEDED) / 2 / (8 + SEGMENTS));
	cr_expect_leq(config.frontend.http2.max_connections + config.handoff.max_connections +
			      config.handoff.max_regions,
		512 - NEEDED - config.pool.max_model_workers * (8 + SEGMENTS));
	cr_expect_gt(config.frontend.http2.max_connections, 0);
}

Test(descriptors, too_few)
{
	cr_assert_eq(descriptors_share(&config, 64), -EMFILE);
	cr_assert_eq(descriptors_share(&config, NEEDED + 15), -EMFILE);
	cr_assert_eq(descriptors_share(&config, NEEDED + 16), 0);
	cr_expect_gt(config.handoff.max_connections, 0);
	cr_expect_gt(config.handoff.max_regions, 0);
}

Test(descriptors, soft_limit_becomes_the_hard_one)
{
	struct rlimit limit = {100, 500};

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(descriptors_raise(), 500);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(limit.rlim_cur, 500);
	cr_expect_eq(descriptors_raise(), 500);
}

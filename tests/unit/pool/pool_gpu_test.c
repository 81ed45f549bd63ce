/* pool_gpu_test.c: which device of a pool somebody means; those that only the driver can tell: gpus_test.c. */
#include <criterion/criterion.h>

#include "pool/pool.h"
#include "pool/pool_private.h"

#define UUID "0000000a-0000-4000-8000-00000000000b"

Test(pool_gpu, by_its_number_or_its_uuid)
{
	const char *devices[] = {"cpu:0", "cuda:1", "cuda:GPU-" UUID};
	struct pool p = {.devices = devices, .n_devices = 3};

	cr_expect_eq(pool_find_gpu(&p, "1"), devices[1]);
	cr_expect_eq(pool_find_gpu(&p, "GPU-" UUID), devices[2]);
	cr_expect_eq(pool_find_gpu(&p, "MIG-" UUID), devices[2]);
	cr_expect_null(pool_find_gpu(&p, "0"));
	cr_expect_null(pool_find_gpu(&p, ""));
	cr_expect_null(pool_find_gpu(&p, "cuda:1"));
	cr_expect_null(pool_find_gpu(&p, "GPU-" UUID "0"));
}

Test(pool_gpu, what_is_no_name)
{
	const char *devices[] = {"cuda:1"};
	struct pool p = {.devices = devices, .n_devices = 1};
	char text[200];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i + 1 < sizeof(text) ? '1' : '\0';
	cr_expect_null(pool_find_gpu(&p, text));
	cr_expect_null(pool_find_gpu(&p, "-1"));
	cr_expect_null(pool_find_gpu(&p, "1 "));
}

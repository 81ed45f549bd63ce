/* gpus_test.c: starting and ending; what is seen of GPUs is in the system tests (test_gpu.py). */
#include "pool/gpus.h"

#include <criterion/criterion.h>

Test(gpus, starts_and_ends_without_waiting)
{
	struct nvml_gpu list[2];
	struct gpus *g;

	cr_assert_eq(gpus_new(&g), 0);
	(void)gpus_read(g, list, 2);
	(void)gpus_read(g, NULL, 0);
	cr_assert_null(gpus_free(g));
	cr_assert_null(gpus_free(NULL));
	cr_assert_eq(gpus_read(NULL, list, 2), 0);
}

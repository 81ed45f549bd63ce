/* device_cuda_driver_test.c: the driver's entry points are found by their names. */
#include <criterion/criterion.h>
#include <cuda.h>

#include "workers/device_cuda_private.h"

Test(device_cuda_driver, by_name)
{
	__typeof__(&cuMemMap) map = NULL;

	cr_expect_not(cuda_driver_find("cuMemMapNothing", &map));
	cr_assert_null(map);
	cr_assert(cuda_driver_find("cuMemMap", &map));
	cr_assert_eq(map, cuMemMap);
}

/* device_cuda_driver_test.c: the driver's entry points are found by their names. */
#include <criterion/criterion.h>
#include <cuda.h>

#include "workers/device_cuda_private.h"

Test(device_cuda_driver, by_name)
{
	cr_assert_eq(cuda_driver_symbol("cuMemMap"), (void *)cuMemMap);
	cr_assert_null(cuda_driver_symbol("cuMemMapNothing"));
}

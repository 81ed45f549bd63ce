/* device_name_test.c: which names are GPUs', and which are UUIDs. */
#include "base/device_name.h"

#include <criterion/criterion.h>
#include <string.h>

Test(device_name, what_a_gpu_is_called_behind_its_kind)
{
	cr_expect_str_eq(device_name_gpu("cuda:0"), "0");
	cr_expect_str_eq(device_name_gpu("cuda:GPU-1a"), "GPU-1a");
	cr_expect_str_eq(device_name_gpu("cuda:1 x2"), "1 x2");
	cr_expect_str_eq(device_name_gpu("cuda:"), "");
	cr_expect_null(device_name_gpu("cuda"));
	cr_expect_null(device_name_gpu("cpu:0"));
	cr_expect_null(device_name_gpu("CUDA:0"));
	cr_expect_null(device_name_gpu(""));
}

Test(device_name, uuids_as_the_driver_prints_them)
{
	char longest[4 + 59 + 2] = "GPU-";

	cr_expect(device_name_is_uuid("GPU-f1b2c3d4-0000-1111-2222-333344445555"));
	cr_expect(device_name_is_uuid("MIG-f1b2c3d4-0000-1111-2222-333344445555"));
	cr_expect_not(device_name_is_uuid("MIG-GPU-f1b2c3d4/1/0"));
	cr_expect(device_name_is_uuid("MIG-f1b2c3d4/1/0"));
	cr_expect_not(device_name_is_uuid("GPU-"));
	cr_expect_not(device_name_is_uuid("GPU-12 "));
	cr_expect_not(device_name_is_uuid("gpu-12"));
	cr_expect_not(device_name_is_uuid("0"));
	cr_expect_not(device_name_is_uuid(""));
	memset(longest + 4, 'a', 59);
	cr_expect(device_name_is_uuid(longest));
	longest[4 + 59] = 'a';
	cr_expect_not(device_name_is_uuid(longest));
}

/* device_open_test.c: names of devices, and what a name opens. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/fakecuda/fakecuda.h"
#include "workers/device.h"

Test(device_open, names)
{
	static const char *const malformed[] = {"", "cpu", "cpu:", ":0", "cpu:x", "cpu:0x",
		"cpu:01", "cpu:-1", "cpu:99999", "cpu:0/1", "cuda:GPU-", "cuda:GPU-g", "cuda:gpu-1",
		"cpu:GPU-1", "cuda:all"};
	static const char *const absent[] = {"tpu:1", "cpux:0"};
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		cr_assert_eq(device_open(&d, malformed[i], text), -EINVAL, "%s", malformed[i]);
		cr_assert(strstr(text, "cuda:GPU-uuid"));
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		cr_assert_eq(device_open(&d, absent[i], text), -ENODEV, "%s", absent[i]);
		cr_assert(strstr(text, "cpu:N"));
	}
	cr_assert_null(d);
	cr_assert_eq(device_open(&d, "cpu:12", text), 0);
	cr_assert_str_empty(text);
	cr_assert_str_eq(d->ops->kind, "cpu");
	cr_assert(device_is_host(d));
	device_free(d);
	cr_assert_null(device_free(NULL));
}

Test(device_open, a_gpu_by_number_or_uuid)
{
	static const char *const names[] = {"cuda:0", "cuda:12",
		"cuda:GPU-00000001-0000-4000-8000-000000000001", "cuda:MIG-1/2/3"};
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_assert_eq(device_open(&d, names[i], text), 0, "%s", names[i]);
		cr_assert_str_eq(d->ops->kind, "cuda");
		cr_assert_not(device_is_host(d));
		device_free(d);
	}
}

Test(device_open, a_gpu_that_is_not_there)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	fakecuda_reset("devices=0");
	cr_assert_eq(device_open(&d, "cuda:0", text), -ENODEV);
	cr_assert(strstr(text, "no such GPU"), "%s", text);
	fakecuda_reset("driver=0");
	cr_assert_eq(device_open(&d, "cuda:0", text), -ENODEV);
	cr_assert(strstr(text, "no CUDA driver"), "%s", text);
	cr_assert_null(d);
}

/* device_test.c: names of devices, and the host as one. */
#include "workers/device.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(device, names)
{
	static const char *const malformed[] = {"", "cpu", "cpu:", ":0", "cpu:x", "cpu:0x",
		"cpu:01", "cpu:-1", "cpu:99999", "cpu:0/1"};
	static const char *const absent[] = {"cuda:0", "tpu:1", "cpux:0"};
	struct device *d = NULL;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		cr_assert_eq(device_open(&d, malformed[i]), -EINVAL, "%s", malformed[i]);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		cr_assert_eq(device_open(&d, absent[i]), -ENODEV, "%s", absent[i]);
	cr_assert_null(d);
	cr_assert_eq(device_open(&d, "cpu:12"), 0);
	cr_assert_str_eq(d->ops->kind, "cpu");
	device_free(d);
	cr_assert_null(device_free(NULL));
}

Test(device, the_host_copies_and_needs_no_pinning)
{
	char from[] = "data", to[sizeof(from)] = "";
	struct device_memory memory;
	struct device *d;

	cr_assert_eq(device_open(&d, "cpu:0"), 0);
	cr_assert_eq(d->ops->pin(d, from, sizeof(from), 1), 0);
	cr_assert_eq(d->ops->copy(d, to, from, sizeof(from)), 0);
	cr_assert_str_eq(to, "data");
	cr_assert_eq(d->ops->copy(d, NULL, NULL, 0), 0);
	d->ops->unpin(d, from);
	cr_assert_eq(d->ops->memory(d, &memory), 0);
	cr_assert_gt(memory.total_bytes, memory.free_bytes);
	device_free(d);
}

static int work(void *arg)
{
	struct device *d;
	int r = device_open(&d, "cpu:0");

	if (!r)
		device_free(d);
	return r;
}

Test(device, faults)
{
	FAULT_LOOP(work, NULL);
}

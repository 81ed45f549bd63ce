/* nvml_test.c: figures of GPUs, with a stand-in for the driver's library. */
#include "base/nvml.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"
#include "tests/support/fake_driver.h"

Test(nvml, all_figures)
{
	struct nvml_gpu g;
	struct nvml *n;

	fake_driver_load("devices=2");
	cr_assert_eq(nvml_open(&n), 0);
	cr_assert_eq(nvml_count(n), 2);
	cr_assert(nvml_read(n, 1, &g));
	cr_assert_str_eq(g.name, "Stand-in GPU");
	cr_assert_str_eq(g.uuid, "GPU-00000002-0000-4000-8000-000000000002");
	cr_assert_str_eq(g.bus, "00000000:02:00.0");
	cr_assert_eq(g.busy_percent, 41);
	cr_assert_eq(g.memory_busy_percent, 20);
	cr_assert_eq(g.memory_total_bytes, INT64_C(80) << 30);
	cr_assert_eq(g.memory_used_bytes, INT64_C(1) << 30);
	cr_assert_eq(g.power_mw, 123456);
	cr_assert_eq(g.power_limit_mw, 700000);
	cr_assert_eq(g.energy_mj, INT64_C(1) << 40);
	cr_assert_eq(g.temperature_c, 34);
	cr_assert_eq(g.sm_clock_mhz, 1980);
	cr_assert_eq(g.memory_clock_mhz, 2619);
	cr_assert_eq(g.ecc_uncorrected, 3);
	cr_assert_eq(g.recovery_action, 0);
	cr_assert_eq(g.last_xid, NVML_UNKNOWN);
	cr_assert_null(nvml_close(n));
	cr_assert_null(nvml_close(NULL));
}

Test(nvml, what_is_not_supported_is_not_known)
{
	struct nvml_gpu g;
	struct nvml *n;

	fake_driver_load("old=1");
	cr_assert_eq(nvml_open(&n), 0);
	cr_assert_not(nvml_read(n, 0, &g));
	cr_assert_str_eq(g.name, "Stand-in GPU");
	cr_assert_eq(g.busy_percent, NVML_UNKNOWN);
	cr_assert_eq(g.memory_total_bytes, NVML_UNKNOWN);
	cr_assert_eq(g.power_mw, NVML_UNKNOWN);
	cr_assert_eq(g.power_limit_mw, NVML_UNKNOWN);
	cr_assert_eq(g.temperature_c, NVML_UNKNOWN);
	cr_assert_eq(g.ecc_uncorrected, NVML_UNKNOWN);
	cr_assert_eq(g.recovery_action, NVML_UNKNOWN);
	nvml_close(n);
}

Test(nvml, a_critical_error_is_kept)
{
	struct nvml_gpu g;
	struct nvml *n;

	fake_driver_load("devices=2 xid=79 recovery=1");
	cr_assert_eq(nvml_open(&n), 0);
	cr_assert(nvml_read(n, 1, &g));
	cr_assert_eq(g.last_xid, NVML_UNKNOWN, "it was the other one's");
	cr_assert_eq(g.xid_errors, 0);
	cr_assert(nvml_read(n, 0, &g));
	cr_assert_eq(g.last_xid, 79);
	cr_assert_eq(g.xid_errors, 1);
	cr_assert_eq(g.recovery_action, 1);
	cr_assert(nvml_read(n, 0, &g));
	cr_assert_eq(g.last_xid, 79);
	cr_assert_eq(g.xid_errors, 1);
	nvml_close(n);
}

Test(nvml, what_a_gpu_is_divided_into)
{
	struct nvml_instances s;
	struct nvml *n;

	fake_driver_load("devices=2 mig=1");
	cr_assert_eq(nvml_open(&n), 0);
	nvml_read_instances(n, 0, &s);
	cr_expect(!s.on && s.n == 0);
	nvml_read_instances(n, 1, &s);
	cr_assert(s.on && s.n == 2);
	cr_expect_str_eq(s.uuids[0], "MIG-00000002-0000-5000-8000-000000000001");
	cr_expect_str_eq(s.uuids[1], "MIG-00000002-0000-5000-8000-000000000003");
	setenv("FAKENVML", "devices=2 mig=1 instances=0", 1);
	nvml_read_instances(n, 1, &s);
	cr_expect(s.on && s.n == 0);
	setenv("FAKENVML", "devices=2 mig=1 lost=1", 1);
	nvml_read_instances(n, 1, &s);
	cr_expect(!s.on && s.n == 0, "it is gone");
	setenv("FAKENVML", "devices=2", 1);
	nvml_read_instances(n, 1, &s);
	cr_expect(!s.on && s.n == 0, "none can be");
	nvml_close(n);
}

Test(nvml, no_driver)
{
	struct nvml *n = NULL;

	if (dlopen("libnvidia-ml.so.1", RTLD_NOW))
		return;
	cr_assert_eq(nvml_open(&n), -ENOENT);
	fake_driver_load("init=9");
	cr_assert_eq(nvml_open(&n), -ENODEV);
	cr_assert_null(n);
}

static int work(void *arg)
{
	struct nvml *n;
	int r = nvml_open(&n);

	if (!r)
		nvml_close(n);
	return r;
}

Test(nvml, faults)
{
	fake_driver_load("devices=64");
	FAULT_LOOP(work, NULL);
}

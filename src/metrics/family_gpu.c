/* family_gpu.c: metrics of GPUs that Triton has none of; those that it has are in family_triton.c. */
#include <stddef.h>

#include "base/nvml.h"
#include "metrics/family.h"

#define HZ_PER_MHZ 1000000u

static uint64_t known(int64_t figure)
{
	return figure < 0 ? FAMILY_ABSENT : (uint64_t)figure;
}

static uint64_t hertz(int64_t mhz)
{
	return mhz < 0 ? FAMILY_ABSENT : (uint64_t)mhz * HZ_PER_MHZ;
}

static uint64_t memory_busy(const struct subject *s)
{
	return known(s->gpu->memory_busy_percent);
}

static uint64_t temperature(const struct subject *s)
{
	return known(s->gpu->temperature_c);
}

static uint64_t sm_clock(const struct subject *s)
{
	return hertz(s->gpu->sm_clock_mhz);
}

static uint64_t memory_clock(const struct subject *s)
{
	return hertz(s->gpu->memory_clock_mhz);
}

static uint64_t ecc(const struct subject *s)
{
	return known(s->gpu->ecc_uncorrected);
}

static uint64_t xid_errors(const struct subject *s)
{
	return s->gpu->xid_errors;
}

static uint64_t last_xid(const struct subject *s)
{
	return known(s->gpu->last_xid);
}

static uint64_t recovery_action(const struct subject *s)
{
	return known(s->gpu->recovery_action);
}

const struct family gpu_families[] = {
	{"modeld_gpu_memory_utilization", "gauge",
		"Part of the time in which its memory was read or written, 0 to 1", OF_GPU,
		.value = memory_busy, .unit = TEXT_CENTI},
	{"modeld_gpu_temperature_celsius", "gauge", "Temperature of the GPU", OF_GPU,
		.value = temperature},
	{"modeld_gpu_sm_clock_hertz", "gauge", "Clock of its processors", OF_GPU,
		.value = sm_clock},
	{"modeld_gpu_memory_clock_hertz", "gauge", "Clock of its memory", OF_GPU,
		.value = memory_clock},
	{"modeld_gpu_ecc_uncorrected_total", "counter",
		"Errors of its memory that could not be corrected, since the driver was loaded",
		OF_GPU, .value = ecc},
	{"modeld_gpu_xid_errors_total", "counter",
		"Critical errors (Xid) that the driver has reported since the daemon started",
		OF_GPU, .value = xid_errors},
	{"modeld_gpu_last_xid", "gauge", "The number of the last of them", OF_GPU,
		.value = last_xid},
	{"modeld_gpu_recovery_action", "gauge",
		"What has to be done before it can be used again: 0 nothing, 1 reset it, 2 reboot, "
		"3 drain, 4 drain and reset",
		OF_GPU, .value = recovery_action},
	{.name = NULL},
};

/*
 * probe_attributes.c: what the device and the driver say of themselves.
 */
#include <stdio.h>

#include "tests/gpu/probe_cuda.h"

/* By the driver: the runtime has no name for 103. */
static const struct attribute {
	CUdevice_attribute id;
	const char *what;
} attributes[] = {
	{CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, "attribute 88, pageable memory access"},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
		"attribute 91, device pointer of registered memory = host pointer"},
	{CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, "attribute 99, memory can be registered"},
	{CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
		"attribute 100, pageable memory access by the host's page tables"},
	{CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
		"attribute 103, device memory can be exported as a descriptor"},
	{CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
		"attribute 113, memory can be registered read-only"},
};

static void report_attributes(void)
{
	struct driver d;
	CUdevice device;
	int value;

	if (!driver_open(&d) || driver_refused(&d, "cuDeviceGet", d.device_get(&device, 0)))
		return;
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		const struct attribute *a = &attributes[i];

		if (!driver_refused(&d, a->what, d.device_get_attribute(&value, a->id, device)))
			report_value(a->what, value, "", NULL);
	}
}

static void report_version(const char *what, cudaError_t (*get)(int *ret_version))
{
	char text[32];
	int version = 0;

	if (refused(what, get(&version)))
		return;
	snprintf(text, sizeof(text), "%d.%d", version / 1000, version % 1000 / 10);
	report_text(what, text, NULL);
}

static void report_device(void)
{
	struct cudaDeviceProp p;
	char text[96];

	if (refused("cudaGetDeviceProperties", cudaGetDeviceProperties(&p, 0)))
		return;
	snprintf(text, sizeof(text), "%.60s, compute capability %d.%d", p.name, p.major, p.minor);
	report_text("device 0", text, NULL);
	report_value("memory", (double)p.totalGlobalMem / (double)MIB, "MiB", NULL);
}

void answer_attributes(const struct task *task)
{
	int n = 0;

	if (refused("cudaGetDeviceCount", cudaGetDeviceCount(&n)))
		return;
	if (n == 0) {
		report_text("cudaGetDeviceCount", "0", NULL);
		return;
	}
	report_mark("device", n, 0, -1);
	report_device();
	report_version("the driver's CUDA", cudaDriverGetVersion);
	report_version("runtime", cudaRuntimeGetVersion);
	report_attributes();
}

bool ask_attributes(struct table *t)
{
	struct task task = {.name = "attributes", .label = "attributes", .limit_s = 60};
	struct row mark;

	return child_ask_mark(t, &task, "device", &mark);
}

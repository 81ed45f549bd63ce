/*
 * probe_nvml.c: what NVML tells a daemon that has no context: the recovery action, which
 * processors are near the GPU, how busy it is. The library is opened at run time, and its few types
 * are declared here: toolkits come without its header.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "tests/gpu/probe_cuda.h"

#define FIELD_RECOVERY_ACTION 230
#define VALUE_UNSIGNED_INT    1
#define CPU_WORDS	      16
#define WORD_BITS	      (8 * sizeof(unsigned long))
#define PCI_BUS_ID_BYTES      32
#define DRIVER_VERSION_BYTES  80

struct nvml_field {
	unsigned field;
	unsigned scope;
	long long timestamp;
	long long latency_us;
	int type;
	int result;
	union {
		double d;
		unsigned u;
		unsigned long long ull;
	} value;
};

struct nvml_utilization {
	unsigned gpu;	 /* per cent of time */
	unsigned memory; /* per cent of time */
};

struct nvml {
	void *library; /* own */
	void *device;  /* borrow: of the library */
	const char *(*error_string)(int result);
	int (*init)(void);
	int (*driver_version)(char *version, unsigned bytes);
	int (*by_pci_bus_id)(const char *id, void **ret_device);
	int (*field_values)(void *device, int n, struct nvml_field *fields);
	int (*cpu_affinity)(void *device, unsigned n, unsigned long *set);
	int (*utilization)(void *device, struct nvml_utilization *rates);
};

static bool find(const struct nvml *n, const char *name, void *ret_function)
{
	void *found = dlsym(n->library, name);

	if (!found)
		report_refused(name, "not in this library");
	else
		memcpy(ret_function, &found, sizeof(found));
	return found != NULL;
}

static bool load(struct nvml *n)
{
	n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!n->library) {
		report_refused("libnvidia-ml.so.1", "cannot be loaded");
		return false;
	}
	return find(n, "nvmlErrorString", &n->error_string) && find(n, "nvmlInit_v2", &n->init) &&
	       find(n, "nvmlSystemGetDriverVersion", &n->driver_version) &&
	       find(n, "nvmlDeviceGetHandleByPciBusId_v2", &n->by_pci_bus_id) &&
	       find(n, "nvmlDeviceGetFieldValues", &n->field_values) &&
	       find(n, "nvmlDeviceGetCpuAffinity", &n->cpu_affinity) &&
	       find(n, "nvmlDeviceGetUtilizationRates", &n->utilization);
}

static bool nvml_refused(const struct nvml *n, const char *what, int result)
{
	if (result)
		report_refused(what, n->error_string(result));
	return result != 0;
}

static void report_recovery(const struct nvml *n)
{
	static const char what[] = "field 230, recovery action";
	static const char *const actions[] = {
		"none", "reset the GPU", "reboot the node", "drain peers", "drain and reset"};
	struct nvml_field f = {.field = FIELD_RECOVERY_ACTION};

	if (nvml_refused(n, what, n->field_values(n->device, 1, &f)) ||
		nvml_refused(n, what, f.result))
		return;
	if (f.type != VALUE_UNSIGNED_INT)
		report_value(what, f.type, "", "of an unexpected type: this is the type");
	else
		report_value(what, f.value.u, "",
			f.value.u < sizeof(actions) / sizeof(actions[0]) ? actions[f.value.u]
									 : "unknown");
}

static bool is_near(const unsigned long *set, size_t cpu)
{
	return cpu < CPU_WORDS * WORD_BITS && set[cpu / WORD_BITS] >> cpu % WORD_BITS & 1;
}

static void report_affinity(const struct nvml *n)
{
	unsigned long set[CPU_WORDS] = {0};
	char text[96] = "";
	size_t at = 0;

	if (nvml_refused(n, "processors near the GPU", n->cpu_affinity(n->device, CPU_WORDS, set)))
		return;
	for (size_t cpu = 0; cpu < CPU_WORDS * WORD_BITS && at < sizeof(text); cpu++) {
		size_t first = cpu;

		if (!is_near(set, cpu))
			continue;
		while (is_near(set, cpu + 1))
			cpu++;
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "%s%zu-%zu", at ? "," : "", first, cpu);
	}
	report_text("processors near the GPU", text, NULL);
}

static void report_utilization(const struct nvml *n)
{
	struct nvml_utilization u;

	if (nvml_refused(n, "utilisation", n->utilization(n->device, &u)))
		return;
	report_value("utilisation, GPU", u.gpu, "%", NULL);
	report_value("utilisation, memory", u.memory, "%", NULL);
}

void answer_nvml(const struct task *task)
{
	struct nvml n = {0};
	char id[PCI_BUS_ID_BYTES];
	char version[DRIVER_VERSION_BYTES] = "";

	if (refused("cudaDeviceGetPCIBusId", cudaDeviceGetPCIBusId(id, sizeof(id), 0)) ||
		!load(&n) || nvml_refused(&n, "nvmlInit", n.init()))
		return;
	if (!nvml_refused(&n, "driver version", n.driver_version(version, sizeof(version))))
		report_text("driver version", version, NULL);
	if (nvml_refused(&n, "device", n.by_pci_bus_id(id, &n.device)))
		return;
	report_recovery(&n);
	report_affinity(&n);
	report_utilization(&n);
}

void ask_nvml(struct table *t)
{
	struct task task = {.name = "nvml", .label = "NVML", .limit_s = 60};

	child_ask(t, &task, -1);
}

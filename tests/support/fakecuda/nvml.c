/*
 * nvml.c: a stand-in for the driver's management library. The environment variable FAKENVML says what
 * it is, words separated by spaces: devices=N (1), init=CODE (0), old=1 (figures are not supported),
 * lost=N (GPU N answers nothing any more), xid=N (one critical error of GPU 0), recovery=N (what all GPUs
 * ask for), recovery_from=PATH (the same, read there each time it is asked; 0 where there is no such file),
 * mig=N (GPU N is divided, into) instances=N (2; each second place is empty).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT	      __attribute__((visibility("default")))
#define NOT_SUPPORTED 3
#define GPU_IS_LOST   15
#define TIMEOUT	      10
#define NOT_FOUND     6
#define PLACES	      7u
#define INSTANCES     0x100u /* handles from here on are theirs */

struct pci {
	char legacy_bus[16];
	unsigned domain, bus, device, ids, subsystem;
	char bus_id[32];
};

struct field {
	unsigned field, scope;
	long long timestamp, latency_us;
	int type, result;
	union {
		double d;
		unsigned u;
	} value;
};

struct event {
	void *device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};

static bool xid_told;

static unsigned setting(const char *key, unsigned otherwise)
{
	const char *all = getenv("FAKENVML");
	const char *at = all ? strstr(all, key) : NULL;

	return at ? (unsigned)strtoul(at + strlen(key), NULL, 10) : otherwise;
}

static unsigned number(const void *device)
{
	return (unsigned)((const char *)device - (const char *)&xid_told);
}

/* What a call about a device returns. */
static int about(const void *device)
{
	if (setting("lost=", 99) == number(device))
		return GPU_IS_LOST;
	return setting("old=", 0) ? NOT_SUPPORTED : 0;
}

static unsigned gpu_of(unsigned instance)
{
	return instance / INSTANCES - 1;
}

static bool is_divided(unsigned gpu)
{
	return setting("mig=", 99) == gpu;
}

static unsigned recovery(void)
{
	const char *all = getenv("FAKENVML");
	const char *at = all ? strstr(all, "recovery_from=") : NULL;
	char path[256];
	unsigned action = 0;
	FILE *f;

	if (!at || sscanf(at, "recovery_from=%255s", path) != 1)
		return setting("recovery=", 0);
	f = fopen(path, "re");
	if (f && fscanf(f, "%u", &action) != 1)
		action = 0;
	if (f)
		fclose(f);
	return action;
}

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetCount_v2(unsigned *n);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device);
EXPORT int nvmlDeviceGetName(void *device, char *text, unsigned cap);
EXPORT int nvmlDeviceGetUUID(void *device, char *text, unsigned cap);
EXPORT int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci);
EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory);
EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *mw);
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj);
EXPORT int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *c);
EXPORT int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz);
EXPORT int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *n);
EXPORT int nvmlDeviceGetFieldValues(void *device, int n, struct field *fields);
EXPORT int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later);
EXPORT int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *n);
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned i, void **instance);
EXPORT int nvmlEventSetCreate(void **set);
EXPORT int nvmlEventSetFree(void *set);
EXPORT int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set);
EXPORT int nvmlEventSetWait_v2(void *set, struct event *event, unsigned timeout_ms);

int nvmlInit_v2(void)
{
	return (int)setting("init=", 0);
}

int nvmlShutdown(void)
{
	return 0;
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
	*n = setting("devices=", 1);
	return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device)
{
	*device = (char *)&xid_told + i;
	return 0;
}

int nvmlDeviceGetName(void *device, char *text, unsigned cap)
{
	snprintf(text, cap, "Stand-in GPU");
	return 0;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned cap)
{
	unsigned n = number(device);

	if (n >= INSTANCES)
		snprintf(text, cap, "MIG-%08x-0000-5000-8000-%012x", gpu_of(n) + 1, n % INSTANCES);
	else
		snprintf(text, cap, "GPU-%08x-0000-4000-8000-%012x", n + 1, n + 1);
	return 0;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci)
{
	snprintf(pci->bus_id, sizeof(pci->bus_id), "00000000:%02X:00.0", number(device) + 1);
	return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates)
{
	rates[0] = 40 + number(device);
	rates[1] = 20;
	return about(device);
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory)
{
	memory[0] = 80ull << 30;
	memory[1] = 79ull << 30;
	memory[2] = 1ull << 30;
	return about(device);
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
{
	*mw = 123456;
	return about(device);
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw)
{
	*mw = 700000;
	return about(device);
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj)
{
	*mj = 1ull << 40;
	return about(device);
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *c)
{
	*c = 34;
	return about(device);
}

int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz)
{
	*mhz = type == 1 ? 1980 : 2619;
	return about(device);
}

int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *n)
{
	*n = 3;
	return about(device);
}

int nvmlDeviceGetFieldValues(void *device, int n, struct field *fields)
{
	fields[0].result = about(device);
	fields[0].type = 1;
	fields[0].value.u = recovery();
	return about(device);
}

int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later)
{
	*now = *later = is_divided(number(device));
	return setting("mig=", 99) == 99 ? NOT_SUPPORTED : about(device);
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *n)
{
	*n = is_divided(number(device)) ? PLACES : 0;
	return about(device);
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned i, void **instance)
{
	if (!is_divided(number(device)) || i % 2 == 0 || i / 2 >= setting("instances=", 2))
		return NOT_FOUND;
	*instance = (char *)&xid_told + (number(device) + 1) * INSTANCES + i;
	return about(device);
}

int nvmlEventSetCreate(void **set)
{
	*set = &xid_told;
	return about(NULL);
}

int nvmlEventSetFree(void *set)
{
	return 0;
}

int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set)
{
	return 0;
}

int nvmlEventSetWait_v2(void *set, struct event *event, unsigned timeout_ms)
{
	unsigned xid = setting("xid=", 0);

	if (xid == 0 || xid_told)
		return TIMEOUT;
	xid_told = true;
	*event = (struct event){.device = &xid_told, .type = 8, .data = xid};
	return 0;
}

/*
 * nvml.c: libnvidia-ml.so.1 by dlopen. Its few types are declared here: toolkits come without its
 * header, and it may change only by new names. What a GPU or a driver does not have is left out.
 */
#include "base/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY		      "libnvidia-ml.so.1"
#define SUCCESS		      0
#define CLOCK_SM	      1
#define CLOCK_MEMORY	      2
#define SENSOR_GPU	      0
#define ECC_UNCORRECTED	      1
#define ECC_SINCE_LOAD	      0
#define FIELD_RECOVERY_ACTION 230
#define VALUE_UNSIGNED_INT    1
#define EVENT_XID	      UINT64_C(8)
#define MIG_ON		      1u

struct utilization {
	unsigned gpu, memory;
};

struct memory {
	unsigned long long total, unused, used;
};

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
		unsigned long long ull;
	} value;
};

struct event {
	void *device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};

/* Those that may be missing are NULL then. */
struct functions {
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *n);
	int (*by_index)(unsigned i, void **device);
	int (*name)(void *device, char *text, unsigned cap);
	int (*uuid)(void *device, char *text, unsigned cap);
	int (*pci)(void *device, struct pci *pci);
	int (*utilization)(void *device, struct utilization *u);
	int (*memory)(void *device, struct memory *m);
	int (*power)(void *device, unsigned *mw);
	int (*power_limit)(void *device, unsigned *mw);
	int (*energy)(void *device, unsigned long long *mj);
	int (*temperature)(void *device, int sensor, unsigned *c);
	int (*clock)(void *device, int type, unsigned *mhz);
	int (*ecc)(void *device, int type, int counter, unsigned long long *n);
	int (*fields)(void *device, int n, struct field *fields);
	int (*mig_mode)(void *device, unsigned *now, unsigned *later);
	int (*mig_places)(void *device, unsigned *n);
	int (*mig_at)(void *device, unsigned i, void **instance);
	int (*event_set_new)(void **set);
	int (*event_set_free)(void *set);
	int (*event_register)(void *device, unsigned long long types, void *set);
	int (*event_wait)(void *set, struct event *event, unsigned timeout_ms);
};

struct nvml {
	void *library; /* own */
	struct functions f;
	void *events; /* own: of the library; NULL: it has none */
	size_t n;
	struct {
		void *device;	     /* borrow: of the library */
		struct nvml_gpu gpu; /* which it is, and its last Xid */
	} items[NVML_GPUS_MAX];
};

static const struct {
	const char *name;
	size_t at;
	bool needed;
} names[] = {
	{"nvmlInit_v2", offsetof(struct functions, init), true},
	{"nvmlShutdown", offsetof(struct functions, shutdown), true},
	{"nvmlDeviceGetCount_v2", offsetof(struct functions, count), true},
	{"nvmlDeviceGetHandleByIndex_v2", offsetof(struct functions, by_index), true},
	{"nvmlDeviceGetName", offsetof(struct functions, name), true},
	{"nvmlDeviceGetUUID", offsetof(struct functions, uuid), true},
	{"nvmlDeviceGetPciInfo_v3", offsetof(struct functions, pci), false},
	{"nvmlDeviceGetUtilizationRates", offsetof(struct functions, utilization), false},
	{"nvmlDeviceGetMemoryInfo", offsetof(struct functions, memory), false},
	{"nvmlDeviceGetPowerUsage", offsetof(struct functions, power), false},
	{"nvmlDeviceGetEnforcedPowerLimit", offsetof(struct functions, power_limit), false},
	{"nvmlDeviceGetTotalEnergyConsumption", offsetof(struct functions, energy), false},
	{"nvmlDeviceGetTemperature", offsetof(struct functions, temperature), false},
	{"nvmlDeviceGetClockInfo", offsetof(struct functions, clock), false},
	{"nvmlDeviceGetTotalEccErrors", offsetof(struct functions, ecc), false},
	{"nvmlDeviceGetFieldValues", offsetof(struct functions, fields), false},
	{"nvmlDeviceGetMigMode", offsetof(struct functions, mig_mode), false},
	{"nvmlDeviceGetMaxMigDeviceCount", offsetof(struct functions, mig_places), false},
	{"nvmlDeviceGetMigDeviceHandleByIndex", offsetof(struct functions, mig_at), false},
	{"nvmlEventSetCreate", offsetof(struct functions, event_set_new), false},
	{"nvmlEventSetFree", offsetof(struct functions, event_set_free), false},
	{"nvmlDeviceRegisterEvents", offsetof(struct functions, event_register), false},
	{"nvmlEventSetWait_v2", offsetof(struct functions, event_wait), false},
};

/* --- Opening ------------------------------------------------------------------------------ */

static bool find_functions(struct nvml *n)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *found = dlsym(n->library, names[i].name);

		if (!found && names[i].needed)
			return false;
		memcpy((char *)&n->f + names[i].at, &found, sizeof(found));
	}
	return true;
}

static void forget_figures(struct nvml_gpu *g)
{
	g->busy_percent = g->memory_busy_percent = NVML_UNKNOWN;
	g->memory_total_bytes = g->memory_used_bytes = NVML_UNKNOWN;
	g->power_mw = g->power_limit_mw = g->energy_mj = g->temperature_c = NVML_UNKNOWN;
	g->sm_clock_mhz = g->memory_clock_mhz = NVML_UNKNOWN;
	g->ecc_uncorrected = g->recovery_action = NVML_UNKNOWN;
}

static void add(struct nvml *n, unsigned index)
{
	struct nvml_gpu *g = &n->items[n->n].gpu;
	struct pci pci = {.bus_id = ""};
	void *device;

	if (n->f.by_index(index, &device) != SUCCESS)
		return;
	forget_figures(g);
	g->last_xid = NVML_UNKNOWN;
	if (n->f.name(device, g->name, sizeof(g->name)) != SUCCESS)
		g->name[0] = 0;
	if (n->f.uuid(device, g->uuid, sizeof(g->uuid)) != SUCCESS)
		g->uuid[0] = 0;
	if (n->f.pci && n->f.pci(device, &pci) == SUCCESS)
		snprintf(g->bus, sizeof(g->bus), "%.31s", pci.bus_id);
	if (n->events)
		(void)n->f.event_register(device, EVENT_XID, n->events);
	n->items[n->n++].device = device;
}

static void make_events(struct nvml *n)
{
	if (!n->f.event_set_new || !n->f.event_set_free || !n->f.event_register ||
		!n->f.event_wait || n->f.event_set_new(&n->events) != SUCCESS)
		n->events = NULL;
}

int nvml_open(struct nvml **ret_nvml)
{
	_cleanup_(nvml_closep) struct nvml *n = calloc(1, sizeof(*n));
	unsigned count = 0;

	if (!n)
		return -ENOMEM;
	n->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!n->library)
		return -ENOENT;
	if (!find_functions(n)) {
		n->f.shutdown = NULL;
		return -ENOTSUP;
	}
	if (n->f.init() != SUCCESS) {
		n->f.shutdown = NULL;
		return -ENODEV;
	}
	make_events(n);
	if (n->f.count(&count) != SUCCESS)
		return -ENODEV;
	for (unsigned i = 0; i < count && n->n < NVML_GPUS_MAX; i++)
		add(n, i);
	*ret_nvml = steal_ptr(n);
	return 0;
}

struct nvml *nvml_close(struct nvml *n)
{
	if (!n)
		return NULL;
	if (n->events)
		(void)n->f.event_set_free(n->events);
	if (n->f.shutdown)
		(void)n->f.shutdown();
	if (n->library)
		dlclose(n->library);
	free(n);
	return NULL;
}

size_t nvml_count(const struct nvml *n)
{
	return n->n;
}

/* --- Looking ------------------------------------------------------------------------------ */

static void add_xid(struct nvml_gpu *g, int64_t xid)
{
	g->last_xid = xid;
	g->xid_errors++;
}

/* The set's events are of all GPUs. */
static void take_events(struct nvml *n)
{
	struct event e;

	while (n->events && n->f.event_wait(n->events, &e, 0) == SUCCESS) {
		for (size_t i = 0; i < n->n; i++) {
			if (n->items[i].device == e.device && e.type == EVENT_XID)
				add_xid(&n->items[i].gpu, (int64_t)e.data);
		}
	}
}

static void read_use(const struct functions *f, void *device, struct nvml_gpu *g)
{
	struct utilization u;
	struct memory m;

	if (f->utilization && f->utilization(device, &u) == SUCCESS) {
		g->busy_percent = u.gpu;
		g->memory_busy_percent = u.memory;
	}
	if (f->memory && f->memory(device, &m) == SUCCESS) {
		g->memory_total_bytes = (int64_t)m.total;
		g->memory_used_bytes = (int64_t)m.used;
	}
}

static void read_body(const struct functions *f, void *device, struct nvml_gpu *g)
{
	unsigned long long mj;
	unsigned value;

	if (f->power && f->power(device, &value) == SUCCESS)
		g->power_mw = value;
	if (f->power_limit && f->power_limit(device, &value) == SUCCESS)
		g->power_limit_mw = value;
	if (f->energy && f->energy(device, &mj) == SUCCESS)
		g->energy_mj = (int64_t)mj;
	if (f->temperature && f->temperature(device, SENSOR_GPU, &value) == SUCCESS)
		g->temperature_c = value;
	if (f->clock && f->clock(device, CLOCK_SM, &value) == SUCCESS)
		g->sm_clock_mhz = value;
	if (f->clock && f->clock(device, CLOCK_MEMORY, &value) == SUCCESS)
		g->memory_clock_mhz = value;
}

static void read_health(const struct functions *f, void *device, struct nvml_gpu *g)
{
	struct field action = {.field = FIELD_RECOVERY_ACTION};
	unsigned long long n;

	if (f->ecc && f->ecc(device, ECC_UNCORRECTED, ECC_SINCE_LOAD, &n) == SUCCESS)
		g->ecc_uncorrected = (int64_t)n;
	if (f->fields && f->fields(device, 1, &action) == SUCCESS && action.result == SUCCESS &&
		action.type == VALUE_UNSIGNED_INT)
		g->recovery_action = action.value.u;
}

bool nvml_read(struct nvml *n, size_t i, struct nvml_gpu *ret_gpu)
{
	struct nvml_gpu *g = &n->items[i].gpu;

	take_events(n);
	forget_figures(g);
	read_use(&n->f, n->items[i].device, g);
	read_body(&n->f, n->items[i].device, g);
	read_health(&n->f, n->items[i].device, g);
	*ret_gpu = *g;
	return g->memory_total_bytes != NVML_UNKNOWN;
}

static bool is_divided(const struct functions *f, void *device)
{
	unsigned now = 0, later;

	return f->mig_mode && f->mig_places && f->mig_at &&
	       f->mig_mode(device, &now, &later) == SUCCESS && now == MIG_ON;
}

/* Places may be empty, or another's: a container sees those that it was given. */
void nvml_read_instances(struct nvml *n, size_t i, struct nvml_instances *ret_instances)
{
	struct nvml_instances *s = ret_instances;
	void *device = n->items[i].device, *instance;
	unsigned places;

	s->n = 0;
	s->on = is_divided(&n->f, device);
	if (!s->on || n->f.mig_places(device, &places) != SUCCESS)
		return;
	for (unsigned k = 0; k < places && s->n < NVML_INSTANCES_MAX; k++) {
		if (n->f.mig_at(device, k, &instance) == SUCCESS &&
			n->f.uuid(instance, s->uuids[s->n], NVML_UUID_BYTES) == SUCCESS)
			s->n++;
	}
}

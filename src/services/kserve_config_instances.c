/* kserve_config_instances.c: a model's instances as its configuration has them. Daemon process, loop thread. */
#include "services/kserve_config_instances.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/comma_list.h"
#include "base/device_name.h"
#include "base/digits.h"
#include "dispatch/dispatch.h"
#include "pool/pool.h"
#include "pool/worker.h"
#include "services/kserve_small.h"

typedef Inference__ModelConfig Config;
typedef Inference__ModelInstanceGroup Group;

/* A group more, of so many instances; 0: as many as the worker finds best, for which Triton has no word. */
static Group *add(Config *m, const char *device, uint32_t n)
{
	Group *g = m->instance_group[m->n_instance_group++];

	inference__model_instance_group__init(g);
	g->kind = strncmp(device, "cpu", strlen("cpu")) != 0
			  ? INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_GPU
			  : INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_CPU;
	g->count = n > 0 ? (int32_t)n : 1;
	return g;
}

/* The device of a worker that has it; "cpu": none has. */
static const char *device_of(const struct pool *p, const struct version *v)
{
	for (size_t i = 0; i < pool_n_workers(p); i++) {
		if (version_held_by(v, pool_worker(p, i)))
			return worker_device(pool_worker(p, i));
	}
	return "cpu";
}

static int fill_one(
	struct message_memory *memory, Config *m, const struct pool *p, const struct version *v)
{
	m->instance_group = kserve_small_array(memory, 1, sizeof(Group));
	if (!m->instance_group)
		return -ENOMEM;
	add(m, device_of(p, v), version_settings(v)->instances)->name = m->name;
	return 0;
}

/* "cuda:1" is its GPU 1. */
static int fill_gpu(struct message_memory *memory, Group *g, const char *device)
{
	const char *gpu = device_name_gpu(device);
	uint64_t n;

	if (!gpu || decimal_parse(gpu, &n) || n > INT32_MAX)
		return 0;
	g->gpus = message_memory_calloc(memory, 1, sizeof(g->gpus[0]));
	if (!g->gpus)
		return -ENOMEM;
	g->gpus[0] = (int32_t)n;
	g->n_gpus = 1;
	return 0;
}

static int fill_device(struct message_memory *memory, Config *m, const char *device, uint32_t n)
{
	size_t cap = strlen(m->name) + sizeof("_") + DECIMAL_MAX;
	char *name = message_memory_alloc(memory, cap);
	Group *g;

	if (!name)
		return -ENOMEM;
	snprintf(name, cap, "%s_%zu", m->name, m->n_instance_group);
	g = add(m, device, n);
	g->name = name;
	return fill_gpu(memory, g, device);
}

static bool is_first_of_device(const struct pool *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(worker_device(pool_worker(p, i)), worker_device(pool_worker(p, n))))
			return false;
	}
	return true;
}

static int fill_devices(struct message_memory *memory, Config *m, const struct pool *p,
	const struct version_settings *s)
{
	size_t n_workers = pool_n_workers(p);
	int r = 0;

	m->instance_group = kserve_small_array(memory, n_workers, sizeof(Group));
	if (!m->instance_group)
		return -ENOMEM;
	for (size_t i = 0; i < n_workers && !r; i++) {
		const char *device = worker_device(pool_worker(p, i));
		uint32_t n;

		if (is_first_of_device(p, i) && comma_list_find(s->devices, device, &n))
			r = fill_device(memory, m, device, n > 0 ? n : s->instances);
	}
	return r;
}

int kserve_config_instances(
	struct message_memory *memory, Config *m, const struct dispatch *d, const struct version *v)
{
	const struct pool *p = dispatch_pool(d);
	const struct version_settings *s = version_settings(v);
	int r = 0;

	if (s->devices && *s->devices)
		r = fill_devices(memory, m, p, s);
	/* It may have fallen back to others. */
	if (!r && m->n_instance_group == 0)
		r = fill_one(memory, m, p, v);
	return r;
}

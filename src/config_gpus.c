/*
 * config_gpus.c: "cuda:all" in [worker] workers: every GPU that is here, or that this process may see
 * (CUDA_VISIBLE_DEVICES), as if each had been named. The driver's management library counts them; CUDA
 * itself is for workers alone. Of a GPU that is divided (MIG) CUDA takes one instance a process, so that
 * each is a device of its own, by its UUID; beside one, whole GPUs are named by theirs: how CUDA counts
 * there is nowhere said.
 */
#include "config_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/device_name.h"
#include "base/nvml.h"

#define ALL "cuda:all"

static bool is_all(const struct pool_place *p)
{
	return !strcmp(p->device, ALL);
}

/* Entries of a list separated by commas. */
static size_t count_entries(const char *list)
{
	size_t n = *list ? 1 : 0;

	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* What "all" stands for. */
struct devices {
	const char **names; /* borrow: of the configuration */
	size_t n;
};

static int make_room(struct config *c, struct devices *d, size_t n)
{
	d->n = 0;
	d->names = config_alloc(c, (n + 1) * sizeof(*d->names));
	return d->names ? 0 : -ENOMEM;
}

static int add(struct devices *d, const char *name)
{
	if (!name)
		return -ENOMEM;
	d->names[d->n++] = name;
	return 0;
}

static int add_numbers(struct config *c, struct devices *d, size_t n)
{
	int r = make_room(c, d, n);

	for (size_t i = 0; !r && i < n; i++)
		r = add(d, config_printf(c, "cuda:%zu", i));
	return r;
}

static int add_instances(struct config *c, struct devices *d, const struct nvml_instances *s)
{
	int r = 0;

	for (size_t i = 0; !r && i < s->n; i++)
		r = add(d, config_printf(c, "cuda:%s", s->uuids[i]));
	return r;
}

static const char *whole(struct config *c, const struct nvml_gpu *gpu, size_t number)
{
	return *gpu->uuid ? config_printf(c, "cuda:%s", gpu->uuid)
			  : config_printf(c, "cuda:%zu", number);
}

static int add_uuids(struct config *c, struct devices *d, struct nvml *n)
{
	int r = make_room(c, d, nvml_count(n) * NVML_INSTANCES_MAX);

	for (size_t i = 0; !r && i < nvml_count(n); i++) {
		struct nvml_instances inside;
		struct nvml_gpu gpu;

		(void)nvml_read(n, i, &gpu);
		nvml_read_instances(n, i, &inside);
		r = inside.on ? add_instances(c, d, &inside) : add(d, whole(c, &gpu, i));
	}
	return r;
}

static bool any_is_divided(struct nvml *n)
{
	struct nvml_instances inside;
	bool any = false;

	for (size_t i = 0; !any && i < nvml_count(n); i++) {
		nvml_read_instances(n, i, &inside);
		any = inside.on;
	}
	return any;
}

static int list_gpus(struct config *c, struct devices *ret, char *message, size_t cap)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	_cleanup_(nvml_closep) struct nvml *n = NULL;
	int r;

	if (visible)
		return add_numbers(c, ret, count_entries(visible));
	r = nvml_open(&n);
	if (r == -ENOMEM)
		return r;
	if (r) {
		snprintf(message, cap,
			"[worker] workers: " ALL " asks the driver's management library "
			"(libnvidia-ml.so.1), which %s; name the GPUs instead: cuda:0, cuda:1, ...",
			r == -ENOENT ? "is not here" : "does not work here");
		return CONFIG_E_INVALID;
	}
	return any_is_divided(n) ? add_uuids(c, ret, n) : add_numbers(c, ret, nvml_count(n));
}

static int check_twice(
	const struct pool_place *places, size_t n, size_t n_gpus, char *message, size_t cap)
{
	for (size_t i = 0; i < n; i++) {
		if (!device_name_gpu(places[i].device) || is_all(&places[i]))
			continue;
		snprintf(message, cap, "[worker] workers: '%s' beside " ALL, places[i].device);
		return CONFIG_E_INVALID;
	}
	if (n_gpus > 0)
		return 0;
	snprintf(message, cap, "[worker] workers: " ALL ", but there is no GPU here");
	return CONFIG_E_INVALID;
}

static const char *format(struct config *c)
{
	const char *text = "";

	for (size_t i = 0; text && i < c->pool.n_places; i++)
		text = config_printf(c, "%s%s%s x%u", text, i ? ", " : "", c->pool.places[i].device,
			c->pool.places[i].count);
	return text;
}

int config_find_gpus(struct config *c, const char **ret_text, char *message, size_t cap)
{
	const struct pool_place *old = c->pool.places;
	size_t n = c->pool.n_places, all = 0;
	struct pool_place *places;
	struct devices gpus;
	int r;

	*ret_text = NULL;
	while (all < n && !is_all(&old[all]))
		all++;
	if (all == n)
		return 0;
	r = list_gpus(c, &gpus, message, cap);
	if (!r)
		r = check_twice(old, n, gpus.n, message, cap);
	if (r)
		return r;
	places = config_alloc(c, (n - 1 + gpus.n) * sizeof(*places));
	if (!places)
		return -ENOMEM;
	memcpy(places, old, all * sizeof(*places));
	for (size_t i = 0; i < gpus.n; i++)
		places[all + i] = (struct pool_place){gpus.names[i], old[all].count};
	memcpy(places + all + gpus.n, old + all + 1, (n - all - 1) * sizeof(*places));
	c->pool.places = places;
	c->pool.n_places = n - 1 + gpus.n;
	*ret_text = format(c);
	return *ret_text ? 0 : -ENOMEM;
}

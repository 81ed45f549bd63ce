/*
 * config_gpus.c: "cuda:all" in [worker] workers: every GPU that is here, or that this process may see
 * (CUDA_VISIBLE_DEVICES), as if each had been named. The driver's management library counts them; CUDA
 * itself is for workers alone.
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

static int count_gpus(size_t *ret_n, char *message, size_t cap)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	_cleanup_(nvml_closep) struct nvml *n = NULL;
	int r;

	if (visible) {
		*ret_n = count_entries(visible);
		return 0;
	}
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
	*ret_n = nvml_count(n);
	return 0;
}

/* Each GPU in the place of "all". */
static int expand(struct config *c, struct pool_place *to, const struct pool_place *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *device = config_printf(c, "cuda:%zu", i);

		if (!device)
			return -ENOMEM;
		to[i] = (struct pool_place){device, all->count};
	}
	return 0;
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
	size_t n = c->pool.n_places, all = 0, n_gpus;
	struct pool_place *places;
	int r;

	*ret_text = NULL;
	while (all < n && !is_all(&old[all]))
		all++;
	if (all == n)
		return 0;
	r = count_gpus(&n_gpus, message, cap);
	if (!r)
		r = check_twice(old, n, n_gpus, message, cap);
	if (r)
		return r;
	places = config_alloc(c, (n - 1 + n_gpus) * sizeof(*places));
	if (!places)
		return -ENOMEM;
	memcpy(places, old, all * sizeof(*places));
	memcpy(places + all + n_gpus, old + all + 1, (n - all - 1) * sizeof(*places));
	r = expand(c, places + all, &old[all], n_gpus);
	if (r)
		return r;
	c->pool.places = places;
	c->pool.n_places = n - 1 + n_gpus;
	*ret_text = format(c);
	return *ret_text ? 0 : -ENOMEM;
}

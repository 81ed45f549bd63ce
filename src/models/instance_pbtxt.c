/* instance_pbtxt.c: Triton's groups of instances into a list of devices. Daemon process, any thread. */
#include "models/instance_pbtxt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/layout.h"
#include "pool/pool.h"

#define DEVICE_BYTES_MAX 64u
#define INSTANCES_MAX	 1024u

typedef Inference__ModelConfig Config;
typedef Inference__ModelInstanceGroup Group;

/* What all groups give to one device. */
struct placed {
	char device[DEVICE_BYTES_MAX];
	uint32_t n; /* instances; 0: as the worker finds best */
};

struct mapping {
	const struct models_settings *settings; /* borrow */
	const char *file;			/* borrow */
	char **odd;				/* borrow */
	const char **what;
	struct placed *placed; /* own */
	size_t n;
};

static int wrong(struct mapping *m, const char *what)
{
	*m->what = what;
	return INSTANCE_PBTXT_E_INVALID;
}

/* --- Devices -------------------------------------------------------------------------------------- */

static bool has_worker(const struct mapping *m, const char *device)
{
	for (size_t i = 0; i < m->settings->n_places; i++) {
		if (!strcmp(m->settings->places[i].device, device))
			return true;
	}
	return false;
}

static bool is_of(const char *device, const char *kind)
{
	return !strncmp(device, kind, strlen(kind)) && device[strlen(kind)] == ':';
}

static bool any_of(const struct mapping *m, const char *kind)
{
	for (size_t i = 0; i < m->settings->n_places; i++) {
		if (is_of(m->settings->places[i].device, kind))
			return true;
	}
	return false;
}

/* Several groups may name it: what they give is added. */
static int add(struct mapping *m, const char *device, int32_t count)
{
	struct placed *all;

	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->placed[i].device, device) != 0)
			continue;
		m->placed[i].n += (uint32_t)count;
		return m->placed[i].n > INSTANCES_MAX
			       ? wrong(m, "more than 1024 instances on one device")
			       : 0;
	}
	all = realloc(m->placed, (m->n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	m->placed = all;
	snprintf(all[m->n].device, sizeof(all[m->n].device), "%s", device);
	all[m->n++].n = (uint32_t)count;
	return 0;
}

/* All devices that there are; of one kind where that is not NULL. */
static int add_all(struct mapping *m, const char *kind, int32_t count)
{
	int r = 0;

	for (size_t i = 0; !r && i < m->settings->n_places; i++) {
		const char *device = m->settings->places[i].device;

		if (!kind || is_of(device, kind))
			r = add(m, device, count);
	}
	return r;
}

/* --- Groups --------------------------------------------------------------------------------------- */

static int add_gpus(struct mapping *m, const Group *g)
{
	int r = 0;

	for (size_t i = 0; !r && i < g->n_gpus; i++) {
		char device[DEVICE_BYTES_MAX];

		snprintf(device, sizeof(device), "cuda:%" PRId32, g->gpus[i]);
		if (!has_worker(m, device))
			r = layout_add_odd(m->odd,
				"%s: instance_group: there is no worker on %s ([worker] workers)",
				m->file, device);
		if (!r)
			r = add(m, device, g->count);
	}
	return r;
}

static int add_kind(struct mapping *m, const Group *g)
{
	switch (g->kind) {
	case INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_CPU:
		if (!any_of(m, "cpu"))
			return wrong(m, "KIND_CPU: there is no worker on a CPU ([worker] workers)");
		return add_all(m, "cpu", g->count);
	case INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_GPU:
		if (!any_of(m, "cuda"))
			return wrong(m, "KIND_GPU: there is no worker on a GPU ([worker] workers)");
		return add_all(m, "cuda", g->count);
	case INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_AUTO:
		return add_all(m, any_of(m, "cuda") ? "cuda" : "cpu", g->count);
	default:
		return add_all(m, NULL, g->count);
	}
}

static int map_group(struct mapping *m, const Group *g)
{
	if (g->count < 0 || g->count > (int32_t)INSTANCES_MAX)
		return wrong(m, "count: a number from 0 to 1024 is expected");
	if (g->n_gpus > 0 && (g->kind == INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_CPU ||
				     g->kind == INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_MODEL))
		return wrong(m, "gpus: only KIND_GPU and KIND_AUTO have them");
	return g->n_gpus > 0 ? add_gpus(m, g) : add_kind(m, g);
}

/* --- Settings ------------------------------------------------------------------------------------- */

static bool is_even(const struct mapping *m)
{
	for (size_t i = 1; i < m->n; i++) {
		if (m->placed[i].n != m->placed[0].n)
			return false;
	}
	return true;
}

static int append(char **list, const struct placed *p, bool numbered)
{
	char *longer, number[16] = "";
	int n;

	if (numbered)
		snprintf(number, sizeof(number), " x%" PRIu32, p->n > 0 ? p->n : 1);
	n = asprintf(&longer, "%s%s%s%s", *list ? *list : "", *list ? "," : "", p->device, number);
	if (n < 0)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

static int settle(const struct mapping *m, struct version_settings *to)
{
	_cleanup_(freep) char *list = NULL;
	bool even = is_even(m);
	int r = 0;

	for (size_t i = 0; !r && i < m->n; i++)
		r = append(&list, &m->placed[i], !even);
	if (r)
		return r;
	to->instances = even && m->n > 0 ? m->placed[0].n : 0;
	free((void *)to->devices);
	to->devices = steal_ptr(list);
	return 0;
}

int instance_pbtxt_map(const Config *c, const struct models_settings *s,
	struct version_settings *to, const char *file, char **odd, const char **ret_what)
{
	struct mapping m = {.settings = s, .file = file, .odd = odd, .what = ret_what};
	size_t n_active = 0;
	int r = 0;

	for (size_t i = 0; !r && i < c->n_instance_group; i++) {
		if (c->instance_group[i]->passive)
			continue;
		n_active++;
		r = map_group(&m, c->instance_group[i]);
	}
	if (!r && c->n_instance_group > 0 && n_active == 0)
		r = wrong(&m, "all groups are passive: none has instances");
	if (!r && n_active > 0)
		r = settle(&m, to);
	free(m.placed);
	return r;
}

/* --- What does nothing here ----------------------------------------------------------------------- */

static bool has_profile(const Group *g)
{
	return g->n_profile > 0;
}

static bool has_rate_limiter(const Group *g)
{
	return g->rate_limiter != NULL;
}

static bool has_secondary_devices(const Group *g)
{
	return g->n_secondary_devices > 0;
}

static bool has_host_policy(const Group *g)
{
	return *g->host_policy;
}

const char *instance_pbtxt_ignored(const Config *m, size_t i)
{
	static const struct {
		const char *name;
		bool (*is_there)(const Group *g);
	} fields[] = {
		{"instance_group.profile", has_profile},
		{"instance_group.rate_limiter", has_rate_limiter},
		{"instance_group.secondary_devices", has_secondary_devices},
		{"instance_group.host_policy", has_host_policy},
	};

	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		bool there = false;

		for (size_t k = 0; k < m->n_instance_group; k++)
			there |= fields[f].is_there(m->instance_group[k]);
		if (there && i-- == 0)
			return fields[f].name;
	}
	return NULL;
}

/* dispatch_versions.c: the door's half that is about versions: found, added, removed. Daemon process, loop
 * thread. */
#include "dispatch/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/admit.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/version_private.h"

/* No name of a model has a colon. */
struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n)
{
	const char *colon;
	size_t n_number;

	if (n == 0) {
		name = d->default_model;
		n = name ? strlen(name) : 0;
	}
	colon = n ? memchr(name, ':', n) : NULL;
	if (!colon)
		return catalogue_find(&d->catalogue, name, n, NULL, 0);
	n_number = n - (size_t)(colon + 1 - name);
	return n_number ? catalogue_find(
				  &d->catalogue, name, (size_t)(colon - name), colon + 1, n_number)
			: NULL;
}

uint32_t dispatch_numa_node(struct dispatch *d, const char *name, size_t n)
{
	const struct version *v = pool_has_numa(d->pool) ? dispatch_find_version(d, name, n) : NULL;

	return v && v->pool_model ? pool_model_numa_node(v->pool_model) : 0;
}

int dispatch_demand(struct dispatch *d, const struct demand_wish *wish, struct demand **ret_demand)
{
	struct demand_wish named = *wish;

	if (!*named.model)
		named.model = d->default_model ? d->default_model : "";
	if (!*named.model || d->state != DISPATCH_OPEN)
		return DEMAND_E_NOBODY;
	return demand_new(ret_demand, &d->demands, &named);
}

void dispatch_supply(
	struct dispatch *d, const char *name, enum grpc_status status, const char *text)
{
	demands_end(&d->demands, name, status, text);
}

bool dispatch_is_demanded(const struct dispatch *d, const char *model)
{
	return demands_has(&d->demands, model);
}

int dispatch_set_default(struct dispatch *d, const char *name)
{
	char *copy = name ? strdup(name) : NULL;

	if (name && !copy)
		return -ENOMEM;
	free(d->default_model);
	d->default_model = copy;
	return 0;
}

struct version *dispatch_find_number(
	struct dispatch *d, const char *name, size_t n, const char *number, size_t n_number)
{
	return catalogue_find(&d->catalogue, name, n, number, n_number);
}

int dispatch_add_version(struct dispatch *d, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version)
{
	struct version *v;
	int r = catalogue_add(&d->catalogue, settings, replaces, &v);

	if (!r && ret_version)
		*ret_version = v;
	return r;
}

size_t dispatch_model_versions(
	const struct dispatch *d, const char *name, struct version **list, size_t cap)
{
	return catalogue_family(&d->catalogue, name, list, cap);
}

void dispatch_remove_version(struct dispatch *d, struct version *v)
{
	catalogue_retire(&d->catalogue, v);
}

size_t dispatch_n_models(const struct dispatch *d)
{
	return d->catalogue.n_families;
}

size_t dispatch_n_versions(const struct dispatch *d)
{
	return d->catalogue.n;
}

struct version *dispatch_version(const struct dispatch *d, size_t i)
{
	assert(i < d->catalogue.n);
	return d->catalogue.versions[i];
}

bool dispatch_full(const struct dispatch *d, const struct client *c, const struct version *v)
{
	return admit_full(c, v, d->settings->max_requests_per_client);
}

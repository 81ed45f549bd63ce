/*
 * lifecycle_demand.c: models are loaded because requests name them ([models] load_on_request). Only what a repository
 * had when all were read last: so a name that nobody has costs nothing. Daemon process, loop thread.
 */
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"

/* What dispatch waits for. */
struct demanded {
	struct list node;
	struct lifecycle *lifecycle; /* borrow */
	struct lifecycle_wait wait;
	char name[]; /* as dispatch has it: "model", or "model:version" */
};

#define DEMANDED(at) list_entry(at, struct demanded, node)

static enum grpc_status status_of(enum lifecycle_code code)
{
	switch (code) {
	case LIFECYCLE_OK:
		return GRPC_OK;
	case LIFECYCLE_UNKNOWN:
	case LIFECYCLE_INVALID:
		return GRPC_NOT_FOUND;
	case LIFECYCLE_FULL:
	case LIFECYCLE_NO_MEMORY:
		return GRPC_RESOURCE_EXHAUSTED;
	default:
		return GRPC_UNAVAILABLE;
	}
}

/* The model's name alone; own. NULL: no memory */
static char *model_of(const char *name)
{
	return strndup(name, strcspn(name, ":"));
}

static void ask(struct demanded *d, const char *model)
{
	const char *colon = strchr(d->name, ':');

	lifecycle_ask(d->lifecycle,
		&(struct asked_task){.kind = TASK_LOAD,
			.name = model,
			.version = colon ? colon + 1 : "",
			.patient = true,
			.keeps_settings = true},
		&d->wait);
}

/* What was to be loaded was changed, and not unloaded: what takes its place is as good. Returns whether it is waited for. */
static bool ask_again(struct demanded *d)
{
	struct lifecycle *l = d->lifecycle;
	_cleanup_(freep) char *model = model_of(d->name);
	const struct wish *w = model ? wishes_find(&l->wishes, model) : NULL;

	if (!w || wish_empty(w) || l->stopped || !dispatch_is_demanded(l->dispatch, d->name))
		return false;
	ask(d, model);
	return true;
}

static void on_loaded(struct lifecycle_wait *w, enum lifecycle_code code, const char *text)
{
	struct demanded *d = container_of(w, struct demanded, wait);

	if (code == LIFECYCLE_SUPERSEDED && ask_again(d))
		return;
	list_remove(&d->node);
	dispatch_supply(d->lifecycle->dispatch, d->name, status_of(code), text);
	free(d);
}

static bool is_demanded(const struct lifecycle *l, const char *name)
{
	list_for_each (&l->demands, node) {
		if (!strcmp(DEMANDED(node)->name, name))
			return true;
	}
	return false;
}

static bool may(const struct lifecycle *l, const char *model)
{
	return l->settings->load_on_request && lifecycle_is_explicit(l) && !l->stopped && l->seen &&
	       repository_find(l->seen, model);
}

bool lifecycle_demand(struct lifecycle *l, const char *name)
{
	_cleanup_(freep) char *model = model_of(name);
	struct demanded *d;

	if (!model || !may(l, model))
		return false;
	if (is_demanded(l, name))
		return true;
	d = calloc(1, sizeof(*d) + strlen(name) + 1);
	if (!d)
		return false;
	d->lifecycle = l;
	d->wait.on_done = on_loaded;
	memcpy(d->name, name, strlen(name) + 1);
	list_push_back(&l->demands, &d->node);
	ask(d, model);
	return true;
}

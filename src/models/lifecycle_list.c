/* lifecycle_list.c: what there is: served, going, or in a repository. Daemon process, loop thread. */
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"

typedef void (*item_fn)(void *data, const struct lifecycle_item *item);

static enum lifecycle_state state_of(const struct version *v)
{
	if (version_ready(v))
		return LIFECYCLE_READY;
	return version_hopeful(v) && !version_declared(v) ? LIFECYCLE_LOADING
							  : LIFECYCLE_UNAVAILABLE;
}

/* wrong: what is wrong with its files by now; NULL: nothing. */
static const char *reason_of(const struct version *v, const char *wrong)
{
	const char *detail = version_detail(v);

	if (*detail)
		return detail;
	return wrong ? wrong : version_remark(v);
}

static void tell_version(const struct version *v, const char *wrong, item_fn on_item, void *data)
{
	const struct version_settings *s = version_settings(v);
	const struct lifecycle_item item = {
		.name = s->name,
		.version = s->version,
		.state = state_of(v),
		.reason = reason_of(v, wrong),
		.wrong = wrong != NULL,
	};

	on_item(data, &item);
}

/* Versions that are to replace one of the same number are not told: that one is. Returns how many were. */
static size_t tell_versions(
	const struct lifecycle *l, const struct repository_entry *e, item_fn on_item, void *data)
{
	struct dispatch *d = l->dispatch;
	size_t n = dispatch_model_versions(d, e->name, NULL, 0);
	_cleanup_(freep) struct version **list = calloc(n + 1, sizeof(struct version *));
	size_t n_told = 0;

	if (!list)
		return 0;
	(void)dispatch_model_versions(d, e->name, list, n);
	for (size_t i = 0; i < n; i++) {
		const struct version *old = version_replaces(list[i]);

		if (old &&
			!strcmp(version_settings(old)->version, version_settings(list[i])->version))
			continue;
		tell_version(list[i], e->error, on_item, data);
		n_told++;
	}
	return n_told;
}

/* Versions that callers had unloaded and that are not gone yet. Returns how many. */
static size_t tell_leaving(const struct lifecycle *l, const char *name, item_fn on_item, void *data)
{
	size_t n = 0;

	list_for_each (&l->tasks, node) {
		const struct task *t = list_entry(node, struct task, node);

		for (size_t i = 0; t->kind == TASK_UNLOAD && i < t->n_versions; i++) {
			const struct version_settings *s = version_settings(t->versions[i]);
			const struct lifecycle_item item = {.name = s->name,
				.version = s->version,
				.state = LIFECYCLE_UNLOADING,
				.reason = ""};

			if (strcmp(s->name, name) != 0)
				continue;
			on_item(data, &item);
			n++;
		}
	}
	return n;
}

static void tell_idle(
	const struct lifecycle *l, const struct repository_entry *e, item_fn on_item, void *data)
{
	struct lifecycle_item item = {.name = e->name, .version = "", .reason = ""};

	if (e->error) {
		item.state = LIFECYCLE_UNAVAILABLE;
		item.reason = e->error;
		item.wrong = true;
	} else if (wishes_find(&l->wishes, e->name)) {
		item.state = LIFECYCLE_UNAVAILABLE;
		item.reason = "unloaded";
	}
	on_item(data, &item);
}

static void tell_entry(
	const struct lifecycle *l, const struct repository_entry *e, item_fn on_item, void *data)
{
	size_t n = tell_versions(l, e, on_item, data);

	n += tell_leaving(l, e->name, on_item, data);
	if (n == 0)
		tell_idle(l, e, on_item, data);
}

void lifecycle_list(const struct lifecycle *l, item_fn on_item, void *data)
{
	size_t n = 0;
	const struct repository_entry *entries = l->seen ? repository_entries(l->seen, &n) : NULL;

	for (size_t i = 0; i < n; i++)
		tell_entry(l, &entries[i], on_item, data);
	/* What is served and in no repository any more. */
	for (size_t i = 0; i < dispatch_n_versions(l->dispatch); i++) {
		const struct version *v = dispatch_version(l->dispatch, i);

		if (!l->seen || !repository_find(l->seen, version_settings(v)->name))
			tell_version(v, NULL, on_item, data);
	}
}

void lifecycle_list_wrong(const struct lifecycle *l, item_fn on_item, void *data)
{
	size_t n = 0;
	const struct repository_entry *entries = l->seen ? repository_entries(l->seen, &n) : NULL;

	for (size_t i = 0; i < n; i++) {
		if (entries[i].error)
			tell_entry(l, &entries[i], on_item, data);
	}
}

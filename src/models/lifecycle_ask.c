/* lifecycle_ask.c: callers ask for something of one model. Daemon process, loop thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"
#include "models/version_policy.h"

static bool name_can_be(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= WIRE_NAME_MAX && *name != '.' && !strchr(name, '/');
}

/* What cannot be is answered without looking. */
static bool refuse(struct lifecycle *l, struct task *t, const char *name, const char *version)
{
	char quoted[64];

	if (l->stopped)
		task_end(t, LIFECYCLE_ENDING, "the server shuts down");
	else if (t->kind != TASK_RELOAD && !lifecycle_is_explicit(l))
		task_end(t, LIFECYCLE_NOT_ALLOWED,
			"models are loaded and unloaded only where [models] control = explicit");
	else if (!name_can_be(name))
		task_end(t, LIFECYCLE_INVALID,
			"%s is no name of a model: 1 to 255 characters are expected, none a /, the "
			"first no dot",
			log_quote(name, strlen(name), quoted, sizeof(quoted)));
	else if (*version && !version_number_parse(version, &t->number))
		task_end(t, LIFECYCLE_INVALID,
			"%s is no version: a whole number from 1 is expected, without leading "
			"zeros",
			log_quote(version, strlen(version), quoted, sizeof(quoted)));
	return t->phase == TASK_DONE;
}

/* One of the same that is under way, or a new one. NULL: no memory */
static struct task *find_or_make_task(struct lifecycle *l, const struct asked_task *a)
{
	uint64_t number = 0;
	bool valid = !*a->version || version_number_parse(a->version, &number);
	struct task *t = valid ? lifecycle_find_task(l, a, number) : NULL;

	if (t)
		return t;
	t = task_new(a->kind, a->name, number);
	if (!t)
		return NULL;
	t->for_reference = a->kind == TASK_LOAD; /* until somebody else asks */
	t->keeps_settings = a->keeps_settings;
	t->overlay = overlay_ref(a->overlay);
	list_push_back(&l->tasks, &t->node);
	(void)refuse(l, t, a->name, a->version);
	return t;
}

void lifecycle_ask(struct lifecycle *l, const struct asked_task *a, struct lifecycle_wait *w)
{
	struct task *t = find_or_make_task(l, a);

	if (!t) {
		list_push_back(&l->starved, &w->node);
		return;
	}
	t->patient |= a->patient;
	t->for_reference &= a->for_reference;
	list_push_back(&t->waits, &w->node);
	if (t->phase == TASK_ASKED)
		lifecycle_advance(l);
}

void lifecycle_load(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w)
{
	lifecycle_ask(l,
		&(struct asked_task){
			.kind = TASK_LOAD, .name = name, .version = version, .overlay = overlay},
		w);
}

void lifecycle_load_to_refer(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w)
{
	lifecycle_ask(l,
		&(struct asked_task){.kind = TASK_LOAD,
			.name = name,
			.version = version,
			.for_reference = true,
			.keeps_settings = !overlay,
			.overlay = overlay},
		w);
}

static bool is_to_be_replaced(const struct lifecycle *l, const char *name)
{
	size_t n = dispatch_model_versions(l->dispatch, name, NULL, 0);
	_cleanup_(freep) struct version **list = calloc(n + 1, sizeof(struct version *));
	bool is = !list;

	if (list)
		(void)dispatch_model_versions(l->dispatch, name, list, n);
	for (size_t i = 0; !is && i < n; i++)
		is = version_replaces(list[i]) != NULL;
	return is;
}

bool lifecycle_has_settings(
	const struct lifecycle *l, const char *name, const struct overlay *overlay)
{
	const struct wish *w = wishes_find(&l->wishes, name);

	return !overlay || (w && overlay_equal(w->overlay, overlay) && !is_to_be_replaced(l, name));
}

void lifecycle_unload(
	struct lifecycle *l, const char *name, const char *version, struct lifecycle_wait *w)
{
	lifecycle_ask(l,
		&(struct asked_task){.kind = TASK_UNLOAD,
			.name = name,
			.version = version,
			.keeps_settings = true},
		w);
}

void lifecycle_reload(struct lifecycle *l, const char *name, struct lifecycle_wait *w)
{
	lifecycle_ask(l,
		&(struct asked_task){
			.kind = TASK_RELOAD, .name = name, .version = "", .keeps_settings = true},
		w);
}

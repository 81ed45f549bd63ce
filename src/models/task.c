/* task.c: something that callers asked for of one model. Daemon process, loop thread. */
#include "models/task.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/version.h"
#include "models/overlay.h"
#include "models/version_policy.h"

struct task *task_new(enum task_kind kind, const char *name, uint64_t number)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct task){
		.kind = kind, .name = strdup(name), .number = number, .keeps_settings = true};
	list_init(&t->node);
	list_init(&t->waits);
	if (t->name)
		return t;
	free(t);
	return NULL;
}

static void drop_versions(struct task *t)
{
	for (size_t i = 0; i < t->n_versions; i++)
		version_unref(t->versions[i]);
	free(t->versions);
	t->versions = NULL;
	t->n_versions = 0;
}

void task_free(struct task *t)
{
	drop_versions(t);
	list_remove(&t->node);
	overlay_unref(t->overlay);
	overlay_unref(t->before);
	free(t->name);
	free(t->text);
	free(t->failed_version);
	free(t);
}

void task_end(struct task *t, enum lifecycle_code code, const char *format, ...)
{
	va_list ap;

	free(t->text);
	va_start(ap, format);
	if (vasprintf(&t->text, format, ap) < 0)
		t->text = NULL;
	va_end(ap);
	t->code = code;
	t->phase = TASK_DONE;
	drop_versions(t);
}

int task_watch(struct task *t, struct version *v)
{
	struct version **all = realloc(t->versions, (t->n_versions + 1) * sizeof(struct version *));

	if (!all)
		return -ENOMEM;
	t->versions = all;
	all[t->n_versions++] = version_ref(v);
	return 0;
}

void task_drop_others(struct task *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_versions; i++) {
		struct version *v = t->versions[i];
		uint64_t number;

		if (t->number && version_number_parse(version_settings(v)->version, &number) &&
			number != t->number)
			version_unref(v);
		else
			t->versions[n++] = v;
	}
	t->n_versions = n;
}

/* --- Waiting ------------------------------------------------------------------------------------ */

static bool is_pending(const struct version *v)
{
	if (version_retired(v))
		return false;
	return version_replaces(v) || (!version_ready(v) && version_hopeful(v));
}

/* No worker could load v. */
static void end_failed(struct task *t, const struct version *v)
{
	const char *number = version_settings(v)->version;
	const char *detail = *version_detail(v) ? version_detail(v) : "no worker can load it";
	char *copy = strdup(number);
	size_t n = strlen(detail);

	task_end(t, LIFECYCLE_FAILED, "model '%s' version %s: %s", t->name, number, detail);
	if (!copy || !t->text) {
		free(copy);
		return;
	}
	t->failed_version = copy;
	t->failed_detail = t->text + strlen(t->text) - n;
}

/* What has come of one version. */
static void end_with(struct task *t, const struct version *v)
{
	if (version_retired(v) && version_workers_failed(v) == 0)
		task_end(t, LIFECYCLE_SUPERSEDED,
			"model '%s' version %s was unloaded or changed again meanwhile", t->name,
			version_settings(v)->version);
	else
		end_failed(t, v);
}

static void look_at_loads(struct task *t)
{
	for (size_t i = 0; i < t->n_versions; i++) {
		if (is_pending(t->versions[i]))
			return;
	}
	for (size_t i = 0; i < t->n_versions; i++) {
		if (version_retired(t->versions[i]) || !version_ready(t->versions[i])) {
			end_with(t, t->versions[i]);
			return;
		}
	}
	task_end(t, LIFECYCLE_OK, "%s", "");
}

void task_look(struct task *t)
{
	if (t->phase != TASK_WAITING)
		return;
	if (t->kind != TASK_UNLOAD)
		look_at_loads(t);
	else if (t->n_versions == 0)
		task_end(t, LIFECYCLE_OK, "%s", "");
}

void task_gone(struct task *t, const struct version *v)
{
	size_t n = 0;

	if (t->kind != TASK_UNLOAD && t->phase != TASK_ROOM)
		return;
	for (size_t i = 0; i < t->n_versions; i++) {
		if (t->versions[i] == v)
			version_unref(t->versions[i]);
		else
			t->versions[n++] = t->versions[i];
	}
	t->n_versions = n;
}

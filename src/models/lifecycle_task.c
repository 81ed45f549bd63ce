/*
 * lifecycle_task.c: what callers asked for, model by model.
 *
 * Tasks of one model are begun in the order in which they were asked for: none before the ones ahead of it
 * have been applied. Daemon process, loop thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"
#include "models/overlay_files.h"

#define TASK(at) list_entry(at, struct task, node)

/* --- Finding ------------------------------------------------------------------------------------ */

/* Is one who asks for this served by the task? */
static bool same_settings(const struct task *t, const struct asked_task *a)
{
	return a->keeps_settings || (!t->keeps_settings && overlay_equal(t->overlay, a->overlay));
}

static struct task *find_same(struct lifecycle *l, const struct asked_task *a, uint64_t number)
{
	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		if (t->kind == a->kind && t->number == number && t->phase != TASK_DONE &&
			!strcmp(t->name, a->name) && same_settings(t, a))
			return t;
	}
	return NULL;
}

/* Has nothing else been asked for since? */
static bool is_last_word(const struct lifecycle *l, const struct task *t)
{
	for (const struct list *at = t->node.next; at != &l->tasks; at = at->next) {
		const struct task *later = list_entry(at, struct task, node);

		if (later->phase != TASK_DONE && !strcmp(later->name, t->name))
			return false;
	}
	return true;
}

struct task *lifecycle_find_task(struct lifecycle *l, const struct asked_task *a, uint64_t number)
{
	struct task *t = find_same(l, a, number);

	return t && is_last_word(l, t) ? t : NULL;
}

/* --- Beginning ---------------------------------------------------------------------------------- */

/* Is one ahead of it, of the same model, not applied yet? */
static bool has_predecessor(const struct lifecycle *l, const struct task *t)
{
	for (const struct list *at = l->tasks.next; at != &t->node; at = at->next) {
		const struct task *other = list_entry(at, struct task, node);

		if (other->phase < TASK_WAITING && !strcmp(other->name, t->name))
			return true;
	}
	return false;
}

static bool is_served(const struct lifecycle *l, const char *name, uint64_t number)
{
	char version[24];
	int n = snprintf(version, sizeof(version), "%" PRIu64, number);

	return dispatch_find_number(l->dispatch, name, strlen(name), version, (size_t)n);
}

/* What was never asked for leaves nothing behind: callers may name as many as they like. */
static bool is_known(const struct lifecycle *l, const struct task *t)
{
	const struct wish *w = wishes_find(&l->wishes, t->name);

	return w &&
	       (!t->number || wish_has(w, t->number, false) || is_served(l, t->name, t->number));
}

static void begin_unload(struct lifecycle *l, struct task *t)
{
	struct applied a = {.task = t};

	if (is_known(l, t) && wishes_remove(&l->wishes, t->name, t->number)) {
		task_end(t, LIFECYCLE_NO_MEMORY, "out of memory");
		return;
	}
	lifecycle_remove(l, t->name, t->number, &a);
	if (a.error)
		task_end(t, LIFECYCLE_NO_MEMORY, "out of memory");
	else if (a.n_removed == 0 && t->number)
		task_end(t, LIFECYCLE_UNKNOWN, "model '%s' version %" PRIu64 " is not loaded",
			t->name, t->number);
	else if (a.n_removed == 0)
		task_end(t, LIFECYCLE_UNKNOWN, "model '%s' is not loaded", t->name);
	else
		t->phase = TASK_WAITING;
}

struct task *lifecycle_next_task(struct lifecycle *l)
{
	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		if (t->phase != TASK_ASKED || has_predecessor(l, t))
			continue;
		if (t->kind != TASK_UNLOAD)
			return t;
		begin_unload(l, t);
	}
	return NULL;
}

/* --- Applying what was read --------------------------------------------------------------------- */

static struct task *find_reading(struct lifecycle *l)
{
	list_for_each (&l->tasks, node) {
		if (TASK(node)->phase == TASK_READING)
			return TASK(node);
	}
	return NULL;
}

static bool has_version(const struct repository_entry *e, uint64_t number)
{
	for (size_t i = 0; i < e->n_versions; i++) {
		if (e->versions[i].number == number)
			return true;
	}
	return false;
}

/* Is it served now, or was asked to be? */
static bool is_managed(const struct lifecycle *l, const char *name)
{
	const struct wish *w = wishes_find(&l->wishes, name);

	return !lifecycle_is_explicit(l) || (w && !wish_empty(w));
}

/* LIFECYCLE_NO_MEMORY is its end. */
static void wish(struct lifecycle *l, struct task *t, const struct repository_entry *e)
{
	const struct wish *before = wishes_find(&l->wishes, t->name);
	bool wanted = before && !wish_empty(before) && !before->transient;
	struct wish *w;

	if (wishes_add(&l->wishes, t->name, t->number)) {
		task_end(t, LIFECYCLE_NO_MEMORY, "out of memory");
		return;
	}
	w = (struct wish *)wishes_find(&l->wishes, t->name);
	if (!t->keeps_settings) {
		t->before = overlay_ref(w->overlay);
		wish_set_overlay(w, t->overlay);
	}
	w->transient = t->for_reference && !wanted;
	lifecycle_note_files(l, t->name, e->fingerprint);
}

/* Returns whether it may be loaded now. */
static bool has_room(struct lifecycle *l, struct task *t, const struct repository_entry *e)
{
	lifecycle_note_files(l, t->name, e->fingerprint);
	return lifecycle_make_room(l, t);
}

/* Is a load of it under way, ahead of t? */
static bool is_being_loaded(const struct lifecycle *l, const struct task *t)
{
	for (const struct list *at = l->tasks.next; at != &t->node; at = at->next) {
		const struct task *other = list_entry(at, struct task, node);

		if (other->kind == TASK_LOAD && other->phase != TASK_DONE &&
			!strcmp(other->name, t->name))
			return true;
	}
	return false;
}

/* Has somebody else it with other settings, and t may not change them? Nobody has what was loaded for a reference, and is not
 * referred to any more. */
static bool clashes(const struct lifecycle *l, const struct task *t)
{
	const struct wish *w = wishes_find(&l->wishes, t->name);

	if (!t->for_reference || t->keeps_settings || !w || wish_empty(w) ||
		overlay_equal(w->overlay, t->overlay))
		return false;
	return !w->transient || w->n_references > 0 || is_being_loaded(l, t);
}

/* Returns whether there is something to apply. */
static bool check(struct lifecycle *l, struct task *t, const struct repository_entry *e)
{
	if (!e)
		task_end(t, LIFECYCLE_UNKNOWN, "model '%s' is in no repository", t->name);
	else if (e->error && e->wrong_overlay)
		task_end(t, LIFECYCLE_CONFIG, "%s", e->error);
	else if (clashes(l, t))
		task_end(t, LIFECYCLE_OTHER,
			"model '%s' is loaded with other settings than config says", t->name);
	else if (e->error)
		task_end(t, LIFECYCLE_WRONG, "%s", e->error);
	else if (t->number && !has_version(e, t->number))
		task_end(t, LIFECYCLE_UNKNOWN, "model '%s' has no version %" PRIu64 "%s%s", t->name,
			t->number, e->odd ? ": " : "", e->odd ? e->odd : "");
	else if (t->kind == TASK_RELOAD && !is_managed(l, t->name))
		task_end(t, LIFECYCLE_UNKNOWN, "model '%s' is not loaded", t->name);
	else if (t->kind == TASK_LOAD && !has_room(l, t, e))
		return false;
	else if (t->kind == TASK_LOAD)
		wish(l, t, e);
	return t->phase != TASK_DONE;
}

static void apply(struct lifecycle *l, struct task *t, const struct repository_entry *e)
{
	struct applied a = {.task = t};

	lifecycle_apply_entry(l, e, &a);
	if (a.error == -ENOMEM)
		task_end(t, LIFECYCLE_NO_MEMORY, "out of memory");
	else if (a.error)
		task_end(t, LIFECYCLE_FAILED, "model '%s' cannot be added", t->name);
	else
		t->phase = TASK_WAITING;
	if (t->phase != TASK_WAITING)
		return;
	task_drop_others(t);
	for (size_t i = 0; i < t->n_versions; i++)
		version_retry(t->versions[i]);
	log_info("model is read anew", "model=%s added=%u replaced=%u removed=%u", t->name,
		a.n_added, a.n_replaced, a.n_removed);
}

/* --- Files that no worker can load --------------------------------------------------------------- */

/* Those of one model that lie in `files`; own. NULL: no memory */
static struct version **find_versions(
	const struct lifecycle *l, const char *name, const struct spool_dir *files, size_t *ret_n)
{
	size_t n = dispatch_model_versions(l->dispatch, name, NULL, 0);
	struct version **list = calloc(n + 1, sizeof(struct version *));

	*ret_n = 0;
	if (!list)
		return NULL;
	(void)dispatch_model_versions(l->dispatch, name, list, n);
	for (size_t i = 0; i < n; i++) {
		if (version_settings(list[i])->files == files)
			list[(*ret_n)++] = list[i];
	}
	return list;
}

static bool any_ready(struct version *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (version_ready(list[i]))
			return true;
	}
	return false;
}

/* Whoever is to go back to what t brought goes back to what was there before. */
static void forget_overlay(struct lifecycle *l, const struct task *t)
{
	list_for_each (&l->tasks, node) {
		struct task *other = TASK(node);

		if (other->before != t->overlay)
			continue;
		overlay_ref(t->before);
		overlay_unref(other->before);
		other->before = t->before;
	}
}

void lifecycle_on_load_failed(struct lifecycle *l, struct task *t)
{
	struct wish *w = (struct wish *)wishes_find(&l->wishes, t->name);
	struct overlay_files *files = overlay_files(t->overlay);
	_cleanup_(freep) struct version **list = NULL;
	size_t n;

	if (!files || !w)
		return;
	list = find_versions(l, t->name, overlay_files_dir(files), &n);
	if (!list || any_ready(list, n))
		return;
	for (size_t i = 0; i < n; i++)
		dispatch_remove_version(l->dispatch, list[i]);
	forget_overlay(l, t);
	if (w->overlay != t->overlay)
		return;
	if (dispatch_model_versions(l->dispatch, t->name, NULL, 0) > 0) {
		wish_set_overlay(w, t->before);
	} else {
		wish_clear(w);
		wish_set_overlay(w, NULL);
	}
}

/* Of what a repository has it is told that it was unloaded, and remembered what it took. */
static bool is_of_no_use(const struct lifecycle *l, const struct wish *w)
{
	return wish_empty(w) && !w->overlay && w->n_references == 0 &&
	       !(l->seen && repository_find(l->seen, w->name)) &&
	       dispatch_model_versions(l->dispatch, w->name, NULL, 0) == 0;
}

void lifecycle_shed_wishes(struct lifecycle *l)
{
	l->sheds = false;
	list_for_each (&l->wishes.list, node) {
		struct wish *w = list_entry(node, struct wish, node);

		if (is_of_no_use(l, w))
			wishes_drop(&l->wishes, w);
	}
}

void lifecycle_on_model_read(
	struct lifecycle *l, const struct repository *r, int error, const char *text)
{
	struct task *t = find_reading(l);
	const struct repository_entry *e = r ? repository_find(r, t->name) : NULL;

	if (r && !l->stopped)
		lifecycle_tell_odd(l, r);
	if (l->stopped)
		task_end(t, LIFECYCLE_ENDING, "the server shuts down");
	else if (error < 0)
		task_end(t, LIFECYCLE_NO_MEMORY, "%s",
			error == -ENOMEM ? "out of memory" : err_str(error));
	else if (error)
		task_end(t, LIFECYCLE_FAILED, "%s", text);
	else if (check(l, t, e))
		apply(l, t, e);
}

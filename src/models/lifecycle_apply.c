/* lifecycle_apply.c: dispatch is told what is to be served. Daemon process, loop thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"
#include "models/version_diff.h"
#include "models/version_policy.h"

/* What is served of one model, and what is wanted. */
struct plan {
	struct lifecycle *lifecycle; /* borrow */
	struct applied *applied;     /* borrow */
	struct version **versions;   /* own: all there are, then the newest of each */
	size_t n;
	const struct version_settings **now;	/* own: the newest ones' */
	const struct version_settings **wanted; /* own */
	size_t n_wanted;
};

/* Is another one to replace it? Then that one is the newest. */
static bool is_to_be_replaced(const struct plan *p, const struct version *v)
{
	for (size_t i = 0; i < p->n; i++) {
		if (version_replaces(p->versions[i]) == v)
			return true;
	}
	return false;
}

static void keep_newest(struct plan *p)
{
	size_t n = 0;

	/* Those that replace one come with it, wherever they are in the list. */
	for (size_t i = 0; i < p->n; i++) {
		if (!is_to_be_replaced(p, p->versions[i]))
			p->now[n++] = version_settings(p->versions[i]);
	}
	for (size_t i = 0, k = 0; k < n; i++) {
		if (version_settings(p->versions[i]) == p->now[k])
			p->versions[k++] = p->versions[i];
	}
	p->n = n;
}

static int find_now(struct plan *p, const char *name)
{
	struct dispatch *d = p->lifecycle->dispatch;
	size_t n = dispatch_model_versions(d, name, NULL, 0);

	p->versions = calloc(n + 1, sizeof(struct version *));
	p->now = calloc(n + 1, sizeof(struct version_settings *));
	if (!p->versions || !p->now)
		return -ENOMEM;
	p->n = dispatch_model_versions(d, name, p->versions, n);
	keep_newest(p);
	return 0;
}

static bool is_wanted(
	const struct lifecycle *l, const char *name, const struct repository_version *v)
{
	const struct wish *wish;

	if (l->settings->control != MODELS_CONTROL_EXPLICIT)
		return v->chosen;
	wish = wishes_find(&l->wishes, name);
	return wish && wish_has(wish, v->number, v->chosen);
}

static int find_wanted(struct plan *p, const struct repository_entry *e)
{
	p->wanted = calloc(e->n_versions + 1, sizeof(struct version_settings *));
	if (!p->wanted)
		return -ENOMEM;
	for (size_t i = 0; i < e->n_versions; i++) {
		if (is_wanted(p->lifecycle, e->name, &e->versions[i]))
			p->wanted[p->n_wanted++] = &e->versions[i].settings;
	}
	return 0;
}

static void failed(struct plan *p, const struct version_settings *s, int error)
{
	log_error("model cannot be added", "model=%s version=%s error=%s", s->name, s->version,
		err_str(error));
	if (!p->applied->error)
		p->applied->error = error;
}

static void watch(struct applied *a, struct version *v)
{
	if (a->task && task_watch(a->task, v) && !a->error)
		a->error = -ENOMEM;
}

static void add(struct plan *p, const struct version_settings *new, struct version *replaces)
{
	struct version *v;
	int r = dispatch_add_version(p->lifecycle->dispatch, new, replaces, &v);

	if (r) {
		failed(p, new, r);
		return;
	}
	if (replaces)
		p->applied->n_replaced++;
	else
		p->applied->n_added++;
	watch(p->applied, v);
}

/* With the candidate goes what it was to replace. */
static void take_away(struct plan *p, struct version *v)
{
	struct version *other = (struct version *)version_replaces(v);

	dispatch_remove_version(p->lifecycle->dispatch, v);
	if (other)
		dispatch_remove_version(p->lifecycle->dispatch, other);
	p->applied->n_removed++;
}

static void on_change(
	void *data, enum version_change change, size_t index, const struct version_settings *new)
{
	struct plan *p = data;
	struct version *v = change == VERSION_ADD ? NULL : p->versions[index];
	struct version *served = v ? (struct version *)version_replaces(v) : NULL;

	switch (change) {
	case VERSION_KEEP:
		version_stays(v);
		watch(p->applied, v);
		break;
	case VERSION_ADD:
		add(p, new, NULL);
		break;
	case VERSION_REPLACE:
		add(p, new, served ? served : v);
		break;
	case VERSION_REMOVE:
		take_away(p, v);
		break;
	}
}

void lifecycle_apply_entry(struct lifecycle *l, const struct repository_entry *e, struct applied *a)
{
	struct plan p = {.lifecycle = l, .applied = a};
	int r = find_now(&p, e->name);

	if (!r)
		r = find_wanted(&p, e);
	if (!r)
		version_diff(p.now, p.n, p.wanted, p.n_wanted, on_change, &p);
	else if (!a->error)
		a->error = r;
	free(p.versions);
	free(p.now);
	free(p.wanted);
}

static bool has_number(const struct version *v, uint64_t number)
{
	uint64_t n;

	return number == 0 ||
	       (version_number_parse(version_settings(v)->version, &n) && n == number);
}

void lifecycle_remove(struct lifecycle *l, const char *name, uint64_t number, struct applied *a)
{
	struct dispatch *d = l->dispatch;
	size_t n = dispatch_model_versions(d, name, NULL, 0);
	_cleanup_(freep) struct version **list = calloc(n + 1, sizeof(struct version *));

	if (!list) {
		a->error = a->error ? a->error : -ENOMEM;
		return;
	}
	(void)dispatch_model_versions(d, name, list, n);
	for (size_t i = 0; i < n; i++) {
		if (!has_number(list[i], number))
			continue;
		watch(a, list[i]);
		dispatch_remove_version(d, list[i]);
		a->n_removed++;
	}
}

/* --- All ---------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void tell(const char *message, const char *name, const char *text)
{
	char quoted_name[WIRE_NAME_MAX];
	char quoted[1024];

	log_warning(message, "model=%s why=%s",
		log_quote(name, strlen(name), quoted_name, sizeof(quoted_name)),
		log_quote(text, strlen(text), quoted, sizeof(quoted)));
}

void lifecycle_tell_odd(const struct lifecycle *l, const struct repository *r)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(r, &n);

	for (size_t i = 0; i < n; i++) {
		const struct repository_entry *before =
			l->seen ? repository_find(l->seen, entries[i].name) : NULL;

		if (entries[i].error && !(before && same_text(before->error, entries[i].error)))
			tell("model is wrong: it stays as it is", entries[i].name,
				entries[i].error);
		if (entries[i].odd && !(before && same_text(before->odd, entries[i].odd)))
			tell("model is not served just as its files say", entries[i].name,
				entries[i].odd);
	}
}

/* Models that no repository has any more. */
static void remove_vanished(struct lifecycle *l, const struct repository *r, struct applied *a)
{
	for (size_t i = dispatch_n_versions(l->dispatch); i > 0; i--) {
		const struct version_settings *s;

		/* With one go others of the same model. */
		if (i > dispatch_n_versions(l->dispatch))
			continue;
		s = version_settings(dispatch_version(l->dispatch, i - 1));
		if (!repository_find(r, s->name))
			lifecycle_remove(l, s->name, 0, a);
	}
}

static void tell_default(const struct repository *r)
{
	const char *name = repository_default_model(r);
	char quoted[WIRE_NAME_MAX];

	if (*name && !repository_find(r, name))
		log_warning("the default model is in no repository",
			"model=%s key=\"[models] default\"",
			log_quote(name, strlen(name), quoted, sizeof(quoted)));
}

static void tell_changes(const struct repository *r, const struct applied *a)
{
	log_info("models were read anew", "added=%u replaced=%u removed=%u wrong=%zu", a->n_added,
		a->n_replaced, a->n_removed, repository_n_wrong(r));
}

static void apply_if_wanted(struct lifecycle *l, struct repository *r, size_t i, struct applied *a)
{
	size_t n;
	const struct repository_entry *e = &repository_entries(r, &n)[i];

	repository_set_applied(r, i);
	if (!e->error && (!lifecycle_is_explicit(l) || wishes_find(&l->wishes, e->name)))
		lifecycle_apply_entry(l, e, a);
}

static void keep_seen(struct lifecycle *l, struct repository *r)
{
	repository_let_files_go(r);
	repository_free(l->seen);
	l->seen = r;
}

void lifecycle_apply_all(struct lifecycle *l, struct repository *r)
{
	struct applied a = {0};
	size_t n;

	(void)repository_entries(r, &n);
	lifecycle_tell_odd(l, r);
	tell_default(r);
	if (dispatch_set_default(l->dispatch, repository_default_model(r)))
		a.error = -ENOMEM;
	for (size_t i = 0; i < n; i++)
		apply_if_wanted(l, r, i, &a);
	if (!lifecycle_is_explicit(l))
		remove_vanished(l, r, &a);
	if (l->seen)
		tell_changes(r, &a);
	if (a.error)
		log_error("not all models are as they were read", "error=%s", err_str(a.error));
	keep_seen(l, r);
}

static bool same_files(const struct repository_entry *before, const struct repository_entry *e)
{
	return before && before->fingerprint == e->fingerprint &&
	       same_text(before->error, e->error);
}

/* Is a model in a that is not in b? */
static bool has_more(const struct repository *a, const struct repository *b)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(a, &n);

	for (size_t i = 0; i < n; i++) {
		if (!repository_find(b, entries[i].name))
			return true;
	}
	return false;
}

bool lifecycle_apply_settled(struct lifecycle *l, struct repository *r, bool apply)
{
	struct applied a = {0};
	bool vanishing = has_more(l->seen, r);
	bool moving = vanishing;
	size_t n;
	const struct repository_entry *entries = repository_entries(r, &n);

	lifecycle_tell_odd(l, r);
	for (size_t i = 0; i < n; i++) {
		const struct repository_entry *before = repository_find(l->seen, entries[i].name);

		if (!same_files(before, &entries[i]))
			moving = true;
		else if (before->applied)
			repository_set_applied(r, i);
		else if (apply)
			apply_if_wanted(l, r, i, &a);
	}
	if (apply && !vanishing)
		remove_vanished(l, r, &a);
	if (a.n_added + a.n_replaced + a.n_removed > 0)
		tell_changes(r, &a);
	keep_seen(l, r);
	return moving;
}

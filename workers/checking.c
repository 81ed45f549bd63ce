/*
 * checking.c: what Check asks for: a backend judges settings and parameters, for `modeld --check`. Worker process, the
 * loader's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "workers/loop_private.h"
#include "workers/model.h"

/* What a Checked has, as it comes together. */
struct faults {
	struct modeld_faults api;
	struct wire_fault list[WIRE_FAULTS_MAX]; /* texts: own */
	size_t n;
	bool failed; /* there was no memory for one */
};

/* Those that have no room are told when the others are mended. */
static void add(const struct modeld_faults *api, const char *key, const char *text)
{
	struct faults *f = (struct faults *)(uintptr_t)container_of(api, struct faults, api);
	struct modeld_error error = {.size = sizeof(error)};
	struct wire_fault *to = &f->list[f->n];

	if (f->n == WIRE_FAULTS_MAX || f->failed)
		return;
	snprintf(error.text, sizeof(error.text), "%s", text);
	host_clean_error(&error);
	to->key = strndup(key ? key : "", WIRE_NAME_MAX);
	to->text = strdup(error.text);
	f->n++;
	f->failed = !to->key || !to->text;
}

static void release(struct faults *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free((void *)f->list[i].key);
		free((void *)f->list[i].text);
	}
}

static void add_unasked(struct faults *f, const struct loop *l, const char *backend)
{
	const char *key;

	while ((key = host_next_unasked(l->host, backend)))
		add(&f->api, key, "means nothing to the backend");
}

static int judge(struct loop *l, const struct wire_load *check, struct faults *f, bool *unjudged)
{
	struct modeld_error error = {.size = sizeof(error)};
	int r = model_check(l->backends, check, &f->api, unjudged, &error);

	if (r == BACKEND_E_REFUSED)
		add(&f->api, NULL, error.text);
	if (!r && !*unjudged && !*check->name)
		add_unasked(f, l, check->backend);
	if (r < 0)
		return r;
	return f->failed ? -ENOMEM : 0;
}

int loop_check(struct loop *l, const struct wire_load *check)
{
	_cleanup_(release) struct faults f = {.api = {.size = sizeof(f.api), .add = add}};
	struct wire_message m = {.type = WIRE_CHECKED};
	bool unjudged = false;
	int r = judge(l, check, &f, &unjudged);

	if (r)
		return r;
	m.checked = (struct wire_checked){.faults = f.list, .n_faults = f.n, .unjudged = unjudged};
	return answers_add(l->answers, &m, false);
}

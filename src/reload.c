/*
 * reload.c: reads the models anew and applies what differs. The thread of libuv's has config, repository,
 * error and text while `busy`, and nothing else; all else: daemon process, loop thread.
 */
#include "reload.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "repository.h"
#include "repository_diff.h"

/* --- Applying --------------------------------------------------------------------------------- */

/* What is served, and what came of it. */
struct plan {
	struct dispatch *dispatch;
	struct version **versions;		  /* own: the newest of each model */
	const struct version_settings **settings; /* own: theirs */
	size_t n;
	unsigned n_added, n_removed, n_replaced;
};

/* Is another one to replace it? Then that one is the model's newest. */
static bool is_to_be_replaced(const struct dispatch *d, const struct version *v)
{
	for (size_t i = 0; i < dispatch_n_versions(d); i++) {
		if (version_replaces(dispatch_version(d, i)) == v)
			return true;
	}
	return false;
}

static int make_plan(struct plan *p, struct dispatch *d)
{
	size_t n = dispatch_n_versions(d);

	*p = (struct plan){.dispatch = d,
		.versions = calloc(n + 1, sizeof(struct version *)),
		.settings = calloc(n + 1, sizeof(struct version_settings *))};
	if (!p->versions || !p->settings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct version *v = dispatch_version(d, i);

		if (is_to_be_replaced(d, v))
			continue;
		p->versions[p->n] = v;
		p->settings[p->n++] = version_settings(v);
	}
	return 0;
}

static void add(struct plan *p, const struct version_settings *new, struct version *replaces)
{
	int r = dispatch_add_version(p->dispatch, new, replaces);

	if (r)
		log_error("model cannot be added", "model=%s version=%s error=%s", new->name,
			new->version, err_str(r));
	else if (replaces)
		p->n_replaced++;
	else
		p->n_added++;
}

/* With the candidate goes what it was to replace. */
static void take_away(struct plan *p, struct version *v)
{
	struct version *other = (struct version *)version_replaces(v);

	dispatch_remove_version(p->dispatch, v);
	if (other)
		dispatch_remove_version(p->dispatch, other);
	p->n_removed++;
}

static void on_change(
	void *data, enum repository_change change, size_t index, const struct version_settings *new)
{
	struct plan *p = data;
	struct version *v = change == REPOSITORY_ADD ? NULL : p->versions[index];

	if (change == REPOSITORY_ADD)
		add(p, new, NULL);
	else if (change == REPOSITORY_REMOVE)
		take_away(p, v);
	else
		add(p, new, version_replaces(v) ? (struct version *)version_replaces(v) : v);
}

static void apply(struct dispatch *d, const struct config *c, const struct repository *wanted)
{
	size_t n_errors;
	const struct repository_error *errors = repository_errors(wanted, &n_errors);
	struct plan p;

	for (size_t i = 0; i < n_errors; i++)
		log_error("model is wrong: it stays as it is", "model=%s why=\"%s\"",
			errors[i].name, errors[i].text);
	if (make_plan(&p, d) || dispatch_set_default(d, c->dispatch.default_model))
		log_error("models are not read anew", "error=%s", err_str(-ENOMEM));
	else
		repository_diff(p.settings, p.n, wanted, on_change, &p);
	log_info("models were read anew", "added=%u replaced=%u removed=%u wrong=%zu", p.n_added,
		p.n_replaced, p.n_removed, n_errors);
	free(p.versions);
	free(p.settings);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void read_all(uv_work_t *work)
{
	struct reload *r = work->data;

	r->error = config_source_read(r->source, &r->config, r->text, sizeof(r->text));
	if (!r->error)
		r->error = repository_read(&r->repository, &r->config, r->text, sizeof(r->text));
}

static void start(struct reload *r);

static void on_read(uv_work_t *work, int status)
{
	struct reload *r = work->data;

	r->busy = false;
	if (!r->stopped && r->error)
		log_error("models are not read anew", "error=\"%s\"",
			r->error == CONFIG_E_INVALID ? r->text : err_str(r->error));
	else if (!r->stopped)
		apply(r->dispatch, &r->config, r->repository);
	r->repository = repository_free(r->repository);
	config_release(&r->config);
	if (r->again && !r->stopped)
		start(r);
}

/* Threads that this makes take no signals: those are for the loop. */
static void start(struct reload *r)
{
	sigset_t all;
	sigset_t before;
	int e;

	r->again = false;
	r->busy = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = uv_queue_work(r->loop, &r->work, read_all, on_read);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert(e == 0); /* fails only without a function */
	(void)e;
}

void reload_init(
	struct reload *r, uv_loop_t *loop, const struct config_source *source, struct dispatch *d)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	r->source = source;
	r->dispatch = d;
	r->work.data = r;
}

void reload_ask(struct reload *r)
{
	if (!r->source || r->stopped)
		return;
	if (r->busy)
		r->again = true;
	else
		start(r);
}

void reload_stop(struct reload *r)
{
	r->stopped = true;
}

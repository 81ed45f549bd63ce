/*
 * check_models.c: what `modeld --check` says of the models and of the sections of backends. Daemon process, before it
 * serves.
 */
#include "check_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend_check.h"
#include "config.h"
#include "model_check.h"
#include "models/repository.h"
#include "models/where.h"
#include "server.h"

static void print_version(const struct version_settings *s)
{
	printf("; %s: version %s, backend %s, devices %s, %s\n", s->name, s->version, s->backend,
		s->devices ? s->devices : "all", s->path);
}

static void print_declared(const struct version_settings *s, const char *line)
{
	printf(";   %s\n", line);
}

static bool lacks_backend(const struct config *c, const struct version_settings *s)
{
	if (config_has_backend(c, s->backend, strlen(s->backend)))
		return false;
	fprintf(stderr, "modeld: model %s, version %s: [model] backend: %s: " CHECK_NO_BACKEND "\n",
		s->name, s->version, s->backend);
	return true;
}

/* What can be tried of it is. Returns the exit code of --check. */
static int try_version(const struct config *c, const struct version_settings *s)
{
	char why[1024] = "";

	if (lacks_backend(c, s))
		return SERVER_EXIT_CONFIG;
	if (!model_check_warmups(s, why, sizeof(why)) &&
		(!model_check_applies(c, s) || fflush(stdout) ||
			!model_check(c, s, print_declared, why, sizeof(why))))
		return SERVER_EXIT_OK;
	fprintf(stderr, "modeld: model %s, version %s: %s\n", s->name, s->version, why);
	return SERVER_EXIT_CONFIG;
}

int check_models_list(const struct config *c, const struct repository *repository)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(repository, &n);
	int failed = SERVER_EXIT_OK;

	n -= repository_n_wrong(repository);
	printf("\n; %zu model%s:\n", n, n == 1 ? "" : "s");
	(void)repository_entries(repository, &n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < entries[i].n_versions; k++) {
			const struct repository_version *v = &entries[i].versions[k];

			if (!v->chosen)
				continue;
			print_version(&v->settings);
			if (try_version(c, &v->settings))
				failed = SERVER_EXIT_CONFIG;
		}
	}
	return failed;
}

/* *ret_declared: free(); NULL where it cannot be loaded. Returns the exit code of --check. */
static int load_version(
	const struct config *c, const struct version_settings *s, struct wire_loaded **ret_declared)
{
	char why[1024] = "";

	*ret_declared = NULL;
	if (lacks_backend(c, s))
		return SERVER_EXIT_CONFIG;
	if (!model_check_load(c, s, ret_declared, why, sizeof(why)))
		return SERVER_EXIT_OK;
	fprintf(stderr, "modeld: model %s, version %s: %s\n", s->name, s->version, why);
	return SERVER_EXIT_CONFIG;
}

/* All versions that are served are loaded; the first one completes the file. Returns the exit code of --check. */
static int print_form(
	const struct config *c, enum model_form form, const struct repository_entry *e)
{
	_cleanup_(freep) struct wire_loaded *declared = NULL;
	bool first = true;
	int failed = SERVER_EXIT_OK;

	for (size_t i = 0; i < e->n_versions; i++) {
		struct wire_loaded *l;

		if (!e->versions[i].chosen)
			continue;
		if (load_version(c, &e->versions[i].settings, &l))
			failed = SERVER_EXIT_CONFIG;
		if (first)
			declared = l;
		else
			free(l);
		first = false;
	}
	return model_print_entry(stdout, form, e, declared) ? SERVER_EXIT_OS : failed;
}

int check_models_print(
	const struct config *c, enum model_form form, const struct repository *repository)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(repository, &n);
	int failed = SERVER_EXIT_OK;

	for (size_t i = 0; i < n && failed != SERVER_EXIT_OS; i++) {
		int r = print_form(c, form, &entries[i]);

		failed = r ? r : failed;
	}
	return failed;
}

unsigned check_models_wrong(const struct repository *repository)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(repository, &n);

	for (size_t i = 0; i < n; i++) {
		if (entries[i].error)
			fprintf(stderr, "modeld: model %s: %s\n", entries[i].name,
				entries[i].error);
		if (entries[i].odd)
			fprintf(stderr, "modeld: model %s: %s\n", entries[i].name, entries[i].odd);
	}
	return (unsigned)repository_n_wrong(repository);
}

unsigned check_models_default(const struct config *c, const struct repository *repository)
{
	const char *name = c->models.default_model, *where;
	char model[256];

	if (!name || !*name)
		return 0;
	/* "model" or "model:version" */
	snprintf(model, sizeof(model), "%.*s", (int)strcspn(name, ":"), name);
	if (repository_find(repository, model))
		return 0;
	where = config_where(c, "models", "default");
	fprintf(stderr, "modeld: %s%s[models] default: %s: there is no such model\n",
		where ? where : "", where ? ": " : "", name);
	return 1;
}

/* --- What backends say ---------------------------------------------------------------------------- */

/* Sections of backends that there are not. */
static unsigned print_missing(const struct config *c)
{
	struct missing_backend b;
	unsigned n = 0;
	size_t at = 0;

	while (config_next_missing_backend(c, &at, &b)) {
		fprintf(stderr, "modeld: %s: [backend.%.*s]: " CHECK_NO_BACKEND "\n", b.where, b.n,
			b.name);
		n++;
	}
	return n;
}

/* What is asked, and what was answered. */
struct judging {
	const struct config *config;	    /* borrow */
	struct backend_question *questions; /* own; their backends without a model: own, too */
	size_t n;
	bool notes; /* say of what nothing is known */
	unsigned n_faults;
};

static void print_fault(
	void *data, const struct backend_question *q, const char *key, const char *text)
{
	struct judging *j = data;
	char where[4200];

	j->n_faults++;
	if (q->v) {
		where_parameter(&j->config->models, q->v->name, key, where, sizeof(where));
		fprintf(stderr, "modeld: model %s: %s%s[parameters]%s%s: %s\n", q->v->name, where,
			*where ? ": " : "", *key ? " " : "", key, text);
	} else {
		const char *at = config_where_setting(j->config, q->backend, key);

		fprintf(stderr, "modeld: %s%s[backend.%s]%s%s: %s\n", at ? at : "", at ? ": " : "",
			q->backend, *key ? " " : "", key, text);
	}
}

static void print_unjudged(void *data, const struct backend_question *q)
{
	const struct judging *j = data;

	if (j->notes && !q->v)
		printf("; [backend.%s]: the backend does not say which settings it knows\n",
			q->backend);
	else if (j->notes && q->v->n_parameters > 0)
		printf("; %s: [parameters]: the backend %s does not say which it knows\n",
			q->v->name, q->backend);
}

static int ask(struct judging *j, const char *backend, const struct version_settings *v)
{
	struct backend_question *all = realloc(j->questions, (j->n + 1) * sizeof(*all));

	if (!all)
		return -1;
	j->questions = all;
	all[j->n++] = (struct backend_question){.backend = backend, .v = v};
	return 0;
}

/* Each backend of which there are settings, once. */
static int ask_settings(struct judging *j)
{
	const struct pool_settings *p = &j->config->pool;

	for (size_t i = 0; i < p->n_settings; i++) {
		const char *key = p->settings[i].key;
		size_t n = strcspn(key, "."), k = 0;
		char *name;

		while (k < i && strncmp(p->settings[k].key, key, n + 1) != 0)
			k++;
		if (k < i || !backend_check_applies(j->config, key, n))
			continue;
		name = strndup(key, n);
		if (!name || ask(j, name, NULL)) {
			free(name);
			return -1;
		}
	}
	return 0;
}

/* All versions of a model have its parameters: one of each backend is asked for. */
static int ask_entry(struct judging *j, const struct repository_entry *e)
{
	const char *before = "";

	for (size_t i = 0; i < e->n_versions; i++) {
		const struct version_settings *v = &e->versions[i].settings;

		if (!e->versions[i].chosen || !strcmp(before, v->backend) ||
			!backend_check_applies(j->config, v->backend, strlen(v->backend)))
			continue;
		before = v->backend;
		if (ask(j, v->backend, v))
			return -1;
	}
	return 0;
}

static int ask_all(struct judging *j, const struct repository *repository)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(repository, &n);
	int r = ask_settings(j);

	for (size_t i = 0; !r && i < n; i++)
		r = ask_entry(j, &entries[i]);
	return r;
}

static void release(struct judging *j)
{
	for (size_t i = 0; i < j->n; i++) {
		if (!j->questions[i].v)
			free((void *)j->questions[i].backend);
	}
	free(j->questions);
}

unsigned check_models_backends(
	const struct config *c, const struct repository *repository, bool notes)
{
	static const struct backend_check_says says = {
		.fault = print_fault, .unjudged = print_unjudged};
	_cleanup_(release) struct judging j = {.config = c, .notes = notes};
	char why[512] = "there is no memory";

	j.n_faults = print_missing(c);
	/* Without a program there is nobody to ask; that is said where programs are looked at. */
	if (access(c->pool.worker_program, X_OK))
		return j.n_faults;
	if (ask_all(&j, repository) ||
		backend_check(c, j.questions, j.n, &says, &j, why, sizeof(why))) {
		fprintf(stderr, "modeld: the settings of backends cannot be judged: %s\n", why);
		j.n_faults++;
	}
	(void)fflush(stdout);
	return j.n_faults;
}

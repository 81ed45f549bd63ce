/*
 * config_programs.c: worker programs of backends: "worker", "worker_environment" and "sandbox" of [backend.NAME], which are
 * the daemon's own business; all other keys of the section go to workers. Some backends have a program that
 * comes with modeld.
 */
#include "config_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLANKS "\t "

/* Where it is there, and [backend.NAME] worker says nothing else. */
static const struct {
	const char *backend, *program;
} usual[] = {{"python", "modeld-python"}, {"sklearn", "modeld-python"}, {"torch", "modeld-python"}};

#define N_USUAL (sizeof(usual) / sizeof(usual[0]))

/* Is it NAME.key? Then ret_n: bytes of NAME. */
static bool is_key(const char *text, const char *key, size_t *ret_n)
{
	const char *dot = strrchr(text, '.');

	*ret_n = dot ? (size_t)(dot - text) : 0;
	return dot && !strcmp(dot + 1, key);
}

/* The words of a text, NULL-terminated. NULL: no memory */
static const char **split(struct config *c, const char *text)
{
	char *copy = config_strdup(c, text);
	const char **words = config_alloc(c, (strlen(text) / 2 + 2) * sizeof(*words));
	size_t n = 0;

	if (!copy || !words)
		return NULL;
	for (char *word; (word = strsep(&copy, BLANKS));) {
		if (*word)
			words[n++] = word;
	}
	words[n] = NULL;
	return words;
}

static int invalid(char *message, size_t cap, const struct config_backend_setting *s, size_t n_name,
	const char *what)
{
	snprintf(message, cap, "[backend.%.*s] %s: %s", (int)n_name, s->key, s->key + n_name + 1,
		what);
	return CONFIG_E_INVALID;
}

/* What has no slash is beside the worker program. */
static const char *find_program(struct config *c, const char *name)
{
	const char *slash = strrchr(c->pool.worker_program, '/');

	if (strchr(name, '/') || !slash)
		return name;
	return config_printf(
		c, "%.*s/%s", (int)(slash - c->pool.worker_program), c->pool.worker_program, name);
}

static int fill_argv(struct config *c, struct pool_program *p,
	const struct config_backend_setting *s, char *message, size_t cap)
{
	size_t n = strlen(p->backend);
	const char **argv = split(c, s->value);

	if (!argv)
		return -ENOMEM;
	if (!argv[0])
		return invalid(message, cap, s, n, "needs a program, and may have arguments");
	argv[0] = find_program(c, argv[0]);
	p->argv = argv;
	return argv[0] ? 0 : -ENOMEM;
}

static int fill_environment(struct config *c, struct pool_program *p,
	const struct config_backend_setting *s, char *message, size_t cap)
{
	size_t n = strlen(p->backend);
	const char **list = split(c, s->value);

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; list[i]; i++) {
		if (!strchr(list[i], '=') || list[i][0] == '=')
			return invalid(message, cap, s, n, "needs NAME=value, separated by blanks");
	}
	p->environment = list;
	return 0;
}

/* Of the backend that s belongs to; NULL: it is not there. */
static struct pool_program *find(
	const struct config *c, struct pool_program *all, const char *key, size_t n)
{
	for (size_t i = 0; i < c->pool.n_programs; i++) {
		if (!strncmp(all[i].backend, key, n) && !all[i].backend[n])
			return &all[i];
	}
	return NULL;
}

static int add(struct config *c, struct pool_program *all, const struct config_backend_setting *s,
	size_t n, char *message, size_t cap)
{
	struct pool_program *p = &all[c->pool.n_programs];

	*p = (struct pool_program){.backend = config_printf(c, "%.*s", (int)n, s->key)};
	if (!p->backend)
		return -ENOMEM;
	c->pool.n_programs++;
	return fill_argv(c, p, s, message, cap);
}

static int add_environment(struct config *c, struct pool_program *all,
	const struct config_backend_setting *s, size_t n, char *message, size_t cap)
{
	struct pool_program *p = find(c, all, s->key, n);

	if (!p)
		return invalid(message, cap, s, n, "there is no 'worker' that it would be for");
	return fill_environment(c, p, s, message, cap);
}

/* Ahead of what "worker_environment" says. */
static int prepend(struct config *c, struct pool_program *p, const char *entry)
{
	const char **list;
	size_t n = 0;

	while (p->environment && p->environment[n])
		n++;
	list = config_alloc(c, (n + 2) * sizeof(*list));
	if (!list || !entry)
		return -ENOMEM;
	list[0] = entry;
	if (n > 0)
		memcpy(list + 1, p->environment, n * sizeof(*list));
	list[n + 1] = NULL;
	p->environment = list;
	return 0;
}

static int set_sandbox(struct config *c, struct pool_program *all,
	const struct config_backend_setting *s, size_t n, char *message, size_t cap)
{
	struct pool_program *p = find(c, all, s->key, n);

	if (!p)
		return invalid(message, cap, s, n,
			"there is no 'worker' that it would be for: it shares those of [worker] "
			"sandbox");
	if (!config_is_sandbox(s->value))
		return invalid(message, cap, s, n, "is none of on, relaxed, off");
	p->sandbox = config_strdup(c, s->value);
	return p->sandbox ? prepend(c, p, config_printf(c, "MODELD_SANDBOX=%s", s->value))
			  : -ENOMEM;
}

static int add_usual(struct config *c, struct pool_program *all)
{
	for (size_t i = 0; i < N_USUAL; i++) {
		const char *path = find_program(c, usual[i].program);
		const char **argv = config_alloc(c, 2 * sizeof(*argv));

		if (!path || !argv)
			return -ENOMEM;
		if (find(c, all, usual[i].backend, strlen(usual[i].backend)) || access(path, X_OK))
			continue;
		argv[0] = path;
		argv[1] = NULL;
		all[c->pool.n_programs++] =
			(struct pool_program){.backend = usual[i].backend, .argv = argv};
	}
	return 0;
}

/* The daemon's own keys do not go to workers. */
static void drop_keys(struct config *c)
{
	struct wire_pair *pairs = (struct wire_pair *)c->pool.settings;
	size_t kept = 0, n;

	for (size_t i = 0; i < c->pool.n_settings; i++) {
		if (!is_key(pairs[i].key, "worker", &n) &&
			!is_key(pairs[i].key, "worker_environment", &n) &&
			!is_key(pairs[i].key, "sandbox", &n))
			pairs[kept++] = pairs[i];
	}
	c->pool.n_settings = kept;
}

int config_find_programs(struct config *c, char *message, size_t cap)
{
	const struct config_store *store = c->store;
	struct pool_program *all = config_alloc(c, (store->n_backend + N_USUAL) * sizeof(*all));
	size_t n;
	int r = all ? 0 : -ENOMEM;

	c->pool.n_programs = 0;
	for (size_t i = 0; i < store->n_backend && !r; i++) {
		if (is_key(store->backend[i].key, "worker", &n))
			r = add(c, all, &store->backend[i], n, message, cap);
	}
	if (!r)
		r = add_usual(c, all);
	for (size_t i = 0; i < store->n_backend && !r; i++) {
		if (is_key(store->backend[i].key, "worker_environment", &n))
			r = add_environment(c, all, &store->backend[i], n, message, cap);
	}
	for (size_t i = 0; i < store->n_backend && !r; i++) {
		if (is_key(store->backend[i].key, "sandbox", &n))
			r = set_sandbox(c, all, &store->backend[i], n, message, cap);
	}
	c->pool.programs = all;
	drop_keys(c);
	return r;
}

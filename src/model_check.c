/*
 * model_check.c: either PROGRAM --check DIRECTORY BACKEND, with the environment of a worker, which prints what the model
 * declares to descriptor 3; or a worker, to which we are the daemon for one load. Daemon process, before it serves.
 */
#include "model_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"
#include "base/list.h"
#include "base/log.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "pool/declaration.h"
#include "pool/orders.h"
#include "pool/pool.h"
#include "pool/program.h"
#include "proto/warmup_data.h"
#include "proto/wire.h"

#define PROGRAM	 "modeld-python"
#define SAID_MAX 512u

/* A program that prints lines. */
struct listing {
	struct attempt attempt;
	void (*say)(const struct version_settings *v, const char *line);
	char line[SAID_MAX];
	size_t n;
};

/* A worker that loads. */
struct loading {
	struct attempt attempt;
	struct wire_loaded *loaded; /* own; NULL: it has not said so yet */
};

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

bool model_check_applies(const struct config *c, const struct version_settings *v)
{
	const struct pool_program *p = program_find(&c->pool, v->backend);
	const char *path = p ? p->argv[count(p->argv) - 1] : "";
	const char *slash = strrchr(path, '/');

	return !strcmp(slash ? slash + 1 : path, PROGRAM);
}

/* --- A program that prints lines ----------------------------------------------------------------- */

static int start_check(struct attempt *a, int fd)
{
	const struct pool_program *p = program_find(&a->config->pool, a->v->backend);
	size_t n = count(p->argv);
	_cleanup_(freep) const char **argv = calloc(n + 4, sizeof(*argv));

	if (!argv)
		return -ENOMEM;
	memcpy(argv, p->argv, n * sizeof(*argv));
	argv[n] = "--check";
	argv[n + 1] = a->v->path;
	argv[n + 2] = a->v->backend;
	return attempt_start(a, p, argv, fd);
}

/* Longer lines are cut into several. */
static void take(struct listing *l, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] != '\n')
			l->line[l->n++] = data[i];
		if (data[i] != '\n' && l->n < sizeof(l->line) - 1)
			continue;
		l->line[l->n] = '\0';
		l->n = 0;
		l->say(l->attempt.v, l->line);
	}
}

static int hear_lines(struct attempt *a)
{
	struct listing *l = container_of(a, struct listing, attempt);
	char data[512];
	ssize_t n;

	while ((n = read(a->fd, data, sizeof(data))) > 0)
		take(l, data, (size_t)n);
	return 0;
}

int model_check(const struct config *c, const struct version_settings *v,
	void (*say)(const struct version_settings *v, const char *line), char *why, size_t cap)
{
	struct listing l = {.say = say};
	struct attempt *a = &l.attempt;
	int pair[2];
	int status = 0;
	int r;

	attempt_init(a, c, v, why, cap);
	a->hear = hear_lines;
	if (pipe2(pair, O_CLOEXEC))
		return attempt_end(a, -errno);
	a->fd = pair[0];
	r = fcntl(pair[0], F_SETFL, O_NONBLOCK) ? -errno : 0;
	attempt_limit(a, c->pool.load_timeout_ms);
	if (!r)
		r = start_check(a, pair[1]);
	close(pair[1]);
	if (!r)
		r = attempt_finish(a, 0, &status);
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = attempt_ended(a, "code", "cannot be loaded", status);
	return attempt_end(a, r);
}

/* --- A worker that loads -------------------------------------------------------------------------- */

static int tell_load(struct attempt *a)
{
	const struct pool_model_settings s = version_settings_for_pool(a->v);
	struct wire_message m = {.type = WIRE_LOAD};

	orders_load(&m.load, &s);
	m.load.model = 1;
	m.load.instances = 1;
	return attempt_tell(a, &m);
}

static uint32_t max_batch_size(const struct attempt *a, const struct wire_loaded *l)
{
	uint32_t allowed = a->v->max_batch_size == UINT32_MAX
				   ? a->config->dispatch.default_max_batch_size
				   : a->v->max_batch_size;

	return l->max_batch_size < allowed ? l->max_batch_size : allowed;
}

static int take_loaded(struct attempt *a, const struct wire_loaded *l)
{
	struct loading *loading = container_of(a, struct loading, attempt);

	if (!l->ok) {
		log_quote(l->error, strlen(l->error), a->why, a->cap);
		return -ENOEXEC;
	}
	loading->loaded = declaration_copy(l);
	if (!loading->loaded)
		return -ENOMEM;
	loading->loaded->max_batch_size = max_batch_size(a, l);
	return 1;
}

static int take_message(struct attempt *a, const struct wire_message *m)
{
	if (m->type == WIRE_HELLO)
		return tell_load(a);
	return m->type == WIRE_LOADED ? take_loaded(a, &m->loaded) : 0;
}

int model_check_load(const struct config *c, const struct version_settings *v,
	struct wire_loaded **ret_loaded, char *why, size_t cap)
{
	struct loading l = {0};
	struct attempt *a = &l.attempt;
	int status = 0;
	int r;

	attempt_init(a, c, v, why, cap);
	a->take = take_message;
	if (c->pool.load_timeout_ms > 0)
		attempt_limit(a, c->pool.start_timeout_ms + c->pool.load_timeout_ms);
	r = attempt_converse(a, &status);
	if (!r)
		r = attempt_ended(a, "worker", "ended before it was loaded", status);
	r = attempt_end(a, r < 0 ? r : 0);
	*ret_loaded = l.loaded;
	return r;
}

/* --- Files of warm-ups -------------------------------------------------------------------------- */

static int try_input(
	const struct wire_warmup_input *in, const char *directory, char *text, size_t cap)
{
	_cleanup_(warmup_data_close) struct warmup_data d = {.fd = -1};
	_cleanup_(freep) void *row = NULL;
	int r = warmup_data_open(&d, in, directory, text, cap);

	if (r)
		return r;
	row = malloc(d.bytes + 1);
	return row ? warmup_data_fill(&d, row, text, cap) : -ENOMEM;
}

int model_check_warmups(const struct version_settings *v, char *why, size_t cap)
{
	char text[256];
	int r = 0;

	for (size_t i = 0; !r && i < v->n_warmups; i++) {
		const struct wire_warmup *w = &v->warmups[i];

		for (size_t k = 0; !r && k < w->n_inputs; k++) {
			if (!*w->inputs[k].file)
				continue;
			r = try_input(&w->inputs[k], v->warmup_path, text, sizeof(text));
			if (r == WARMUP_DATA_E_INVALID)
				snprintf(why, cap, "warm-up '%s': input '%s': %s", w->name,
					w->inputs[k].name, text);
		}
	}
	return r == WARMUP_DATA_E_INVALID ? -EINVAL : r;
}

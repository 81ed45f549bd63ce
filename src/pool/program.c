/* program.c: worker programs of backends, and their environment. Daemon process, loop thread. */
#include "pool/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"

#define OURS 8u /* variables */

const struct pool_program *program_find(const struct pool_settings *s, const char *backend)
{
	for (size_t i = 0; i < s->n_programs; i++) {
		if (!strcmp(s->programs[i].backend, backend))
			return &s->programs[i];
	}
	return NULL;
}

/* A text that grows; with text NULL it only counts. */
struct writer {
	char *text;
	size_t n;
};

static void put(struct writer *w, const char *text, size_t n)
{
	if (w->text)
		memcpy(w->text + w->n, text, n);
	w->n += n;
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

/* Begins a variable, and returns where. */
static size_t begin(struct writer *w, const char *name)
{
	size_t at = w->n;

	put_text(w, name);
	put(w, "=", 1);
	return at;
}

static void end(struct writer *w)
{
	put(w, "", 1);
}

static size_t put_variable(struct writer *w, const char *name, const char *value)
{
	size_t at = begin(w, name);

	put_text(w, value);
	end(w);
	return at;
}

/* Those whose key begins with `prefix` and a dot, without it; prefix NULL: all. */
static size_t put_pairs(struct writer *w, const char *name, const struct wire_pair *pairs, size_t n,
	const char *prefix)
{
	size_t at = begin(w, name);
	size_t skip = prefix ? strlen(prefix) + 1 : 0;

	for (size_t i = 0; i < n; i++) {
		if (prefix && (strncmp(pairs[i].key, prefix, skip - 1) != 0 ||
				      pairs[i].key[skip - 1] != '.'))
			continue;
		put_text(w, pairs[i].key + skip);
		put(w, "=", 1);
		put_text(w, pairs[i].value);
		put(w, "\n", 1);
	}
	end(w);
	return at;
}

static size_t put_ms(struct writer *w, const char *name, uint64_t ms)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, ms);
	return put_variable(w, name, text);
}

/* ret_at: where each begins. */
static void write_ours(struct writer *w, const struct pool_settings *s,
	const struct pool_model_settings *m, const char *device, size_t ret_at[OURS])
{
	ret_at[0] = put_variable(w, "MODELD_DEVICE", device);
	ret_at[1] = put_variable(w, "MODELD_MODEL_NAME", m->name);
	ret_at[2] = put_variable(w, "MODELD_MODEL_VERSION", m->version);
	ret_at[3] = put_variable(w, "MODELD_MODEL_PATH", m->path);
	ret_at[4] = put_pairs(w, "MODELD_PARAMETERS", m->parameters, m->n_parameters, NULL);
	ret_at[5] = put_pairs(w, "MODELD_SETTINGS", s->settings, s->n_settings, m->backend);
	ret_at[6] = put_ms(w, "MODELD_RUN_TIMEOUT_MS", m->run_timeout_ms);
	ret_at[7] = put_ms(w, "MODELD_LOAD_TIMEOUT_MS", s->load_timeout_ms);
}

int program_environment(char ***ret_list, const struct pool_settings *s,
	const struct pool_program *p, const struct pool_model_settings *m, const char *device)
{
	struct writer w = {0};
	size_t at[OURS], n = 0;
	char **list;

	while (p && p->environment && p->environment[n])
		n++;
	write_ours(&w, s, m, device, at);
	list = malloc((n + OURS + 1) * sizeof(*list) + w.n);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = (char *)p->environment[i];
	w = (struct writer){.text = (char *)(list + n + OURS + 1)};
	write_ours(&w, s, m, device, at);
	for (size_t i = 0; i < OURS; i++)
		list[n + i] = w.text + at[i];
	list[n + OURS] = NULL;
	*ret_list = list;
	return 0;
}

/* models_source.c: the configuration, and the repositories that it names. Daemon process, any thread. */
#include "models_source.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "models/repository.h"

/* What a reload does not apply stays as it was at the start. */
static void tell_need_restart(const struct models_source *s)
{
	char keys[1024];

	if (config_need_restart(s->first, &s->latest, keys, sizeof(keys)) > 0)
		log_warning("keys that have changed need a restart", "keys=\"%s\"", keys);
}

/* Workers were told at the start what they may read, and cannot be given more. */
static void tell_hidden(const struct models_source *s)
{
	char paths[1024];

	if (config_find_hidden(s->first, &s->latest, paths, sizeof(paths)) > 0)
		log_warning(
			"a repository was added that workers cannot read in their sandbox: restart "
			"modeld",
			"repository=\"%s\"", paths);
}

/* What is wrong with it changes nothing. */
static int read_configuration(struct models_source *s, char *text, size_t cap)
{
	_cleanup_(config_release) struct config c = {0};
	int r = config_source_read(s->source, &c, text, cap);

	if (r)
		return r;
	config_release(&s->latest);
	s->latest = c;
	memset(&c, 0, sizeof(c));
	tell_need_restart(s);
	tell_hidden(s);
	return 0;
}

static int read_models(void *data, const char *name, bool anew, const struct overlays *overlays,
	struct repository **ret_repository, char *text, size_t cap)
{
	struct models_source *s = data;
	const struct models_settings *settings;
	int r = anew && s->source ? read_configuration(s, text, cap) : 0;

	if (r)
		return r;
	settings = s->latest.store ? &s->latest.models : &s->first->models;
	return name ? repository_read_model(ret_repository, settings, overlays, name, text, cap)
		    : repository_read(ret_repository, settings, overlays, text, cap);
}

void models_source_init(struct models_source *s, const struct config *first)
{
	*s = (struct models_source){.first = first, .lifecycle = {.read = read_models, .data = s}};
}

void models_source_set(struct models_source *s, const struct config_source *source)
{
	s->source = source;
}

void models_source_release(struct models_source *s)
{
	config_release(&s->latest);
}

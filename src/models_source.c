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

/* `now` comes in the place of what was read last. */
static void note_added(struct models_source *s, const struct config *now)
{
	const struct config *before = s->latest.store ? &s->latest : s->first;
	char paths[1024];

	if (config_find_hidden(s->first, before, now, paths, sizeof(paths)) == 0)
		return;
	s->wider = true;
	log_info("a repository was added: workers that cannot read it in their sandbox are "
		 "replaced",
		"repository=\"%s\"", paths);
}

/* What is wrong with it changes nothing. */
static int read_configuration(struct models_source *s, char *text, size_t cap)
{
	_cleanup_(config_release) struct config c = {0};
	int r = config_source_read(s->source, &c, text, cap);

	if (!r)
		r = config_renew_sandbox(&c, s->first);
	if (r)
		return r;
	note_added(s, &c);
	config_release(&s->latest);
	s->latest = c;
	memset(&c, 0, sizeof(c));
	tell_need_restart(s);
	return 0;
}

/* On the loop: nobody reads. */
static void on_read(void *data)
{
	struct models_source *s = data;

	if (!s->latest.store || !s->on_sandbox)
		return;
	s->on_sandbox(s->on_sandbox_data, s->latest.pool.sandbox, s->wider);
	s->wider = false;
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
	*s = (struct models_source){
		.first = first, .lifecycle = {.read = read_models, .on_read = on_read, .data = s}};
}

void models_source_set(struct models_source *s, const struct config_source *source)
{
	s->source = source;
}

void models_source_tell(struct models_source *s,
	void (*on_sandbox)(void *data, const char *const *sandbox, bool wider), void *data)
{
	s->on_sandbox = on_sandbox;
	s->on_sandbox_data = data;
}

void models_source_release(struct models_source *s)
{
	config_release(&s->latest);
}

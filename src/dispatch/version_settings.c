/* version_settings.c: settings with strings of their own. */
#include "dispatch/version_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/spool.h"
#include "dispatch/warmup_settings.h"
#include "pool/pool.h"

/* NULL stays NULL. Sets *failed where there is no memory. */
static const char *copy_text(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

static void copy_parameters(
	struct version_settings *to, const struct version_settings *from, bool *failed)
{
	struct wire_pair *pairs;

	to->parameters = NULL;
	to->n_parameters = 0;
	if (from->n_parameters == 0)
		return;
	pairs = calloc(from->n_parameters, sizeof(*pairs));
	if (!pairs) {
		*failed = true;
		return;
	}
	for (size_t i = 0; i < from->n_parameters; i++) {
		pairs[i].key = copy_text(from->parameters[i].key, failed);
		pairs[i].value = copy_text(from->parameters[i].value, failed);
	}
	to->parameters = pairs;
	to->n_parameters = from->n_parameters;
}

int version_settings_copy(struct version_settings *to, const struct version_settings *from)
{
	bool failed = false;

	*to = *from;
	to->files = spool_dir_ref(from->files);
	to->name = copy_text(from->name, &failed);
	to->version = copy_text(from->version, &failed);
	to->path = copy_text(from->path, &failed);
	to->backend = copy_text(from->backend, &failed);
	to->devices = copy_text(from->devices, &failed);
	to->fallback = copy_text(from->fallback, &failed);
	to->caller_parameters = copy_text(from->caller_parameters, &failed);
	copy_parameters(to, from, &failed);
	to->warmup_path = copy_text(from->warmup_path, &failed);
	to->warmups = NULL;
	to->n_warmups = from->n_warmups;
	if (warmups_copy(&to->warmups, from->warmups, from->n_warmups)) {
		to->n_warmups = 0;
		failed = true;
	}
	to->sequence = NULL;
	to->queue = NULL;
	to->labels = NULL;
	to->claims = NULL;
	failed |= sequence_settings_copy(&to->sequence, from->sequence) != 0;
	failed |= queue_settings_copy(&to->queue, from->queue) != 0;
	failed |= labels_copy(&to->labels, from->labels) != 0;
	failed |= claims_copy(&to->claims, from->claims) != 0;
	if (!failed)
		return 0;
	version_settings_release(to);
	return -ENOMEM;
}

void version_settings_release(struct version_settings *s)
{
	for (size_t i = 0; i < s->n_parameters; i++) {
		free((void *)s->parameters[i].key);
		free((void *)s->parameters[i].value);
	}
	free((void *)s->parameters);
	warmups_free(s->warmups, s->n_warmups);
	free((void *)s->warmup_path);
	free((void *)s->name);
	free((void *)s->version);
	free((void *)s->path);
	free((void *)s->backend);
	free((void *)s->devices);
	free((void *)s->fallback);
	free((void *)s->caller_parameters);
	free(s->sequence);
	free(s->queue);
	free(s->labels);
	free(s->claims);
	spool_dir_unref(s->files);
	memset(s, 0, sizeof(*s));
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool parameters_equal(const struct version_settings *a, const struct version_settings *b)
{
	if (a->n_parameters != b->n_parameters)
		return false;
	for (size_t i = 0; i < a->n_parameters; i++) {
		if (!text_equal(a->parameters[i].key, b->parameters[i].key) ||
			!text_equal(a->parameters[i].value, b->parameters[i].value))
			return false;
	}
	return true;
}

bool version_settings_equal(const struct version_settings *a, const struct version_settings *b)
{
	return text_equal(a->name, b->name) && text_equal(a->version, b->version) &&
	       text_equal(a->path, b->path) && text_equal(a->backend, b->backend) &&
	       text_equal(a->devices, b->devices) && text_equal(a->fallback, b->fallback) &&
	       a->gpu_priority == b->gpu_priority && a->max_batch_size == b->max_batch_size &&
	       a->max_queue_delay_us == b->max_queue_delay_us &&
	       a->max_queue_size == b->max_queue_size && a->run_timeout_ms == b->run_timeout_ms &&
	       a->instances == b->instances && a->stateful == b->stateful &&
	       a->isolation == b->isolation && a->content == b->content &&
	       text_equal(a->warmup_path, b->warmup_path) &&
	       warmups_equal(a->warmups, a->n_warmups, b->warmups, b->n_warmups) &&
	       sequence_settings_equal(a->sequence, b->sequence) &&
	       queue_settings_equal(a->queue, b->queue) && labels_equal(a->labels, b->labels) &&
	       claims_equal(a->claims, b->claims) && parameters_equal(a, b);
}

/* --- On the wire -------------------------------------------------------------------------------- */

#define FIELD_BYTES  6u	 /* its head: a tag and a length */
#define NUMBER_BYTES 11u /* with its tag */

static size_t text_bytes(const char *text)
{
	return FIELD_BYTES + (text ? strlen(text) : 0);
}

static size_t warmup_bytes(const struct wire_warmup *w)
{
	size_t n = FIELD_BYTES + text_bytes(w->name) + 2 * NUMBER_BYTES;

	for (size_t i = 0; i < w->n_inputs; i++)
		n += 2 * FIELD_BYTES + text_bytes(w->inputs[i].name) +
		     text_bytes(w->inputs[i].file) + NUMBER_BYTES * (2 + (size_t)w->inputs[i].rank);
	return n;
}

size_t version_settings_bytes(const struct version_settings *s)
{
	size_t n = text_bytes(s->name) + text_bytes(s->version) + text_bytes(s->path) +
		   text_bytes(s->backend) + text_bytes(s->warmup_path);

	for (size_t i = 0; i < s->n_parameters; i++)
		n += FIELD_BYTES + text_bytes(s->parameters[i].key) +
		     text_bytes(s->parameters[i].value);
	for (size_t i = 0; i < s->n_warmups; i++)
		n += warmup_bytes(&s->warmups[i]);
	return n;
}

struct pool_model_settings version_settings_for_pool(const struct version_settings *s)
{
	return (struct pool_model_settings){
		.name = s->name,
		.version = s->version,
		.path = s->path,
		.backend = s->backend,
		.devices = s->devices,
		.fallback = s->fallback,
		.gpu_priority = s->gpu_priority,
		.max_batch_size = s->max_batch_size,
		.instances = s->instances,
		.isolation = s->isolation,
		.keeps_state = s->stateful && !s->sequence,
		.run_timeout_ms = s->run_timeout_ms,
		.parameters = s->parameters,
		.n_parameters = s->n_parameters,
		.warmup_path = s->warmup_path,
		.warmups = s->warmups,
		.n_warmups = s->n_warmups,
	};
}

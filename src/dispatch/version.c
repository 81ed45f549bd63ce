/*
 * version.c: one version of a model. What may change at run time (readiness, declaration) is asked of the
 * pool each time and never kept here, so it cannot be stale.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/version.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/pool.h"
#include "pool/worker.h"

static void version_free(struct version *v)
{
	assert(!v->work && !v->replaces && v->n_requests == 0);
	pool_model_free(v->pool_model);
	spare_clear(&v->spare_requests);
	version_stays(v);
	free(v->contradiction);
	version_settings_release(&v->settings);
	free(v);
}

int version_new(struct version **ret_version, const struct version_settings *settings,
	uint32_t default_max_batch_size, struct pool *pool)
{
	struct version *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->refs = 1;
	list_init(&v->node);
	list_init(&v->family_node);
	r = version_settings_copy(&v->settings, settings);
	if (!r) {
		v->settings.stateful |= v->settings.sequence != NULL;
		v->load = version_settings_for_pool(&v->settings);
		r = pool_model_new(&v->pool_model, pool, &v->load, v);
	}
	if (r) {
		version_free(v);
		return r;
	}
	v->max_batch_size = v->settings.max_batch_size;
	if (v->max_batch_size == UINT32_MAX)
		v->max_batch_size = default_max_batch_size;
	*ret_version = v;
	return 0;
}

struct version *version_ref(struct version *v)
{
	assert(v->refs > 0);
	v->refs++;
	return v;
}

struct version *version_unref(struct version *v)
{
	if (!v)
		return NULL;
	assert(v->refs > 0);
	if (--v->refs == 0)
		version_free(v);
	return NULL;
}

bool version_delays(const struct version *v)
{
	return v->settings.max_queue_delay_us > 0 && version_max_batch_size(v) > 1;
}

const struct version_settings *version_settings(const struct version *v)
{
	return &v->settings;
}

const struct version *version_replaces(const struct version *v)
{
	return v->replaces;
}

bool version_retired(const struct version *v)
{
	return v->retired;
}

uint32_t version_workers_failed(const struct version *v)
{
	return pool_model_failed(v->pool_model);
}

void version_retry(struct version *v)
{
	if (!v->retired)
		pool_model_retry(v->pool_model);
}

const struct wire_loaded *version_declared(const struct version *v)
{
	return pool_model_loaded(v->pool_model);
}

bool version_decoupled(const struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);

	return declared && declared->decoupled;
}

/* The backend's word, cut by the configuration's: its own when set, else the default. */
uint32_t version_max_batch_size(const struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);

	if (declared && declared->max_batch_size < v->max_batch_size)
		return declared->max_batch_size;
	return v->max_batch_size;
}

bool version_ready(const struct version *v)
{
	return pool_model_ready(v->pool_model) > 0;
}

bool version_serving(const struct version *v)
{
	return version_ready(v) && !(v->work && v->work->overdue[0]);
}

bool version_hopeful(const struct version *v)
{
	return pool_model_hopeful(v->pool_model) > 0;
}

/* It was ready before; what was only declared is still on its way. */
static bool was_there(const struct version *v)
{
	return version_declared(v) && v->proven;
}

const char *version_state_name(const struct version *v)
{
	if (version_ready(v))
		return version_serving(v) ? "ready" : "overdue";
	if (!version_hopeful(v))
		return "failed";
	return was_there(v) ? "unavailable" : "loading";
}

const char *version_unavailable_text(const struct version *v)
{
	if (!version_hopeful(v))
		return "has failed";
	return was_there(v) ? "is not available" : "is not loaded yet";
}

const char *version_detail(const struct version *v)
{
	if (version_ready(v) && !version_serving(v))
		return v->work->overdue;
	return pool_model_detail(v->pool_model);
}

const char *version_remark(const struct version *v)
{
	if (v->passed_over)
		return v->passed_over;
	return v->contradiction ? v->contradiction : "";
}

void version_compare(struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);
	char text[CLAIMS_TEXT_MAX], quoted[CLAIMS_TEXT_MAX + 64];

	if (v->contradiction || !declared ||
		!claims_contradict(v->settings.claims, declared, text, sizeof(text)))
		return;
	v->contradiction = strdup(text);
	log_warning("a model is not what its configuration says: the model holds",
		"model=%s version=%s why=%s", v->settings.name, v->settings.version,
		log_quote(text, strlen(text), quoted, sizeof(quoted)));
}

void version_stays(struct version *v)
{
	free(v->passed_over);
	v->passed_over = NULL;
}

void version_pass_over(struct version *v, const struct version *failed)
{
	char text[512];

	version_stays(v);
	(void)snprintf(text, sizeof(text), "version %s has failed, this one goes on: %s",
		failed->settings.version, version_detail(failed));
	utf8_mend(text); /* it may have been cut within a character */
	v->passed_over = strdup(text);
}

static void log_version(const struct version *v, bool ready, const char *state)
{
	const struct version_settings *s = &v->settings;
	const char *detail = version_detail(v);
	char quoted[512];

	if (ready)
		log_info("model ready", "model=%s version=%s", s->name, s->version);
	else if (!version_ready(v) && !was_there(v) && version_hopeful(v))
		log_debug("model loading", "model=%s version=%s", s->name, s->version);
	else
		log_warning("model not ready", "model=%s version=%s state=%s detail=%s", s->name,
			s->version, state,
			log_quote(detail, strlen(detail), quoted, sizeof(quoted)));
}

bool version_announce(struct version *v)
{
	bool ready = version_serving(v);
	const char *state = version_state_name(v);
	bool changed = ready != v->announced_ready;

	if (v->announced_state && !strcmp(v->announced_state, state))
		return false;
	v->announced_state = state;
	v->announced_ready = ready;
	log_version(v, ready, state);
	return changed;
}

uint32_t version_workers_ready(const struct version *v)
{
	return pool_model_ready(v->pool_model);
}

uint64_t version_memory_bytes(const struct version *v, const char *device)
{
	return pool_model_memory(v->pool_model, device);
}

uint64_t version_proven_ns(const struct version *v)
{
	return v->proven_ns;
}

uint32_t version_n_requests(const struct version *v)
{
	return v->n_requests;
}

bool version_held_by(const struct version *v, const struct worker *w)
{
	return worker_holds(w, v->pool_model);
}

bool version_placement(const struct version *v, size_t *i, struct pool_placement *ret_placement)
{
	return pool_model_placement(v->pool_model, i, ret_placement);
}

uint32_t version_queue_depth(const struct version *v)
{
	return v->work ? v->work->queue.n : 0;
}

uint32_t version_in_flight(const struct version *v)
{
	return v->work ? v->work->in_flight : 0;
}

const struct version_counters *version_counters(const struct version *v)
{
	return &v->counters;
}

const struct version_figures *version_figures(const struct version *v)
{
	return &v->figures;
}

void version_note_reply(struct version *v, uint64_t ns)
{
	histogram_add(&v->figures.stages[VERSION_REPLY], HISTOGRAM_SHIFT_NS, ns);
}

void version_note_refusal(struct version *v)
{
	v->counters.requests_failed++;
	v->figures.failures[VERSION_REJECTED]++;
}

void version_note_cancel(struct version *v, uint64_t deadline_ns)
{
	v->figures.failures[VERSION_CANCELED]++;
	/* Who gives up at his deadline was failed, though nobody is told. */
	if (deadline_ns != CLOCK_NO_DEADLINE && deadline_ns <= clock_ns())
		v->counters.requests_failed++;
}

/* From *index on, and round. */
static int find(const struct wire_declaration *list, size_t n, const char *name, uint32_t *index)
{
	size_t i = *index < n ? *index : 0;

	for (size_t k = 0; k < n; k++, i = i + 1 < n ? i + 1 : 0) {
		if (strcmp(list[i].name, name))
			continue;
		*index = (uint32_t)i;
		return 0;
	}
	return -ENOENT;
}

int version_find_input(const struct version *v, const char *name, uint32_t *index)
{
	const struct wire_loaded *declared = version_declared(v);

	return declared ? find(declared->inputs, declared->n_inputs, name, index) : -ENOENT;
}

int version_find_output(const struct version *v, const char *name, uint32_t *index)
{
	const struct wire_loaded *declared = version_declared(v);

	return declared ? find(declared->outputs, declared->n_outputs, name, index) : -ENOENT;
}

bool version_hides_input(const struct version *v, uint32_t index)
{
	return v->settings.sequence && sequence_settings_hide_input(v->settings.sequence,
					       version_declared(v)->inputs[index].name);
}

bool version_hides_output(const struct version *v, uint32_t index)
{
	return v->settings.sequence && sequence_settings_hide_output(v->settings.sequence,
					       version_declared(v)->outputs[index].name);
}

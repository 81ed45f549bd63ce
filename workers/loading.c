/*
 * loading.c: what Load and Unload ask for. Worker process, the loader's thread, while the crew serves.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "workers/loop_private.h"
#include "workers/warmup.h"

int loop_fatal(struct loop *l, const char *model, const char *text)
{
	char quoted[sizeof(struct modeld_error)];

	log_error("a backend cannot go on in this process", "worker=%s model=%s error=%s",
		loop_name(l), model, log_quote(text, strlen(text), quoted, sizeof(quoted)));
	return loop_stop(l, WORKER_EXIT_DEVICE_LOST, "a backend said so");
}

static void log_loaded(const struct loop *l, const struct wire_load *load, const struct model *m,
	const char *error, uint64_t took_ns)
{
	char text[sizeof(struct modeld_error)];

	if (!m)
		log_warning("model not loaded", "worker=%s model=%s version=%s backend=%s error=%s",
			loop_name(l), load->name, load->version, load->backend,
			log_quote(error, strlen(error), text, sizeof(text)));
	else
		log_info("model loaded",
			"worker=%s model=%s version=%s backend=%s lanes=%" PRIu32 " ms=%" PRIu64,
			loop_name(l), load->name, load->version, load->backend, m->n_lanes,
			took_ns / NS_PER_MS);
}

/* Settings that mean nothing to a backend, and parameters of a model (NULL: not loaded) likewise, are misspelt. */
static void log_unasked(const struct loop *l, const struct wire_load *load, const struct model *m)
{
	const char *key;

	while ((key = host_next_unasked(l->host, load->backend)))
		log_warning("a setting means nothing to its backend",
			"worker=%s section=[backend.%s] key=%s", loop_name(l), load->backend, key);
	while (m && (key = pairs_next_unasked(&m->parameters, "")))
		log_warning("a parameter means nothing to the model's backend",
			"worker=%s model=%s section=[parameters] key=%s backend=%s", loop_name(l),
			load->name, key, load->backend);
}

/* The log has the whole text. */
static int say_failed(struct loop *l, uint32_t number, const char *error)
{
	char text[sizeof(struct modeld_error)];
	const struct wire_message m = {
		.type = WIRE_LOADED, .loaded = {.model = number, .error = text}};

	snprintf(text, sizeof(text), "%s", error);
	host_hide_paths(text);
	return answers_add(l->answers, &m, false);
}

static int say_loaded(struct loop *l, const struct model *m)
{
	size_t n_inputs = m->info.n_inputs, n_outputs = m->info.n_outputs;
	_cleanup_(freep) struct wire_declaration *declared =
		calloc(n_inputs + n_outputs + 1, sizeof(*declared));
	struct wire_message message = {.type = WIRE_LOADED};

	if (!declared)
		return -ENOMEM;
	model_describe(m->info.inputs, n_inputs, declared);
	model_describe(m->info.outputs, n_outputs, declared + n_inputs);
	message.loaded = (struct wire_loaded){
		.model = m->number,
		.ok = true,
		.inputs = declared,
		.n_inputs = n_inputs,
		.outputs = declared + n_inputs,
		.n_outputs = n_outputs,
		.memory_bytes = model_memory_bytes(m),
		.max_batch_size = m->max_batch_size,
		.lanes = m->n_lanes,
		.decoupled = m->info.decoupled,
	};
	return answers_add(l->answers, &message, false);
}

static int put(struct loop *l, struct model *m)
{
	int r;

	pthread_mutex_lock(&l->lock);
	r = models_put(&l->models, m);
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* Or NULL. */
static struct model *find_leaving(struct loop *l, uint32_t number)
{
	struct model *m;

	pthread_mutex_lock(&l->lock);
	m = models_get(&l->models, number);
	if (m && !m->leaving)
		m = NULL;
	pthread_mutex_unlock(&l->lock);
	return m;
}

static struct model *take(struct loop *l, uint32_t number)
{
	struct model *m;

	pthread_mutex_lock(&l->lock);
	m = models_take(&l->models, number);
	pthread_mutex_unlock(&l->lock);
	return m;
}

/* Unload it, and give back what that has freed. Returns what stays of all that came and went. */
static uint64_t let_go(struct loop *l, struct model *m)
{
	ledger_leave(&l->ledger, &m->share);
	model_unload(m);
	malloc_trim(0);
	return ledger_settle(&l->ledger);
}

/* It is there before the daemon knows. */
static int announce(struct loop *l, struct model *m)
{
	int r = put(l, m);

	if (r)
		model_unload(m);
	if (r == -EEXIST)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "load with a number that is in use");
	if (r)
		return r;
	ledger_enter(&l->ledger, &m->share);
	r = say_loaded(l, m);
	if (r != -EMSGSIZE)
		return r;
	r = say_failed(
		l, m->number, "what the model declares does not fit a message to the daemon");
	let_go(l, take(l, m->number));
	return r;
}

/* Nobody hears of the model before. */
static int warm_up(struct loop *l, const struct model *m, const struct wire_load *load,
	struct modeld_error *error)
{
	const struct run_parts parts = {
		.regions = &l->regions,
		.outputs = l->outputs,
		.memory = &l->memory,
		.pinned = l->pinned,
		.wait_ns = l->output_wait_ns,
	};
	uint64_t start_ns = clock_ns();
	int r;

	if (load->n_warmups == 0)
		return 0;
	r = warmup_all(&parts, l->scratch_bytes, m, load, error);
	if (!r)
		log_info("model warmed up",
			"worker=%s model=%s version=%s warmups=%zu lanes=%" PRIu32 " ms=%" PRIu64,
			loop_name(l), load->name, load->version, load->n_warmups, m->n_lanes,
			(clock_ns() - start_ns) / NS_PER_MS);
	return r;
}

static int on_load(struct loop *l, const struct wire_load *load)
{
	struct modeld_error error = {.size = sizeof(error)};
	struct model *m = NULL;
	uint64_t start_ns = clock_ns();
	int r;

	ledger_look(&l->ledger);
	r = model_load(&m, l->backends, l->device, load, &error);

	if (!r)
		r = warm_up(l, m, load, &error);
	if (r)
		m = model_unload(m);
	if (r == MODEL_E_FATAL)
		return loop_fatal(l, load->name, error.text);
	if (r < 0)
		strncpy(error.text, err_str(r), sizeof(error.text) - 1);
	log_loaded(l, load, m, error.text, clock_ns() - start_ns);
	log_unasked(l, load, m);
	if (m)
		return announce(l, m);
	ledger_settle(&l->ledger);
	return say_failed(l, load->model, error.text);
}

/* The last batch was answered, but its thread may not have let go of the lane yet. False: the end came, and it may
 * never do so. */
static bool wait_lanes(struct loop *l, const struct model *m)
{
	bool idle = true;

	for (uint32_t i = 0; i < m->n_lanes && idle; i++)
		idle = crew_wait_lane(l->crew, &m->lanes[i]);
	return idle;
}

/* The leader has seen that it is there; but one whose declaration did not fit was there for a moment only. */
static int on_unload(struct loop *l, const struct wire_unload *unload)
{
	struct wire_message answer = {.type = WIRE_UNLOADED, .unloaded = {.model = unload->model}};
	struct model *m = find_leaving(l, unload->model);

	if (!m)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "unload of a model whose load failed");
	/* Else loop_free() unloads it. */
	if (!wait_lanes(l, m))
		return 0;
	m = take(l, unload->model);
	answer.unloaded.memory_bytes = model_memory_bytes(m);
	log_info("model unloaded", "worker=%s model=%s number=%" PRIu32, loop_name(l), m->spec.name,
		unload->model);
	ledger_look(&l->ledger);
	answer.unloaded.stayed_bytes = let_go(l, m);
	return answers_add(l->answers, &answer, false);
}

int loop_handle_load(struct loop *l, const struct wire_message *m)
{
	int r;

	if (m->type == WIRE_CHECK)
		r = loop_check(l, &m->load);
	else
		r = m->type == WIRE_LOAD ? on_load(l, &m->load) : on_unload(l, &m->unload);
	return r ? r : answers_flush(l->answers);
}

/*
 * model.c: one model as dispatch sees it. What may change at run time (readiness, declaration) is
 * asked of the pool each time and never kept here, so it cannot be stale.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/model.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "dispatch/dispatch_private.h"
#include "dispatch/model_private.h"
#include "dispatch/request_private.h"
#include "pool/pool.h"

void model_init(
	struct model *m, struct dispatch *d, const struct model_settings *settings, uint32_t id)
{
	memset(m, 0, sizeof(*m));
	m->dispatch = d;
	m->settings = settings;
	m->id = id;
	queue_init(&m->queue, settings->max_queue_size);
	list_init(&m->work_node);
	list_init(&m->spare_requests);
}

void model_deinit(struct model *m)
{
	struct list *node;

	if (!m->dispatch)
		return;
	assert(m->in_flight == 0);
	assert(list_empty(&m->work_node));
	queue_deinit(&m->queue);
	while ((node = list_first(&m->spare_requests)))
		request_free_spare(list_entry(node, struct request, node));
	m->n_spare_requests = 0;
}

bool model_delays(const struct model *m)
{
	return m->settings->max_queue_delay_us > 0 && model_max_batch_size(m) > 1;
}

const struct model_settings *model_settings(const struct model *m)
{
	return m->settings;
}

uint32_t model_id(const struct model *m)
{
	return m->id;
}

const struct wire_loaded *model_declared(const struct model *m)
{
	return pool_model_loaded(m->dispatch->pool, m->id);
}

/* The backend's word, cut by the configuration's: its own when set, else the default. */
uint32_t model_max_batch_size(const struct model *m)
{
	const struct wire_loaded *declared = model_declared(m);
	uint32_t limit = m->settings->max_batch_size;

	if (limit == UINT32_MAX)
		limit = m->dispatch->settings->default_max_batch_size;
	if (declared && declared->max_batch_size < limit)
		limit = declared->max_batch_size;
	return limit;
}

bool model_ready(const struct model *m)
{
	return pool_model_ready(m->dispatch->pool, m->id) > 0;
}

bool model_hopeful(const struct model *m)
{
	return pool_model_hopeful(m->dispatch->pool, m->id) > 0;
}

const char *model_state_name(const struct model *m)
{
	if (model_ready(m))
		return "ready";
	if (!model_hopeful(m))
		return "failed";
	return model_declared(m) ? "unavailable" : "loading";
}

const char *model_detail(const struct model *m)
{
	return pool_model_detail(m->dispatch->pool, m->id);
}

uint32_t model_workers_ready(const struct model *m)
{
	return pool_model_ready(m->dispatch->pool, m->id);
}

uint32_t model_queue_depth(const struct model *m)
{
	return m->queue.n;
}

uint32_t model_in_flight(const struct model *m)
{
	return m->in_flight;
}

const struct model_counters *model_counters(const struct model *m)
{
	return &m->counters;
}

static int find(
	const struct wire_declaration *list, size_t n, const char *name, uint32_t *ret_index)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, name))
			continue;
		*ret_index = (uint32_t)i;
		return 0;
	}
	return -ENOENT;
}

int model_find_input(const struct model *m, const char *name, uint32_t *ret_index)
{
	const struct wire_loaded *declared = model_declared(m);

	return declared ? find(declared->inputs, declared->n_inputs, name, ret_index) : -ENOENT;
}

int model_find_output(const struct model *m, const char *name, uint32_t *ret_index)
{
	const struct wire_loaded *declared = model_declared(m);

	return declared ? find(declared->outputs, declared->n_outputs, name, ret_index) : -ENOENT;
}

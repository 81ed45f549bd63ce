/* kserve_config_queue.c: a model's queue as its configuration had it. Daemon process, loop thread. */
#include "services/kserve_config_queue.h"

#include <errno.h>

#include "services/kserve_small.h"

typedef Inference__ModelDynamicBatching Batching;
typedef Inference__ModelDynamicBatching__PriorityQueuePolicyEntry Entry;
typedef Inference__ModelQueuePolicy Policy;

static int fill_preferred(struct message_memory *memory, Batching *m,
	const struct queue_settings *s, uint32_t max_batch_size)
{
	uint32_t n = s && s->n_preferred > 0 ? s->n_preferred : 1;

	m->preferred_batch_size = message_memory_calloc(memory, n, sizeof(int32_t));
	if (!m->preferred_batch_size)
		return -ENOMEM;
	m->n_preferred_batch_size = n;
	m->preferred_batch_size[0] = (int32_t)max_batch_size;
	for (uint32_t i = 0; s && i < s->n_preferred; i++)
		m->preferred_batch_size[i] = (int32_t)s->preferred[i];
	return 0;
}

static void fill_policy(Policy *m, const struct queue_policy *p)
{
	inference__model_queue_policy__init(m);
	m->timeout_action = p->action == QUEUE_DELAY
				    ? INFERENCE__MODEL_QUEUE_POLICY__TIMEOUT_ACTION__DELAY
				    : INFERENCE__MODEL_QUEUE_POLICY__TIMEOUT_ACTION__REJECT;
	m->default_timeout_microseconds = p->timeout_us;
	m->allow_timeout_override = p->allow_override;
	m->max_queue_size = p->max_requests;
}

static bool says_something(const struct queue_policy *p)
{
	return p->action != QUEUE_REJECT || p->timeout_us > 0 || p->allow_override ||
	       p->max_requests > 0;
}

static int fill_levels(struct message_memory *memory, Batching *m, const struct queue_settings *s,
	Policy *policies)
{
	m->priority_queue_policy = kserve_small_array(memory, s->n_levels, sizeof(Entry));
	if (!m->priority_queue_policy)
		return -ENOMEM;
	m->priority_levels = s->n_levels;
	m->default_priority_level = s->default_level + 1;
	for (uint32_t i = 0; i < s->n_levels; i++) {
		Entry *e = m->priority_queue_policy[m->n_priority_queue_policy];

		if (!says_something(&s->policies[i]))
			continue;
		inference__model_dynamic_batching__priority_queue_policy_entry__init(e);
		fill_policy(&policies[i], &s->policies[i]);
		e->key = i + 1;
		e->value = &policies[i];
		m->n_priority_queue_policy++;
	}
	return 0;
}

int kserve_config_queue(struct message_memory *memory, Batching *m, const struct queue_settings *s,
	uint32_t max_batch_size)
{
	Policy *policies;

	if (fill_preferred(memory, m, s, max_batch_size))
		return -ENOMEM;
	if (!s)
		return 0;
	m->preserve_ordering = s->keep_order;
	policies = message_memory_calloc(memory, s->n_levels, sizeof(*policies));
	if (!policies)
		return -ENOMEM;
	if (s->n_levels > 1)
		return fill_levels(memory, m, s, policies);
	if (says_something(&s->policies[0])) {
		fill_policy(&policies[0], &s->policies[0]);
		m->default_queue_policy = &policies[0];
	}
	return 0;
}

/* queue_pbtxt.c: Triton's words for batches and queues into ours. Daemon process, any thread. */
#include "models/queue_pbtxt.h"

#include <errno.h>
#include <stdlib.h>

typedef Inference__ModelDynamicBatching Batching;
typedef Inference__ModelQueuePolicy Policy;

#define QUEUE_DELAY_US_MAX UINT64_C(10000000)
#define QUEUE_SIZE_MAX	   1000000u
#define POLICY_DELAY	   INFERENCE__MODEL_QUEUE_POLICY__TIMEOUT_ACTION__DELAY

struct mapping {
	const Batching *m;	    /* borrow */
	struct version_settings *s; /* borrow */
	struct queue_settings *queue;
	struct pbtxt_error *error;
};

static int wrong(struct mapping *x, const char *field, const char *what)
{
	*x->error = (struct pbtxt_error){field, what};
	return QUEUE_PBTXT_E_INVALID;
}

static int map_delay(struct mapping *x)
{
	if (x->m->max_queue_delay_microseconds > QUEUE_DELAY_US_MAX)
		return wrong(x, "max_queue_delay_microseconds",
			"a number from 0 to 10000000 is expected");
	x->s->max_queue_delay_us = x->m->max_queue_delay_microseconds;
	return 0;
}

static int map_preferred(struct mapping *x)
{
	for (size_t i = 0; i < x->m->n_preferred_batch_size; i++) {
		int32_t rows = x->m->preferred_batch_size[i];

		if (rows < 1 || (uint32_t)rows > x->s->max_batch_size)
			return wrong(x, "preferred_batch_size",
				"numbers from 1 to max_batch_size are expected");
		if (!queue_settings_prefer(x->queue, (uint32_t)rows))
			return wrong(x, "preferred_batch_size", "at most 64 are expected");
	}
	return 0;
}

static int map_levels(struct mapping *x)
{
	uint64_t n = x->m->priority_levels, usual = x->m->default_priority_level;

	if (n > QUEUE_LEVELS_MAX)
		return wrong(x, "priority_levels", "a number from 0 to 32 is expected");
	if (n == 0)
		return 0;
	if (usual < 1 || usual > n)
		return wrong(x, "default_priority_level",
			"a number from 1 to priority_levels is expected");
	x->queue->n_levels = (uint32_t)n;
	x->queue->default_level = (uint32_t)usual - 1;
	return 0;
}

static int map_policy(struct mapping *x, const Policy *m, struct queue_policy *ret_policy)
{
	if (!m)
		return 0;
	if (m->max_queue_size > QUEUE_SIZE_MAX)
		return wrong(x, "max_queue_size", "a number from 0 to 1000000 is expected");
	if (m->default_timeout_microseconds > QUEUE_TIMEOUT_US_MAX)
		return wrong(x, "default_timeout_microseconds",
			"a number from 0 to 86400000000 is expected");
	*ret_policy = (struct queue_policy){
		.action = m->timeout_action == POLICY_DELAY ? QUEUE_DELAY : QUEUE_REJECT,
		.timeout_us = m->default_timeout_microseconds,
		.allow_override = m->allow_timeout_override,
		.max_requests = m->max_queue_size,
	};
	return 0;
}

static int map_policies(struct mapping *x)
{
	struct queue_policy usual = {0};
	int r = map_policy(x, x->m->default_queue_policy, &usual);

	for (uint32_t i = 0; i < x->queue->n_levels; i++)
		x->queue->policies[i] = usual;
	for (size_t i = 0; !r && i < x->m->n_priority_queue_policy; i++) {
		const Inference__ModelDynamicBatching__PriorityQueuePolicyEntry *e =
			x->m->priority_queue_policy[i];

		if (e->key < 1 || e->key > x->m->priority_levels)
			return wrong(x, "priority_queue_policy",
				"its keys are numbers from 1 to priority_levels");
		r = map_policy(x, e->value, &x->queue->policies[e->key - 1]);
	}
	return r;
}

/* As Triton: an order of requests, and one by something else, exclude each other. */
static int map_order(struct mapping *x)
{
	x->queue->keep_order = x->m->preserve_ordering;
	switch (queue_settings_check_order(x->queue)) {
	case 0:
		return 0;
	case QUEUE_SETTINGS_E_LEVELS:
		return wrong(x, "priority_levels",
			"only one level is allowed where preserve_ordering is true");
	default:
		return wrong(x, "preserve_ordering",
			"no queue policy may have DELAY as its timeout_action then");
	}
}

/* The queue holds what its levels may hold together, where all are bounded. */
static void map_bounds(struct mapping *x)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < x->queue->n_levels; i++) {
		if (x->queue->policies[i].max_requests == 0)
			return;
		sum += x->queue->policies[i].max_requests;
	}
	x->s->max_queue_size = sum < QUEUE_SIZE_MAX ? (uint32_t)sum : QUEUE_SIZE_MAX;
}

int queue_pbtxt_map(const Batching *m, struct version_settings *s, struct pbtxt_error *error)
{
	_cleanup_(freep) struct queue_settings *queue = queue_settings_new();
	struct mapping x = {.m = m, .s = s, .queue = queue, .error = error};
	static int (*const steps[])(struct mapping * x) = {
		map_delay, map_preferred, map_levels, map_policies, map_order};
	int r = queue ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](&x);
	if (r)
		return r;
	map_bounds(&x);
	free(s->queue);
	s->queue = steal_ptr(queue);
	return 0;
}

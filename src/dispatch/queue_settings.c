/* queue_settings.c: how requests for a model wait, as the repository has it. Pure. */
#include "dispatch/queue_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct queue_settings *queue_settings_new(void)
{
	struct queue_settings *s = calloc(1, sizeof(*s));

	if (s)
		s->n_levels = 1;
	return s;
}

int queue_settings_copy(struct queue_settings **to, const struct queue_settings *from)
{
	struct queue_settings *copy = NULL;

	if (from) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		*copy = *from;
	}
	*to = copy;
	return 0;
}

static bool policies_equal(const struct queue_policy *a, const struct queue_policy *b)
{
	return a->action == b->action && a->timeout_us == b->timeout_us &&
	       a->allow_override == b->allow_override && a->max_requests == b->max_requests;
}

bool queue_settings_equal(const struct queue_settings *a, const struct queue_settings *b)
{
	if (!a || !b)
		return a == b;
	if (a->n_levels != b->n_levels || a->default_level != b->default_level ||
		a->n_preferred != b->n_preferred || a->keep_order != b->keep_order ||
		memcmp(a->preferred, b->preferred, sizeof(a->preferred)) != 0)
		return false;
	for (uint32_t i = 0; i < a->n_levels; i++) {
		if (!policies_equal(&a->policies[i], &b->policies[i]))
			return false;
	}
	return true;
}

bool queue_settings_prefer(struct queue_settings *s, uint32_t rows)
{
	uint32_t at = 0;

	while (at < s->n_preferred && s->preferred[at] < rows)
		at++;
	if (at < s->n_preferred && s->preferred[at] == rows)
		return true;
	if (s->n_preferred == QUEUE_PREFERRED_MAX)
		return false;
	memmove(&s->preferred[at + 1], &s->preferred[at],
		(s->n_preferred - at) * sizeof(s->preferred[0]));
	s->preferred[at] = rows;
	s->n_preferred++;
	return true;
}

uint32_t queue_settings_level(const struct queue_settings *s, uint64_t priority)
{
	if (!s)
		return 0;
	return priority > 0 && priority <= s->n_levels ? (uint32_t)priority - 1 : s->default_level;
}

uint64_t queue_settings_timeout(const struct queue_settings *s, uint32_t level, uint64_t timeout_us)
{
	const struct queue_policy *p = s ? &s->policies[level] : NULL;

	if (!p)
		return 0;
	return p->allow_override && timeout_us > 0 && timeout_us < p->timeout_us ? timeout_us
										 : p->timeout_us;
}

int queue_settings_check_order(const struct queue_settings *s)
{
	if (!s->keep_order)
		return 0;
	if (s->n_levels > 1)
		return QUEUE_SETTINGS_E_LEVELS;
	return s->policies[0].action == QUEUE_DELAY ? QUEUE_SETTINGS_E_DELAY : 0;
}

uint32_t queue_settings_preferred(const struct queue_settings *s, uint64_t rows)
{
	uint32_t best = 0;

	for (uint32_t i = 0; s && i < s->n_preferred && s->preferred[i] <= rows; i++)
		best = s->preferred[i];
	return best;
}

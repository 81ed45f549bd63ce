/* queue_conf.c: how requests for a model wait, as its model.conf says. Daemon process, any thread. */
#include "models/queue_conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"

static int wrong(struct queue_conf *c, const char *what)
{
	c->what = what;
	return QUEUE_CONF_E_INVALID;
}

static bool number(const char *value, uint64_t min, uint64_t max, uint64_t *ret_n)
{
	return !decimal_parse(value, ret_n) && *ret_n >= min && *ret_n <= max;
}

static int set_levels(struct queue_conf *c, const char *value)
{
	uint64_t n;

	if (!number(value, 1, QUEUE_LEVELS_MAX, &n))
		return wrong(c, "a number from 1 to 32 is expected");
	c->settings->n_levels = (uint32_t)n;
	return 0;
}

static int set_default_level(struct queue_conf *c, const char *value)
{
	if (!number(value, 1, QUEUE_LEVELS_MAX, &c->default_level))
		return wrong(c, "a number from 1 to 32 is expected");
	return 0;
}

static int set_timeout(struct queue_conf *c, const char *value)
{
	if (!number(value, 0, QUEUE_TIMEOUT_US_MAX, &c->settings->policies[0].timeout_us))
		return wrong(c, "a number from 0 to 86400000000 is expected");
	return 0;
}

static int set_action(struct queue_conf *c, const char *value)
{
	bool delay = !strcmp(value, "delay");

	if (!delay && strcmp(value, "reject") != 0)
		return wrong(c, "is none of reject, delay");
	c->settings->policies[0].action = delay ? QUEUE_DELAY : QUEUE_REJECT;
	return 0;
}

static int set_override(struct queue_conf *c, const char *value)
{
	if (bool_parse(value, &c->settings->policies[0].allow_override))
		return wrong(c, "is neither yes nor no");
	return 0;
}

static int set_order(struct queue_conf *c, const char *value)
{
	if (bool_parse(value, &c->settings->keep_order))
		return wrong(c, "is neither yes nor no");
	return 0;
}

/* Without the space behind it. */
static size_t word_length(const char *word)
{
	size_t n = strlen(word);

	while (n > 0 && (word[n - 1] == ' ' || word[n - 1] == '\t'))
		n--;
	return n;
}

/* Numbers separated by commas. */
static int set_preferred(struct queue_conf *c, const char *value)
{
	_cleanup_(freep) char *copy = strdup(value);
	char *rest = copy;

	if (!copy)
		return -ENOMEM;
	while (rest) {
		char *word = strsep(&rest, ",");
		uint64_t rows;

		word += strspn(word, " \t");
		word[word_length(word)] = '\0';
		if (!number(word, 1, 65536, &rows))
			return wrong(c, "numbers from 1 to max_batch_size are expected, separated "
					"by commas");
		if (!queue_settings_prefer(c->settings, (uint32_t)rows))
			return wrong(c, "at most 64 are expected");
	}
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct queue_conf *c, const char *value);
} keys[] = {
	{"levels", set_levels},
	{"default_level", set_default_level},
	{"timeout_us", set_timeout},
	{"timeout_action", set_action},
	{"timeout_override", set_override},
	{"preferred_batch_size", set_preferred},
	{"keep_order", set_order},
};

int queue_conf_set(struct queue_conf *c, const char *key, const char *value)
{
	if (!c->settings)
		c->settings = queue_settings_new();
	if (!c->settings)
		return -ENOMEM;
	for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].name, key) != 0)
			continue;
		if (c->seen & 1u << i)
			return wrong(c, "is set twice");
		c->seen |= 1u << i;
		return keys[i].set(c, value);
	}
	return wrong(c, "unknown key");
}

int queue_conf_apply(struct queue_conf *c, struct version_settings *s)
{
	struct queue_settings *q = c->settings;

	if (!q)
		return 0;
	if (c->default_level > q->n_levels) {
		c->key = "default_level";
		return wrong(c, "there are not so many levels");
	}
	if (q->n_preferred > 0 && q->preferred[q->n_preferred - 1] > s->max_batch_size) {
		c->key = "preferred_batch_size";
		return wrong(c, "is more than max_batch_size");
	}
	if (queue_settings_check_order(q)) {
		c->key = "keep_order";
		return wrong(c, "goes with one level, and with timeout_action = reject, alone");
	}
	q->default_level = c->default_level > 0 ? (uint32_t)c->default_level - 1 : q->n_levels - 1;
	for (uint32_t i = 1; i < q->n_levels; i++)
		q->policies[i] = q->policies[0];
	free(s->queue);
	s->queue = steal_ptr(c->settings);
	return 0;
}

void queue_conf_release(struct queue_conf *c)
{
	free(c->settings);
	*c = (struct queue_conf){0};
}

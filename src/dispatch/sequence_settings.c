/* sequence_settings.c: a model's sequences, as the repository has them. Pure. */
#include "dispatch/sequence_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(uint32_t n_states)
{
	return sizeof(struct sequence_settings) + n_states * sizeof(struct sequence_state);
}

struct sequence_settings *sequence_settings_new(uint32_t n_states)
{
	struct sequence_settings *s = calloc(1, size_of(n_states));

	if (s)
		s->n_states = n_states;
	return s;
}

int sequence_settings_copy(struct sequence_settings **to, const struct sequence_settings *from)
{
	struct sequence_settings *copy = NULL;

	if (from) {
		copy = malloc(size_of(from->n_states));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, from, size_of(from->n_states));
	}
	*to = copy;
	return 0;
}

bool sequence_settings_equal(const struct sequence_settings *a, const struct sequence_settings *b)
{
	if (!a || !b)
		return a == b;
	return a->n_states == b->n_states && !memcmp(a, b, size_of(a->n_states));
}

bool sequence_settings_hide_input(const struct sequence_settings *s, const char *name)
{
	if (!s)
		return false;
	for (size_t i = 0; i < SEQUENCE_CONTROLS_; i++) {
		if (!strcmp(s->controls[i].name, name))
			return true;
	}
	for (uint32_t i = 0; i < s->n_states; i++) {
		if (!strcmp(s->states[i].input, name))
			return true;
	}
	return false;
}

bool sequence_settings_hide_output(const struct sequence_settings *s, const char *name)
{
	for (uint32_t i = 0; s && i < s->n_states; i++) {
		if (!strcmp(s->states[i].output, name))
			return true;
	}
	return false;
}

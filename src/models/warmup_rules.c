/* warmup_rules.c: one warm-up more, and one input of it. Daemon process, any thread. */
#include "models/warmup_rules.h"

#include <stdbool.h>
#include <string.h>

#include "dispatch/warmup_settings.h"
#include "models/path.h"

static int wrong(const char **ret_what, const char *what)
{
	*ret_what = what;
	return WARMUP_RULES_E_INVALID;
}

static bool is_name(const char *name)
{
	return *name && strlen(name) <= WIRE_NAME_MAX;
}

int warmup_rules_add(struct version_settings *s, const char *name, struct wire_warmup **ret_new,
	const char **ret_what)
{
	if (!is_name(name))
		return wrong(ret_what, "a name of at most 255 characters is expected");
	for (size_t i = 0; i < s->n_warmups; i++) {
		if (!strcmp(s->warmups[i].name, name))
			return wrong(ret_what, "another one has its name");
	}
	if (s->n_warmups == WIRE_WARMUPS_MAX)
		return wrong(ret_what, "too many: at most 64 are allowed");
	return warmups_add(&s->warmups, &s->n_warmups, name, ret_new);
}

int warmup_rules_add_input(
	struct wire_warmup *w, const struct wire_warmup_input *input, const char **ret_what)
{
	uint64_t elements;

	if (!is_name(input->name))
		return wrong(ret_what, "an input has a name of at most 255 characters");
	for (size_t i = 0; i < w->n_inputs; i++) {
		if (!strcmp(w->inputs[i].name, input->name))
			return wrong(ret_what, "an input is set twice");
	}
	if (w->n_inputs == WIRE_TENSORS_MAX)
		return wrong(ret_what, "too many inputs: at most 1024 are allowed");
	if (input->dtype == DTYPE_INVALID)
		return wrong(ret_what, "an input has no data type that is known");
	if (shape_elements(input->dims, input->rank, &elements))
		return wrong(ret_what, "an input has at most 16 dimensions, each from 0, and their "
				       "product fits 63 bits");
	if (*input->file && (strlen(input->file) > WIRE_TEXT_MAX || !path_is_plain(input->file)))
		return wrong(ret_what, "a file is a path below the model's " WARMUP_DIRECTORY
				       " directory, and no part of it is empty, . or ..");
	return warmup_add_input(w, input);
}

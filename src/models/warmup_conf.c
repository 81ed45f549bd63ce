/* warmup_conf.c: one line of a warm-up's section. Daemon process, any thread. */
#include "models/warmup_conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "models/warmup_rules.h"

#define FILE_WORD  "file:"
#define SPACES	   " \t"
#define INPUT_FORM "'NAME DTYPE [DIMS] zero', 'random' or 'file:PATH' is expected"

static int wrong(const char **ret_what, const char *what)
{
	*ret_what = what;
	return WARMUP_CONF_E_INVALID;
}

static int set_number(
	const char *value, uint64_t max, uint32_t *field, bool *seen, const char **ret_what)
{
	uint64_t n;

	if (*seen)
		return wrong(ret_what, "is set twice");
	*seen = true;
	if (decimal_parse(value, &n) || n < 1 || n > max)
		return wrong(ret_what, max == WARMUP_BATCH_SIZE_MAX
					       ? "a number from 1 to 65536 is expected"
					       : "a number from 1 to 1000 is expected");
	*field = (uint32_t)n;
	return 0;
}

/* --- Inputs ------------------------------------------------------------------------------------- */

/* The next word of *at, which is behind it then and ends there. NULL: there is none. */
static char *take_word(char **at)
{
	char *word = *at + strspn(*at, SPACES);
	char *end = word + strcspn(word, SPACES);

	if (end == word)
		return NULL;
	*at = *end ? end + 1 : end;
	*end = 0;
	return word;
}

/* "[3, 224]": *at is behind it then. */
static bool take_dims(char **at, int64_t *dims, uint32_t *ret_rank)
{
	const char *from = *at + strspn(*at, SPACES);
	uint32_t rank = 0;

	if (*from++ != '[')
		return false;
	from += strspn(from, SPACES);
	while (*from != ']') {
		uint64_t v;

		if (rank == TENSOR_RANK_MAX || decimal_read(from, &v, &from) || v > INT64_MAX)
			return false;
		dims[rank++] = (int64_t)v;
		from += strspn(from, SPACES);
		if (*from != ',' && *from != ']')
			return false;
		if (*from == ',')
			from += 1 + strspn(from + 1, SPACES);
	}
	*at += from + 1 - *at;
	*ret_rank = rank;
	return true;
}

static bool set_content(struct wire_warmup_input *in, const char *word)
{
	in->random = !strcmp(word, "random");
	in->file = !strncmp(word, FILE_WORD, strlen(FILE_WORD)) ? word + strlen(FILE_WORD) : "";
	return in->random || *in->file || !strcmp(word, "zero");
}

static int add_input(struct wire_warmup *w, const char *value, const char **ret_what)
{
	_cleanup_(freep) char *copy = strdup(value);
	int64_t dims[TENSOR_RANK_MAX];
	struct wire_warmup_input in = {.dims = dims};
	const char *dtype, *content;
	char *at = copy;

	if (!copy)
		return -ENOMEM;
	in.name = take_word(&at);
	dtype = in.name ? take_word(&at) : NULL;
	if (!dtype || !take_dims(&at, dims, &in.rank))
		return wrong(ret_what, INPUT_FORM);
	content = take_word(&at);
	if (!content || !set_content(&in, content) || take_word(&at))
		return wrong(ret_what, INPUT_FORM);
	in.dtype = dtype_parse(dtype, strlen(dtype));
	return warmup_rules_add_input(w, &in, ret_what);
}

/* --- Sections ----------------------------------------------------------------------------------- */

/* The one of the section: the last, or a new one. */
static int find(struct warmup_conf *c, struct version_settings *s, const char *name,
	struct wire_warmup **ret_warmup, const char **ret_what)
{
	struct wire_warmup *last =
		s->n_warmups > 0 ? (struct wire_warmup *)&s->warmups[s->n_warmups - 1] : NULL;

	if (last && !strcmp(last->name, name)) {
		*ret_warmup = last;
		return 0;
	}
	*c = (struct warmup_conf){0};
	return warmup_rules_add(s, name, ret_warmup, ret_what);
}

int warmup_conf_set(struct warmup_conf *c, struct version_settings *s, const struct conf_line *line,
	const char **ret_what)
{
	struct wire_warmup *w;
	int r = find(c, s, line->section + strlen(WARMUP_CONF_SECTION), &w, ret_what);

	if (r)
		return r;
	if (!strcmp(line->key, "input"))
		return add_input(w, line->value, ret_what);
	if (!strcmp(line->key, "batch_size"))
		return set_number(line->value, WARMUP_BATCH_SIZE_MAX, &w->batch_size,
			&c->has_batch_size, ret_what);
	if (!strcmp(line->key, "count"))
		return set_number(
			line->value, WIRE_WARMUP_COUNT_MAX, &w->count, &c->has_count, ret_what);
	return wrong(ret_what, "unknown key");
}

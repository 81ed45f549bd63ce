/* warmup_settings.c: lists of warm-ups. Daemon process, any thread. */
#include "dispatch/warmup_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void release_input(const struct wire_warmup_input *i)
{
	free((void *)i->name);
	free((void *)i->dims);
	free((void *)i->file);
}

void warmups_free(const struct wire_warmup *warmups, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < warmups[k].n_inputs; i++)
			release_input(&warmups[k].inputs[i]);
		free((void *)warmups[k].inputs);
		free((void *)warmups[k].name);
	}
	free((void *)warmups);
}

int warmups_add(
	const struct wire_warmup **list, size_t *n, const char *name, struct wire_warmup **ret_new)
{
	struct wire_warmup *all = realloc((void *)*list, (*n + 1) * sizeof(*all));
	char *copy;

	if (!all)
		return -ENOMEM;
	*list = all;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	all[*n] = (struct wire_warmup){.name = copy, .batch_size = 1, .count = 1};
	*ret_new = &all[(*n)++];
	return 0;
}

static int copy_input(struct wire_warmup_input *to, const struct wire_warmup_input *from)
{
	int64_t *dims = calloc(from->rank + 1, sizeof(*dims));

	*to = *from;
	to->name = strdup(from->name);
	to->file = strdup(from->file ? from->file : "");
	to->dims = dims;
	if (!dims || !to->name || !to->file) {
		release_input(to);
		return -ENOMEM;
	}
	if (from->rank > 0)
		memcpy(dims, from->dims, from->rank * sizeof(*dims));
	return 0;
}

int warmup_add_input(struct wire_warmup *w, const struct wire_warmup_input *input)
{
	struct wire_warmup_input *all =
		realloc((void *)w->inputs, (w->n_inputs + 1) * sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	w->inputs = all;
	r = copy_input(&all[w->n_inputs], input);
	w->n_inputs += !r;
	return r;
}

static int add_copy(const struct wire_warmup **list, size_t *n, const struct wire_warmup *from)
{
	struct wire_warmup *to;
	int r = warmups_add(list, n, from->name, &to);

	if (r)
		return r;
	to->batch_size = from->batch_size;
	to->count = from->count;
	for (size_t i = 0; !r && i < from->n_inputs; i++)
		r = warmup_add_input(to, &from->inputs[i]);
	return r;
}

int warmups_copy(const struct wire_warmup **ret_warmups, const struct wire_warmup *from, size_t n)
{
	const struct wire_warmup *list = NULL;
	size_t n_list = 0;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = add_copy(&list, &n_list, &from[i]);
	if (r)
		warmups_free(list, n_list);
	else
		*ret_warmups = list;
	return r;
}

static bool input_equal(const struct wire_warmup_input *a, const struct wire_warmup_input *b)
{
	return !strcmp(a->name, b->name) && a->dtype == b->dtype && a->rank == b->rank &&
	       (a->rank == 0 || !memcmp(a->dims, b->dims, a->rank * sizeof(*a->dims))) &&
	       a->random == b->random && !strcmp(a->file, b->file);
}

static bool warmup_equal(const struct wire_warmup *a, const struct wire_warmup *b)
{
	if (strcmp(a->name, b->name) != 0 || a->batch_size != b->batch_size ||
		a->count != b->count || a->n_inputs != b->n_inputs)
		return false;
	for (size_t i = 0; i < a->n_inputs; i++) {
		if (!input_equal(&a->inputs[i], &b->inputs[i]))
			return false;
	}
	return true;
}

bool warmups_equal(const struct wire_warmup *a, size_t n_a, const struct wire_warmup *b, size_t n_b)
{
	for (size_t i = 0; n_a == n_b && i < n_a; i++) {
		if (!warmup_equal(&a[i], &b[i]))
			return false;
	}
	return n_a == n_b;
}

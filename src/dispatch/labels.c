/* labels.c: what the elements of outputs are called. Pure. */
#include "dispatch/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t head_bytes(size_t n_outputs)
{
	return sizeof(struct labels) + n_outputs * sizeof(struct labels_output);
}

/* Lines become texts of their own, without what ends them. Returns the bytes, s->n + 1 at most. */
static uint32_t put_lines(char *to, const struct labels_source *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		bool ends = i + 1 == s->n || s->text[i + 1] == '\n';

		if (s->text[i] == '\r' && ends)
			continue;
		to[n++] = s->text[i] == '\n' ? '\0' : s->text[i];
	}
	to[n++] = '\0';
	return n;
}

struct labels *labels_new(const struct labels_source *sources, size_t n)
{
	size_t bytes = head_bytes(n);
	struct labels *l;
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++)
		bytes += sources[i].n + 1;
	l = calloc(1, bytes);
	if (!l)
		return NULL;
	l->bytes = (uint32_t)bytes;
	l->n_outputs = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		struct labels_output *o = &l->outputs[i];

		memcpy(o->output, sources[i].output, strlen(sources[i].output) + 1);
		memcpy(o->file, sources[i].file, strlen(sources[i].file) + 1);
		o->at = at;
		o->n = put_lines((char *)l + head_bytes(n) + at, &sources[i]);
		at += o->n;
	}
	return l;
}

int labels_copy(struct labels **to, const struct labels *from)
{
	struct labels *copy = NULL;

	if (from) {
		copy = malloc(from->bytes);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, from, from->bytes);
	}
	*to = copy;
	return 0;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
	if (!a || !b)
		return a == b;
	return a->bytes == b->bytes && !memcmp((const char *)a, (const char *)b, a->bytes);
}

const struct labels_output *labels_find(const struct labels *l, const char *output)
{
	for (uint32_t i = 0; l && i < l->n_outputs; i++) {
		if (!strcmp(l->outputs[i].output, output))
			return &l->outputs[i];
	}
	return NULL;
}

void labels_list(
	const struct labels *l, const struct labels_output *o, const char **list, size_t cap)
{
	const char *at = (const char *)l + head_bytes(l->n_outputs) + o->at, *end = at + o->n;

	for (size_t i = 0; i < cap; i++) {
		list[i] = at < end ? at : "";
		if (at < end)
			at += strlen(at) + 1;
	}
}

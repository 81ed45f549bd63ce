/*
 * declaration.c: copies of Loaded messages. Sizes are bounded by the limits of wire.h, which
 * wire_unpack() has enforced, so their sums cannot overflow. Daemon process, loop thread.
 */
#include "pool/declaration.h"

#include <assert.h>
#include <string.h>

/* Hands out pieces of one block, most strictly aligned first: structs, then dims, then text. */
struct block {
	char *at;
	char *end;
};

static void *take(struct block *b, size_t n)
{
	void *piece = b->at;

	assert(n <= (size_t)(b->end - b->at));
	b->at += n;
	return piece;
}

static void measure(const struct wire_declaration *d, size_t n, size_t *dims, size_t *text)
{
	for (size_t i = 0; i < n; i++) {
		*dims += d[i].rank * sizeof(d[i].dims[0]);
		*text += strlen(d[i].name) + 1;
	}
}

static const char *copy_text(struct block *text, const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(take(text, n), s, n);
}

static void copy_declarations(struct wire_declaration *to, const struct wire_declaration *from,
	size_t n, struct block *dims, struct block *text)
{
	for (size_t i = 0; i < n; i++) {
		int64_t *d = take(dims, from[i].rank * sizeof(*d));

		to[i] = from[i];
		if (from[i].rank > 0)
			memcpy(d, from[i].dims, from[i].rank * sizeof(*d));
		to[i].dims = d;
		to[i].name = copy_text(text, from[i].name);
	}
}

struct wire_loaded *declaration_copy(const struct wire_loaded *l)
{
	size_t n = l->n_inputs + l->n_outputs;
	size_t n_head = sizeof(*l) + n * sizeof(struct wire_declaration);
	size_t n_dims = 0;
	size_t n_text = strlen(l->error) + 1;
	struct wire_declaration *list;
	struct wire_loaded *copy;
	struct block dims;
	struct block text;

	measure(l->inputs, l->n_inputs, &n_dims, &n_text);
	measure(l->outputs, l->n_outputs, &n_dims, &n_text);
	copy = malloc(n_head + n_dims + n_text);
	if (!copy)
		return NULL;
	list = (struct wire_declaration *)(copy + 1);
	dims = (struct block){(char *)copy + n_head, (char *)copy + n_head + n_dims};
	text = (struct block){dims.end, dims.end + n_text};
	*copy = *l;
	copy_declarations(list, l->inputs, l->n_inputs, &dims, &text);
	copy_declarations(list + l->n_inputs, l->outputs, l->n_outputs, &dims, &text);
	copy->inputs = list;
	copy->outputs = list + l->n_inputs;
	copy->error = copy_text(&text, l->error);
	return copy;
}

static bool equal(const struct wire_declaration *a, const struct wire_declaration *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(a[i].name, b[i].name) || a[i].dtype != b[i].dtype ||
			a[i].any_shape != b[i].any_shape || a[i].rank != b[i].rank)
			return false;
		for (uint32_t k = 0; k < a[i].rank; k++) {
			if (a[i].dims[k] != b[i].dims[k])
				return false;
		}
	}
	return true;
}

bool declaration_equal(const struct wire_loaded *a, const struct wire_loaded *b)
{
	return a->max_batch_size == b->max_batch_size && a->decoupled == b->decoupled &&
	       a->n_inputs == b->n_inputs && a->n_outputs == b->n_outputs &&
	       equal(a->inputs, b->inputs, a->n_inputs) &&
	       equal(a->outputs, b->outputs, a->n_outputs);
}

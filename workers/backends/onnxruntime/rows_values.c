/*
 * rows_values.c: what is known of the graph's values, by name, and what ends the walk. Worker process.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

#define TABLE_FIRST 256u /* powers of two */
#define TABLE_MAX   (1u << 18)

struct entry {
	char *name; /* own; NULL: free */
	struct value value;
};

static size_t hash(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32);
}

static struct entry *slot(const struct table *t, const char *name)
{
	size_t i = hash(name) & (t->size - 1);

	while (t->entries[i].name && strcmp(t->entries[i].name, name))
		i = (i + 1) & (t->size - 1);
	return &t->entries[i];
}

static bool table_grow(struct table *t)
{
	struct table larger = {.size = t->size ? t->size * 2 : TABLE_FIRST, .n = t->n};

	larger.entries = calloc(larger.size, sizeof(*larger.entries));
	if (!larger.entries)
		return false;
	for (size_t i = 0; i < t->size; i++)
		if (t->entries[i].name)
			*slot(&larger, t->entries[i].name) = t->entries[i];
	free(t->entries);
	*t = larger;
	return true;
}

void rows_table_deinit(struct rows *q)
{
	struct table *t = &q->table;

	for (size_t i = 0; i < t->size; i++)
		free(t->entries[i].name);
	free(t->entries);
}

static const struct value *table_find(const struct table *t, const char *name)
{
	const struct entry *e = t->size ? slot(t, name) : NULL;

	return e && e->name ? &e->value : NULL;
}

static bool no_memory(struct rows *q)
{
	q->error = -ENOMEM;
	return false;
}

bool rows_add(struct rows *q, const char *name, const struct value *v)
{
	struct table *t = &q->table;
	struct entry *e;

	if (t->n >= TABLE_MAX / 2)
		return rows_mixed(q, "its graph has too many values to be looked at");
	if (2 * (t->n + 1) > t->size && !table_grow(t))
		return no_memory(q);
	e = slot(t, name);
	if (e->name)
		return rows_mixed(q, "its value '%.60s' is given twice", name);
	e->name = strdup(name);
	if (!e->name)
		return no_memory(q);
	e->value = *v;
	t->n++;
	return true;
}

const struct value *rows_find(const struct rows *q, const char *name)
{
	return table_find(&q->table, name);
}

const struct value *rows_input(const struct rows *q, size_t k)
{
	const struct graph_node *n = q->node;

	return k < n->n_inputs && *n->inputs[k] ? table_find(&q->table, n->inputs[k]) : NULL;
}

bool rows_give(struct rows *q, size_t k, const struct value *v)
{
	const struct graph_node *n = q->node;

	return k >= n->n_outputs || !*n->outputs[k] || rows_add(q, n->outputs[k], v);
}

bool rows_mixed(struct rows *q, const char *format, ...)
{
	struct rows_verdict *verdict = q->verdict;
	va_list args;
	int n = 0;

	verdict->apart = false;
	if (q->node)
		n = snprintf(verdict->why, sizeof(verdict->why), "operator %.40s%s%.60s%s ",
			q->node->op, *q->node->name ? " '" : "", q->node->name,
			*q->node->name ? "'" : "");
	va_start(args, format);
	vsnprintf(verdict->why + n, sizeof(verdict->why) - (size_t)n, format, args);
	va_end(args);
	return false;
}

struct value value_plain(void)
{
	return (struct value){.rank = ROWS_RANK_UNKNOWN, .n_numbers = -1};
}

struct value value_rows(int rank)
{
	struct value v = {.rows = true, .rank = rank, .n_numbers = -1};

	for (int i = 0; i < rank; i++)
		v.dims[i] = ROWS_DIM_UNKNOWN;
	return v;
}

struct value value_constant(const struct graph_tensor *t)
{
	struct value v = value_plain();

	if (!t->known_shape)
		return v;
	v.rank = (int)t->rank;
	memcpy(v.dims, t->dims, sizeof(v.dims));
	if (t->rank > 1 || t->n_numbers < 0)
		return v;
	v.n_numbers = t->n_numbers;
	for (int i = 0; i < v.n_numbers; i++)
		v.numbers[i] = t->numbers[i] == GRAPH_NOT_WHOLE ? ROWS_OTHER : t->numbers[i];
	return v;
}

void value_set_unknown_numbers(struct value *v)
{
	v->n_numbers = -1;
	if (v->rows || v->rank < 0 || v->rank > 1)
		return;
	if (v->rank == 1 && (v->dims[0] < 0 || v->dims[0] > (int64_t)GRAPH_NUMBERS_MAX))
		return;
	v->n_numbers = v->rank == 0 ? 1 : (int)v->dims[0];
	for (int i = 0; i < v->n_numbers; i++)
		v->numbers[i] = ROWS_OTHER;
}

/*
 * graph.c: walks an ONNX file twice: constants first, which the format puts behind the nodes that use
 * them. Field numbers are those of onnx.proto. Worker process.
 */
#include "workers/backends/onnxruntime/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/onnxruntime/graph_private.h"

enum model_field { MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum opset_field { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum graph_field { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_SPARSE = 15 };
enum node_field {
	NODE_INPUT = 1,
	NODE_OUTPUT,
	NODE_NAME,
	NODE_OP,
	NODE_ATTRIBUTE,
	NODE_DOMAIN = 7
};
enum attribute_field {
	ATTRIBUTE_NAME = 1,
	ATTRIBUTE_INT = 3,
	ATTRIBUTE_TEXT = 4,
	ATTRIBUTE_TENSOR = 5,
	ATTRIBUTE_FLOATS = 7,
	ATTRIBUTE_INTS = 8,
};

struct reading {
	struct pb_file file;
	const struct graph_visitor *visitor; /* borrow */
	struct graph_tensor tensor;
	struct graph_node node;
};

/* A limit that a string broke is a limit of the graph. */
static int graph_error(int e)
{
	if (e == PB_E_LONG)
		return GRAPH_E_LARGE;
	return e == PB_E_BROKEN || e == PB_E_END ? GRAPH_E_BROKEN : e;
}

/* --- Nodes -------------------------------------------------------------------------------- */

static void clear_names(char **names, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		free(names[i]);
	*n = 0;
}

static void clear_node(struct graph_node *n)
{
	clear_names(n->inputs, &n->n_inputs);
	clear_names(n->outputs, &n->n_outputs);
	n->n_attributes = 0;
	n->op[0] = n->domain[0] = n->name[0] = 0;
}

static void free_node(struct graph_node *n)
{
	clear_node(n);
	free(n->inputs);
	free(n->outputs);
	free(n->attributes);
}

/* Arrays grow by doubling; *n elements are in use, and powers of two are what was allocated. */
static int make_room(void *array, size_t n, size_t size)
{
	void **a = array;
	void *larger;

	if (n & (n - 1))
		return 0;
	larger = realloc(*a, (n ? n * 2 : 1) * size);
	if (!larger)
		return -ENOMEM;
	*a = larger;
	return 0;
}

static int add_name(struct pb_file *f, const struct pb_field *field, char ***names, size_t *n)
{
	char name[GRAPH_NAME_MAX];
	int e = *n < GRAPH_EDGES_MAX ? pb_string(f, field, name, sizeof(name)) : PB_E_LONG;

	if (!e)
		e = make_room(names, *n, sizeof(char *));
	if (e)
		return e;
	(*names)[*n] = strdup(name);
	if (!(*names)[*n])
		return -ENOMEM;
	(*n)++;
	return 0;
}

/* A text that is longer than any that matters is as good as none. */
static int read_text(struct pb_file *f, const struct pb_field *field, struct graph_attribute *a)
{
	int e = pb_string(f, field, a->text, sizeof(a->text));

	if (e)
		a->text[0] = 0;
	return e == PB_E_LONG ? 0 : e;
}

static int attribute_field(
	struct pb_file *f, const struct pb_field *field, struct graph_attribute *a)
{
	switch (field->number) {
	case ATTRIBUTE_NAME:
		return pb_string(f, field, a->name, sizeof(a->name));
	case ATTRIBUTE_INT:
		a->has_int = field->wire == PB_VARINT;
		a->i = (int64_t)field->value;
		return 0;
	case ATTRIBUTE_TEXT:
		return read_text(f, field, a);
	case ATTRIBUTE_TENSOR:
		a->has_tensor = field->wire == PB_BYTES;
		return a->has_tensor ? graph_read_tensor(f, field->bytes, &a->tensor) : PB_E_BROKEN;
	case ATTRIBUTE_FLOATS:
		return graph_add_floats(f, field, a->numbers, &a->n_numbers);
	case ATTRIBUTE_INTS:
		return graph_add_varints(f, field, a->numbers, &a->n_numbers);
	default:
		return 0;
	}
}

static int read_attribute(struct pb_file *f, const struct pb_field *of, struct graph_node *n)
{
	struct pb_range r = of->bytes;
	struct graph_attribute *a;
	struct pb_field field;
	int e;

	if (of->wire != PB_BYTES)
		return PB_E_BROKEN;
	if (n->n_attributes == GRAPH_ATTRIBUTES_MAX)
		return PB_E_LONG;
	e = make_room(&n->attributes, n->n_attributes, sizeof(*n->attributes));
	if (e)
		return e;
	a = &n->attributes[n->n_attributes];
	memset(a, 0, sizeof(*a));
	while (!(e = pb_next(f, &r, &field))) {
		e = attribute_field(f, &field, a);
		if (e)
			return e;
	}
	n->n_attributes++;
	return e == PB_E_END ? 0 : e;
}

static int node_field(struct pb_file *f, const struct pb_field *field, struct graph_node *n)
{
	switch (field->number) {
	case NODE_INPUT:
		return add_name(f, field, &n->inputs, &n->n_inputs);
	case NODE_OUTPUT:
		return add_name(f, field, &n->outputs, &n->n_outputs);
	case NODE_NAME:
		return pb_string(f, field, n->name, sizeof(n->name));
	case NODE_OP:
		return pb_string(f, field, n->op, sizeof(n->op));
	case NODE_ATTRIBUTE:
		return read_attribute(f, field, n);
	case NODE_DOMAIN:
		return pb_string(f, field, n->domain, sizeof(n->domain));
	default:
		return 0;
	}
}

static int read_node(struct pb_file *f, struct pb_range r, struct graph_node *n)
{
	struct pb_field field;
	int e;

	clear_node(n);
	while (!(e = pb_next(f, &r, &field))) {
		e = node_field(f, &field, n);
		if (e)
			return e;
	}
	return e == PB_E_END ? 0 : e;
}

/* --- The model ---------------------------------------------------------------------------- */

static int visit_opset(struct reading *q, struct pb_range r)
{
	char domain[GRAPH_WORD_MAX] = "";
	struct pb_field field;
	int64_t version = 0;
	int e;

	while (!(e = pb_next(&q->file, &r, &field))) {
		if (field.number == OPSET_DOMAIN)
			e = pb_string(&q->file, &field, domain, sizeof(domain));
		else if (field.number == OPSET_VERSION)
			version = (int64_t)field.value;
		if (e)
			return graph_error(e);
	}
	return e == PB_E_END ? q->visitor->on_opset(q->visitor->data, domain, version)
			     : graph_error(e);
}

static int visit_constant(struct reading *q, const struct pb_field *field)
{
	bool sparse = field->number == GRAPH_SPARSE;
	int e = sparse ? graph_read_sparse(&q->file, field->bytes, &q->tensor)
		       : graph_read_tensor(&q->file, field->bytes, &q->tensor);

	return e ? graph_error(e) : q->visitor->on_constant(q->visitor->data, &q->tensor);
}

static int visit_node(struct reading *q, const struct pb_field *field)
{
	int e = read_node(&q->file, field->bytes, &q->node);

	return e ? graph_error(e) : q->visitor->on_node(q->visitor->data, &q->node);
}

static int walk_graph(struct reading *q, struct pb_range r, bool nodes)
{
	struct pb_field field;
	int e;

	while (!(e = pb_next(&q->file, &r, &field))) {
		bool constant = field.number == GRAPH_INITIALIZER || field.number == GRAPH_SPARSE;

		if (field.wire != PB_BYTES)
			continue;
		if (nodes && field.number == GRAPH_NODE)
			e = visit_node(q, &field);
		else if (!nodes && constant)
			e = visit_constant(q, &field);
		if (e)
			return e;
	}
	return e == PB_E_END ? 0 : graph_error(e);
}

/* The fields of the model itself; the graph is told, not entered. A graph in two parts is none. */
static int walk_model(struct reading *q, struct pb_range r, struct pb_range *ret_graph)
{
	struct pb_range graph = {0, 0};
	struct pb_field field;
	int e;

	while (!(e = pb_next(&q->file, &r, &field))) {
		if (field.wire != PB_BYTES)
			continue;
		if (field.number == MODEL_OPSET)
			e = visit_opset(q, field.bytes);
		if (field.number == MODEL_GRAPH && graph.end)
			return GRAPH_E_BROKEN;
		if (field.number == MODEL_GRAPH)
			graph = field.bytes;
		if (e)
			return e;
	}
	*ret_graph = graph;
	return e == PB_E_END && graph.end ? 0 : graph_error(e);
}

int graph_read(int fd, const struct graph_visitor *visitor)
{
	struct reading *q = calloc(1, sizeof(*q));
	struct pb_range all, graph;
	int e;

	if (!q)
		return -ENOMEM;
	q->visitor = visitor;
	e = pb_open(&q->file, fd, &all);
	if (!e)
		e = walk_model(q, all, &graph);
	if (!e)
		e = walk_graph(q, graph, false);
	if (!e)
		e = walk_graph(q, graph, true);
	free_node(&q->node);
	free(q);
	return e;
}

const struct graph_attribute *graph_attribute(const struct graph_node *node, const char *name)
{
	for (size_t i = 0; i < node->n_attributes; i++)
		if (!strcmp(node->attributes[i].name, name))
			return &node->attributes[i];
	return NULL;
}

/*
 * rows.c: walks the graph with what is known of each value, and stops at the first operator that
 * does not keep rows apart. Worker process.
 */
#include "workers/backends/onnxruntime/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

/* Operators may mean something else before and after. */
#define OPSET_OLDEST 7
#define OPSET_NEWEST 26

static int result(const struct rows *q, bool ok)
{
	if (ok)
		return 0;
	return q->error ? q->error : GRAPH_E_STOPPED;
}

static int on_opset(void *data, const char *domain, int64_t version)
{
	struct rows *q = data;

	if (!*domain || !strcmp(domain, "ai.onnx"))
		q->opset = version;
	return 0;
}

static int on_constant(void *data, const struct graph_tensor *tensor)
{
	struct value v = value_constant(tensor);

	return result(data, rows_add(data, tensor->name, &v));
}

/* What the node's inputs are; false where one is not known. */
static bool look(struct rows *q, bool *ret_rows, bool *ret_counts)
{
	const struct graph_node *n = q->node;

	*ret_rows = *ret_counts = false;
	for (size_t k = 0; k < n->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (!*n->inputs[k])
			continue;
		if (!v)
			return rows_mixed(
				q, "uses '%.60s', which nothing before it gives", n->inputs[k]);
		*ret_rows |= v->rows;
		*ret_counts |= v->counts;
	}
	return true;
}

static bool visit(struct rows *q)
{
	const struct graph_node *n = q->node;
	bool ml = !strcmp(n->domain, "ai.onnx.ml");
	const struct rows_rule *rule;
	bool rows, counts;

	if (*n->domain && !ml && strcmp(n->domain, "ai.onnx"))
		return rows_mixed(
			q, "is of the domain %.60s, whose operators are not known", n->domain);
	if (q->opset < OPSET_OLDEST || q->opset > OPSET_NEWEST)
		return rows_mixed(q, "is of opset %lld; %d to %d are known", (long long)q->opset,
			OPSET_OLDEST, OPSET_NEWEST);
	rule = rows_find_rule(n->op, ml);
	if (!rule)
		return rows_mixed(q, "is not known to keep rows apart");
	if (!rule->apply)
		return rows_mixed(q, "%s", rule->why_not);
	if (!look(q, &rows, &counts))
		return false;
	if (rule->shapes)
		return rule->apply(q);
	if (counts)
		return rows_counting(q);
	if (rows)
		return rule->apply(q);
	return rule->elementwise ? rows_give_plain_elementwise(q) : rows_give_plain(q);
}

static int on_node(void *data, const struct graph_node *node)
{
	struct rows *q = data;
	bool ok;

	q->node = node;
	ok = visit(q);
	q->node = NULL;
	return result(q, ok);
}

static bool add_inputs(struct rows *q, const struct modeld_declaration *inputs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct value v = value_rows((int)inputs[i].rank);

		if (inputs[i].rank > GRAPH_RANK_MAX)
			return rows_mixed(q, "input '%.60s' has more than %u dimensions",
				inputs[i].name, GRAPH_RANK_MAX);
		memcpy(v.dims, inputs[i].dims, inputs[i].rank * sizeof(v.dims[0]));
		if (!rows_add(q, inputs[i].name, &v))
			return false;
	}
	return true;
}

static bool check_outputs(struct rows *q, const struct modeld_declaration *outputs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct value *v = rows_find(q, outputs[i].name);

		if (!v || !v->rows)
			return rows_mixed(q, "output '%.60s' has no row for each of the inputs'",
				outputs[i].name);
	}
	return true;
}

static const char *failure(int e)
{
	if (e == GRAPH_E_LARGE)
		return "its graph is too large to be looked at";
	return e == GRAPH_E_BROKEN ? "its graph cannot be read" : strerror(-e);
}

static int judge(struct rows *q, int fd, const struct modeld_declaration *inputs, size_t n_inputs,
	const struct modeld_declaration *outputs, size_t n_outputs)
{
	struct graph_visitor visitor = {on_opset, on_constant, on_node, q};
	int e = result(q, add_inputs(q, inputs, n_inputs));

	if (!e)
		e = graph_read(fd, &visitor);
	if (!e)
		e = result(q, check_outputs(q, outputs, n_outputs));
	if (e && e != GRAPH_E_STOPPED)
		rows_mixed(q, "%s", failure(e));
	q->verdict->apart = !e;
	return e == -ENOMEM ? e : 0;
}

int rows_judge(const char *path, const struct modeld_declaration *inputs, size_t n_inputs,
	const struct modeld_declaration *outputs, size_t n_outputs,
	struct rows_verdict *ret_verdict)
{
	struct rows_verdict verdict = {0};
	struct rows q = {.verdict = &verdict};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int e = 0;

	if (fd < 0)
		rows_mixed(&q, "its graph cannot be read: %s", strerror(errno));
	else
		e = judge(&q, fd, inputs, n_inputs, outputs, n_outputs);
	close_fd(&fd);
	rows_table_deinit(&q);
	if (!e)
		*ret_verdict = verdict;
	return e;
}

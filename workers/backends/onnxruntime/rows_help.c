/*
 * rows_help.c: what several rules ask of a node. Worker process.
 */
#include "workers/backends/onnxruntime/rows_private.h"

int64_t rows_attribute(const struct rows *q, const char *name, int64_t otherwise)
{
	const struct graph_attribute *a = graph_attribute(q->node, name);

	return a ? a->i : otherwise; /* some writers leave zeros out */
}

enum numbers rows_numbers(const struct rows *q, const char *attribute, size_t input,
	const int64_t **ret_numbers, int *ret_n)
{
	const struct graph_attribute *a = attribute ? graph_attribute(q->node, attribute) : NULL;
	const struct value *v = rows_input(q, input);

	if (a && a->n_numbers >= 0) {
		*ret_numbers = a->numbers;
		*ret_n = a->n_numbers;
		return NUMBERS_KNOWN;
	}
	if (a)
		return NUMBERS_UNKNOWN;
	if (!v)
		return NUMBERS_ABSENT;
	if (v->rows || v->n_numbers < 0)
		return NUMBERS_UNKNOWN;
	*ret_numbers = v->numbers;
	*ret_n = v->n_numbers;
	return NUMBERS_KNOWN;
}

bool rows_axis_apart(struct rows *q, int64_t axis, int rank, int64_t *ret_axis)
{
	if (axis == ROWS_BATCH || axis == ROWS_OTHER || axis < -rank || axis >= rank)
		return rows_mixed(q, "has an axis that is not known");
	if (axis < 0)
		axis += rank;
	if (axis == 0)
		return rows_mixed(q, "works along the first dimension");
	*ret_axis = axis;
	return true;
}

bool rows_first_only(struct rows *q)
{
	const struct value *x = rows_input(q, 0);

	if (!x || !x->rows)
		return rows_mixed(q, "has a first input without rows");
	for (size_t k = 1; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (v && (v->rows || v->counts))
			return rows_mixed(q, "has an input %zu that depends on the rows", k);
	}
	return true;
}

bool rows_counting(struct rows *q)
{
	return rows_mixed(q, "computes with the number of rows");
}

bool rows_give_plain(struct rows *q)
{
	struct value v = value_plain();

	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *in = rows_input(q, k);

		if (in && in->counts)
			return rows_counting(q);
		if (in && in->rows)
			return rows_mixed(q, "takes rows where a number or a shape is wanted");
	}
	for (size_t k = 0; k < q->node->n_outputs; k++)
		if (!rows_give(q, k, &v))
			return false;
	return true;
}

bool rows_give_unknown(struct rows *q, int rank)
{
	struct value v = value_rows(rank);

	for (size_t k = 1; k < q->node->n_outputs; k++)
		if (*q->node->outputs[k])
			return rows_mixed(q, "has a second output that is used");
	return rows_give(q, 0, &v);
}

int64_t rows_broadcast_dim(const struct rows *q, int rank, int i)
{
	int64_t dim = 1;

	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);
		int64_t one = v && i >= rank - v->rank ? v->dims[i - (rank - v->rank)] : 1;

		if (one > 1)
			return one;
		if (one != 1)
			dim = one;
	}
	return dim;
}

bool rows_give_plain_elementwise(struct rows *q)
{
	struct value v = value_plain();
	int rank = 0;

	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *in = rows_input(q, k);

		if (in && in->rank < 0)
			return rows_give_plain(q);
		if (in && in->rank > rank)
			rank = in->rank;
	}
	v.rank = rank;
	for (int i = 0; i < rank; i++)
		v.dims[i] = rows_broadcast_dim(q, rank, i);
	value_set_unknown_numbers(&v);
	return rows_give(q, 0, &v);
}

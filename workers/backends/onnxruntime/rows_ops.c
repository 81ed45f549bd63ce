/*
 * rows_ops.c: the rules of operators that compute: what each must be like to keep rows apart. A rule
 * is asked only when an input has rows and none counts, unless its line in rows_rules.c says more.
 * Worker process.
 */
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

/* --- Element by element ------------------------------------------------------------------- */

/* The largest rank, which must be that of every value with rows: a shorter one's rows would meet
 * another dimension. Plain values must not tell rows apart. */
static bool broadcast_rank(struct rows *q, int *ret_rank)
{
	int rank = 0;

	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (v && v->rank < 0)
			return rows_mixed(q, "takes a constant of unknown rank");
		if (v && v->rank > rank)
			rank = v->rank;
	}
	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (v && v->rows && v->rank != rank)
			return rows_mixed(q, "sets the first dimension against another one");
		if (v && !v->rows && v->rank == rank && v->dims[0] != 1)
			return rows_mixed(q, "takes a constant that has rows of its own");
	}
	*ret_rank = rank;
	return true;
}

bool rule_elementwise(struct rows *q)
{
	struct value v;
	int rank = 0;

	if (!broadcast_rank(q, &rank))
		return false;
	v = value_rows(rank);
	for (int i = 1; i < rank; i++)
		v.dims[i] = rows_broadcast_dim(q, rank, i);
	return rows_give(q, 0, &v);
}

/* One value, and parameters that have no dimensions to speak of. */
bool rule_first(struct rows *q)
{
	return rows_first_only(q) && rows_give(q, 0, rows_input(q, 0));
}

bool rule_dropout(struct rows *q)
{
	const struct value *training = rows_input(q, 2);

	if (training && (training->n_numbers != 1 || training->numbers[0] != 0))
		return rows_mixed(q, "may be in training, where it is random");
	if (!rows_first_only(q))
		return false;
	return rows_give(q, 0, rows_input(q, 0)) && rows_give(q, 1, rows_input(q, 0));
}

bool rule_quantize(struct rows *q)
{
	const struct value *scale = rows_input(q, 1), *x = rows_input(q, 0);
	int64_t axis;

	if (!rows_first_only(q) || !scale)
		return rows_mixed(q, "has a scale that depends on the rows");
	if (scale->rank < 0 || scale->rank > 1)
		return rows_mixed(q, "has scales by blocks");
	if (scale->rank == 1 && scale->dims[0] != 1 &&
		!rows_axis_apart(q, rows_attribute(q, "axis", 1), x->rank, &axis))
		return false;
	return rows_give(q, 0, x);
}

/* --- Along an axis ------------------------------------------------------------------------ */

static bool axis_rule(struct rows *q, int64_t otherwise, size_t n_outputs)
{
	const struct value *x = rows_input(q, 0);
	struct value v;
	int64_t axis;

	if (!rows_first_only(q) ||
		!rows_axis_apart(q, rows_attribute(q, "axis", otherwise), x->rank, &axis))
		return false;
	v = *x;
	if (n_outputs > 1)
		v.dims[axis] = ROWS_DIM_UNKNOWN;
	for (size_t k = 0; k < n_outputs; k++)
		if (!rows_give(q, k, &v))
			return false;
	return true;
}

/* Before opset 13 all dimensions from the axis on are one; the default was 1. */
bool rule_softmax(struct rows *q)
{
	return axis_rule(q, q->opset < 13 ? 1 : -1, 1);
}

bool rule_last_axis(struct rows *q)
{
	return axis_rule(q, -1, 1);
}

bool rule_topk(struct rows *q)
{
	return axis_rule(q, -1, 2);
}

bool rule_split(struct rows *q)
{
	return axis_rule(q, 0, q->node->n_outputs);
}

bool rule_layer_normalization(struct rows *q)
{
	const struct value *x = rows_input(q, 0);

	for (size_t k = 1; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (v && (v->rank < 0 || v->rank >= x->rank))
			return rows_mixed(q, "has a scale that may have rows of its own");
	}
	for (size_t k = 1; k < q->node->n_outputs; k++)
		if (*q->node->outputs[k])
			return rows_mixed(q, "is in training");
	return axis_rule(q, -1, 1);
}

bool rule_cumsum(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *axis;
	int64_t at;
	int n = 0;

	if (!rows_first_only(q) || rows_numbers(q, NULL, 1, &axis, &n) != NUMBERS_KNOWN || n != 1)
		return rows_mixed(q, "has an axis that is not known");
	return rows_axis_apart(q, axis[0], x->rank, &at) && rows_give(q, 0, x);
}

static bool reduce(struct rows *q, const int64_t *axes, int n)
{
	const struct value *x = rows_input(q, 0);
	bool keep = rows_attribute(q, "keepdims", 1) != 0, gone[GRAPH_RANK_MAX] = {false};
	struct value v = value_rows(0);
	int64_t axis;

	for (int i = 0; i < n; i++) {
		if (!rows_axis_apart(q, axes[i], x->rank, &axis))
			return false;
		gone[axis] = true;
	}
	for (int i = 0; i < x->rank; i++)
		if (!gone[i] || keep)
			v.dims[v.rank++] = gone[i] ? 1 : x->dims[i];
	return rows_give(q, 0, &v);
}

bool rule_reduce(struct rows *q)
{
	const int64_t *axes;
	int n = 0;
	enum numbers known = rows_numbers(q, "axes", 1, &axes, &n);

	if (!rows_first_only(q))
		return false;
	if (known == NUMBERS_UNKNOWN)
		return rows_mixed(q, "has axes that are not known");
	if (known == NUMBERS_KNOWN && n > 0)
		return reduce(q, axes, n);
	if (rows_attribute(q, "noop_with_empty_axes", 0))
		return rows_give(q, 0, rows_input(q, 0));
	return rows_mixed(q, "works along every dimension, the first one, too");
}

bool rule_arg(struct rows *q)
{
	int64_t axis = rows_attribute(q, "axis", 0);

	return rows_first_only(q) && reduce(q, &axis, 1);
}

/* --- Products ----------------------------------------------------------------------------- */

static bool product(struct rows *q, const struct value *a, const struct value *b)
{
	int rank = a->rank > b->rank ? a->rank : b->rank;

	if (a->rank < 0 || b->rank < 0)
		return rows_mixed(q, "takes a constant of unknown rank");
	if (a->rank < 2 || (b->rank < 2 && b->rows) || b->rank < 1)
		return rows_mixed(q, "sums over rows");
	if (b->rank == 1) {
		rank = a->rank - 1;
	} else if (rank == 2) {
		if (b->rows || !a->rows)
			return rows_mixed(q, "sums over rows");
	} else if ((a->rows && a->rank < rank) || (b->rows && b->rank < rank)) {
		return rows_mixed(q, "sets the first dimension against another one");
	} else if ((!a->rows && a->rank == rank && a->dims[0] != 1) ||
		   (!b->rows && b->rank == rank && b->dims[0] != 1)) {
		return rows_mixed(q, "takes a constant that has rows of its own");
	}
	return rows_give_unknown(q, rank);
}

bool rule_matmul(struct rows *q)
{
	const struct value *a = rows_input(q, 0), *b = rows_input(q, 1);

	return a && b ? product(q, a, b) : rows_mixed(q, "lacks an input");
}

bool rule_gemm(struct rows *q)
{
	const struct value *a = rows_input(q, 0), *b = rows_input(q, 1), *c = rows_input(q, 2);
	bool a_turned = rows_attribute(q, "transA", 0) != 0;
	bool b_turned = rows_attribute(q, "transB", 0) != 0;
	struct value v = value_rows(2);

	if (!a || !b || !a->rows || b->rows || a_turned)
		return rows_mixed(q, "sums over rows");
	if (c && (c->rows ? c->rank != 2 : c->rank < 0 || (c->rank == 2 && c->dims[0] != 1)))
		return rows_mixed(q, "takes a constant that has rows of its own");
	if (b->rank == 2)
		v.dims[1] = b->dims[b_turned ? 0 : 1];
	return rows_give(q, 0, &v);
}

bool rule_qlinear_matmul(struct rows *q)
{
	const struct value *a = rows_input(q, 0), *b = rows_input(q, 3);

	if (!rows_first_only(q) || !b)
		return false;
	for (size_t k = 1; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (k != 3 && v &&
			(v->rank < 0 || v->rank > 1 || (v->rank == 1 && v->dims[0] != 1)))
			return rows_mixed(q, "has a scale that may have rows of its own");
	}
	return product(q, a, b);
}

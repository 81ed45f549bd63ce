/*
 * rows_reshape.c: the rules of operators that obey a shape. They take plain values and ones that
 * count as well as rows. Worker process.
 */
#include "workers/backends/onnxruntime/rows_private.h"

/* Elements of a row; ROWS_DIM_UNKNOWN where that is not known. */
static int64_t row_elements(const struct value *v)
{
	int64_t n = 1;

	for (int i = 1; i < v->rank; i++)
		if (v->dims[i] < 0 || __builtin_mul_overflow(n, v->dims[i], &n))
			return ROWS_DIM_UNKNOWN;
	return n;
}

/* Is the first dimension what it was? `v` has the new other ones. */
static bool keeps_rows(
	const struct rows *q, const struct value *x, const int64_t *shape, const struct value *v)
{
	int64_t had = row_elements(x), has = row_elements(v);

	if (shape[0] == ROWS_BATCH)
		return true;
	if (shape[0] == 0)
		return rows_attribute(q, "allowzero", 0) == 0;
	return shape[0] == -1 && had > 0 && had == has;
}

static bool reshape_rows(struct rows *q, const struct value *x, const int64_t *shape, int n)
{
	struct value v = value_rows(n);

	if (n < 1 || n > (int)GRAPH_RANK_MAX)
		return rows_mixed(q, "makes a shape without rows");
	for (int i = 1; i < n; i++) {
		if (shape[i] == ROWS_BATCH)
			return rows_mixed(q, "moves the rows to another dimension");
		if (shape[i] > 0)
			v.dims[i] = shape[i];
		else if (shape[i] == 0 && i < x->rank)
			v.dims[i] = x->dims[i];
	}
	if (!keeps_rows(q, x, shape, &v))
		return rows_mixed(q, "may fold rows into another dimension");
	return rows_give(q, 0, &v);
}

/* A list or a number stays what it is as a list; other plain values get the shape. */
static bool reshape_plain(struct rows *q, const struct value *x, const int64_t *shape, int n)
{
	struct value v = *x;

	if (x->n_numbers >= 0 && n == 1 && (shape[0] == -1 || shape[0] == x->n_numbers)) {
		v.rank = 1;
		v.dims[0] = x->n_numbers;
		return rows_give(q, 0, &v);
	}
	if (x->counts || n > (int)GRAPH_RANK_MAX)
		return rows_give_plain(q);
	v = value_plain();
	v.rank = n;
	for (int i = 0; i < n; i++) {
		if (shape[i] == ROWS_BATCH)
			return rows_counting(q);
		v.dims[i] = shape[i] > 0 ? shape[i] : ROWS_DIM_UNKNOWN;
	}
	return rows_give(q, 0, &v);
}

bool rule_reshape(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *shape;
	int n = 0;

	if (!x || rows_numbers(q, NULL, 1, &shape, &n) != NUMBERS_KNOWN)
		return x && x->rows ? rows_mixed(q, "makes a shape that is not known")
				    : rows_give_plain(q);
	return x->rows ? reshape_rows(q, x, shape, n) : reshape_plain(q, x, shape, n);
}

bool rule_flatten(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	int64_t axis = rows_attribute(q, "axis", 1);
	struct value v = value_rows(2);

	if (!x || !x->rows)
		return rows_give_plain(q);
	if (axis < 0)
		axis += x->rank;
	if (axis != 1)
		return rows_mixed(q, "folds rows into another dimension");
	v.dims[1] = row_elements(x);
	return rows_give(q, 0, &v);
}

/* A plain value stretched to one row each. */
static bool expand_plain(struct rows *q, const struct value *x, const int64_t *shape, int n)
{
	struct value v = value_rows(n);

	if (x->counts || n < 1 || shape[0] != ROWS_BATCH || x->rank < 0 || x->rank > n)
		return rows_give_plain(q);
	if (x->rank == n && x->dims[0] != 1)
		return rows_mixed(q, "stretches a constant that has rows of its own");
	for (int i = 1; i < n; i++)
		if (shape[i] == ROWS_BATCH)
			return rows_counting(q);
	return rows_give(q, 0, &v);
}

bool rule_expand(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *shape;
	struct value v;
	int n = 0;

	if (!x || rows_numbers(q, NULL, 1, &shape, &n) != NUMBERS_KNOWN)
		return x && x->rows ? rows_mixed(q, "makes a shape that is not known")
				    : rows_give_plain(q);
	if (!x->rows)
		return n <= (int)GRAPH_RANK_MAX ? expand_plain(q, x, shape, n) : rows_give_plain(q);
	if (n > x->rank || (n == x->rank && shape[0] != 1 && shape[0] != ROWS_BATCH))
		return rows_mixed(q, "stretches the first dimension");
	for (int i = n == x->rank; i < n; i++)
		if (shape[i] == ROWS_BATCH)
			return rows_counting(q);
	v = value_rows(x->rank);
	return rows_give(q, 0, &v);
}

bool rule_constant_of_shape(struct rows *q)
{
	const int64_t *shape;
	struct value v;
	int n = 0;

	if (rows_numbers(q, NULL, 0, &shape, &n) != NUMBERS_KNOWN || n < 1 ||
		n > (int)GRAPH_RANK_MAX || shape[0] != ROWS_BATCH)
		return rows_give_plain(q);
	v = value_rows(n);
	for (int i = 1; i < n; i++) {
		if (shape[i] == ROWS_BATCH)
			return rows_counting(q);
		v.dims[i] = shape[i] >= 0 ? shape[i] : ROWS_DIM_UNKNOWN;
	}
	return rows_give(q, 0, &v);
}

/*
 * rows_shapes.c: the rules of operators that shapes are made with. They take plain values and ones
 * that count as well as rows. Worker process.
 */
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

static struct value value_list(int rank, int n)
{
	struct value v = value_plain();

	v.rank = rank;
	v.dims[0] = n;
	v.n_numbers = n;
	return v;
}

static void find_counts(struct value *v)
{
	v->counts = false;
	for (int i = 0; i < v->n_numbers; i++)
		v->counts |= v->numbers[i] == ROWS_BATCH;
}

bool rule_constant(struct rows *q)
{
	const struct graph_attribute *tensor = graph_attribute(q->node, "value");
	const struct graph_attribute *number = graph_attribute(q->node, "value_int");
	const struct graph_attribute *list = graph_attribute(q->node, "value_ints");
	struct value v = value_plain();

	if (tensor && tensor->has_tensor) {
		v = value_constant(&tensor->tensor);
	} else if (number) {
		v = value_list(0, 1);
		v.numbers[0] = number->i <= ROWS_OTHER ? ROWS_OTHER : number->i;
	} else if (list && list->n_numbers >= 0) {
		v = value_list(1, list->n_numbers);
		for (int i = 0; i < v.n_numbers; i++)
			v.numbers[i] =
				list->numbers[i] <= ROWS_OTHER ? ROWS_OTHER : list->numbers[i];
	} else if (graph_attribute(q->node, "value_float")) {
		v = value_list(0, 1);
		v.numbers[0] = ROWS_OTHER;
	}
	return rows_give(q, 0, &v);
}

bool rule_same(struct rows *q)
{
	const struct value *x = rows_input(q, 0);

	return x ? rows_give(q, 0, x) : rows_mixed(q, "has no input");
}

/* Element types that every number which a shape may have fits. */
static bool type_is_wide(int64_t type)
{
	return type == 1 || type == 6 || type == 7 || type == 11; /* f32, i32, i64, f64 */
}

bool rule_cast(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	struct value v;

	if (!x || x->rows || type_is_wide(rows_attribute(q, "to", 0)))
		return rule_same(q);
	if (x->counts)
		return rows_counting(q);
	v = *x;
	value_set_unknown_numbers(&v);
	return rows_give(q, 0, &v);
}

static int64_t clamp(int64_t at, int64_t n, int64_t low, int64_t high)
{
	if (at < 0)
		at += n;
	if (at < low)
		return low;
	return at > high ? high : at;
}

bool rule_shape(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	struct value v;
	int64_t from, to;

	if (!x || x->rank < 0 || (!x->rows && x->counts))
		return rows_give_plain(q);
	from = clamp(rows_attribute(q, "start", 0), x->rank, 0, x->rank);
	to = clamp(rows_attribute(q, "end", x->rank), x->rank, 0, x->rank);
	v = value_list(1, from < to ? (int)(to - from) : 0);
	for (int i = 0; i < v.n_numbers; i++) {
		int64_t dim = x->dims[from + i];

		v.numbers[i] = dim < 0 ? ROWS_OTHER : dim;
		if (x->rows && from + i == 0)
			v.numbers[i] = ROWS_BATCH;
	}
	find_counts(&v);
	return rows_give(q, 0, &v);
}

/* Elements out of a list of numbers. */
static bool pick(struct rows *q, const struct value *list, const struct value *index)
{
	struct value v = value_list(index->rank, index->n_numbers);

	for (int i = 0; i < index->n_numbers; i++) {
		int64_t at = index->numbers[i];

		if (at == ROWS_OTHER)
			return rows_give_plain(q);
		if (at < -list->n_numbers || at >= list->n_numbers)
			return rows_mixed(q, "picks a number that is not there");
		v.numbers[i] = list->numbers[at < 0 ? at + list->n_numbers : at];
	}
	find_counts(&v);
	return rows_give(q, 0, &v);
}

/* Data of rows, along another dimension, by a plain index; or a plain table by an index of rows. */
static bool gather_rows(struct rows *q, const struct value *x, const struct value *index)
{
	int64_t axis = rows_attribute(q, "axis", 0);

	if (x->counts || index->counts)
		return rows_counting(q);
	if (x->rank < 0 || index->rank < 0)
		return rows_mixed(q, "has an input of unknown rank");
	if (x->rank + index->rank - 1 > (int)GRAPH_RANK_MAX)
		return rows_mixed(q, "makes too many dimensions");
	if (x->rows && index->rows)
		return rows_mixed(q, "picks rows by rows");
	if (x->rows) {
		if (!rows_axis_apart(q, axis, x->rank, &axis))
			return false;
	} else if (axis != 0 && axis != -x->rank) {
		return rows_mixed(q, "makes something else the first dimension");
	}
	return rows_give_unknown(q, x->rank + index->rank - 1);
}

bool rule_gather(struct rows *q)
{
	const struct value *x = rows_input(q, 0), *index = rows_input(q, 1);

	if (!x || !index)
		return rows_mixed(q, "lacks an input");
	if (x->rows || index->rows)
		return gather_rows(q, x, index);
	if (x->rank == 1 && x->n_numbers >= 0 && index->n_numbers >= 0 && !index->counts)
		return pick(q, x, index);
	return rows_give_plain(q);
}

/* Numbers out of a list, `step` apart. */
static bool slice_list(
	struct rows *q, const struct value *x, int64_t from, int64_t to, int64_t step)
{
	struct value v = value_list(1, 0);

	if (from <= ROWS_OTHER || to <= ROWS_OTHER || step <= ROWS_OTHER || step == 0 ||
		x->n_numbers == 0)
		return rows_give_plain(q);
	if (step < 0) {
		from = clamp(from, x->n_numbers, 0, x->n_numbers - 1);
		to = to < -x->n_numbers ? -1 : clamp(to, x->n_numbers, -1, x->n_numbers - 1);
	} else {
		from = clamp(from, x->n_numbers, 0, x->n_numbers);
		to = clamp(to, x->n_numbers, 0, x->n_numbers);
	}
	if (step > (int64_t)GRAPH_NUMBERS_MAX || step < -(int64_t)GRAPH_NUMBERS_MAX)
		return rows_give_plain(q);
	for (; step > 0 ? from < to : from > to; from += step)
		v.numbers[v.n_numbers++] = x->numbers[from];
	v.dims[0] = v.n_numbers;
	find_counts(&v);
	return rows_give(q, 0, &v);
}

static bool slice_rows(struct rows *q, const struct value *x, const int64_t *axes, int n_axes)
{
	struct value v = *x;
	int64_t axis;

	for (size_t k = 1; k < q->node->n_inputs; k++)
		if (rows_input(q, k) && (rows_input(q, k)->rows || rows_input(q, k)->counts))
			return rows_mixed(q, "has bounds that depend on the rows");
	for (int i = 0; i < n_axes; i++) {
		if (!rows_axis_apart(q, axes[i], x->rank, &axis))
			return false;
		v.dims[axis] = ROWS_DIM_UNKNOWN;
	}
	return rows_give(q, 0, &v);
}

bool rule_slice(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *from, *to, *axes, *step;
	static const int64_t one = 1, zero = 0;
	int n_from, n_to, n_axes = 1, n_step = 1;
	enum numbers known = rows_numbers(q, "axes", 3, &axes, &n_axes);
	enum numbers stepped = rows_numbers(q, NULL, 4, &step, &n_step);

	if (!x)
		return rows_mixed(q, "has no input");
	if (x->rows && known == NUMBERS_KNOWN)
		return slice_rows(q, x, axes, n_axes);
	if (x->rows)
		return rows_mixed(q, "may work along the first dimension");
	if (known == NUMBERS_ABSENT)
		axes = &zero;
	if (stepped == NUMBERS_ABSENT)
		step = &one;
	if (x->rank != 1 || x->n_numbers < 0 || known == NUMBERS_UNKNOWN ||
		stepped == NUMBERS_UNKNOWN ||
		rows_numbers(q, "starts", 1, &from, &n_from) != NUMBERS_KNOWN ||
		rows_numbers(q, "ends", 2, &to, &n_to) != NUMBERS_KNOWN || n_from != 1 ||
		n_to != 1 || n_axes != 1 || n_step != 1 || (axes[0] != 0 && axes[0] != -1))
		return rows_give_plain(q);
	return slice_list(q, x, from[0], to[0], step[0]);
}

static bool concat_lists(struct rows *q)
{
	struct value v = value_list(1, 0);

	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *x = rows_input(q, k);

		if (!x || x->rank != 1 || x->n_numbers < 0 ||
			v.n_numbers + x->n_numbers > (int)GRAPH_NUMBERS_MAX)
			return rows_give_plain(q);
		memcpy(v.numbers + v.n_numbers, x->numbers,
			(size_t)x->n_numbers * sizeof(v.numbers[0]));
		v.n_numbers += x->n_numbers;
	}
	v.dims[0] = v.n_numbers;
	find_counts(&v);
	return rows_give(q, 0, &v);
}

bool rule_concat(struct rows *q)
{
	const struct value *first = rows_input(q, 0);
	int64_t axis = rows_attribute(q, "axis", 0), length = 0;
	bool rows = false;
	struct value v;

	for (size_t k = 0; k < q->node->n_inputs; k++)
		rows |= rows_input(q, k) && rows_input(q, k)->rows;
	if (!rows)
		return concat_lists(q);
	if (!first || !first->rows)
		return rows_mixed(q, "joins rows with what has none");
	v = *first;
	if (!rows_axis_apart(q, axis, first->rank, &axis))
		return false;
	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *x = rows_input(q, k);

		if (!x || !x->rows || x->rank != first->rank)
			return rows_mixed(q, "joins rows with what has none");
		if (length >= 0 && (x->dims[axis] < 0 ||
					   __builtin_add_overflow(length, x->dims[axis], &length)))
			length = ROWS_DIM_UNKNOWN;
	}
	v.dims[axis] = length;
	return rows_give(q, 0, &v);
}

/* Which of `rank` dimensions the axes name. */
static bool mark_axes(
	struct rows *q, const int64_t *axes, int n, int rank, bool *marked, bool first_too)
{
	for (int i = 0; i < n; i++) {
		int64_t axis = axes[i];

		if (axis <= ROWS_OTHER || axis < -rank || axis >= rank)
			return rows_mixed(q, "has an axis that is not known");
		if (axis < 0)
			axis += rank;
		if (axis == 0 && !first_too)
			return rows_mixed(q, "works on the first dimension");
		marked[axis] = true;
	}
	return true;
}

bool rule_unsqueeze(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	bool added[GRAPH_RANK_MAX + GRAPH_NUMBERS_MAX] = {false};
	const int64_t *axes;
	struct value v;
	int n = 0, from = 0;

	if (!x || x->rank < 0 || rows_numbers(q, "axes", 1, &axes, &n) != NUMBERS_KNOWN)
		return rows_give_plain(q);
	v = *x;
	v.rank = x->rank + n;
	if (v.rank > (int)GRAPH_RANK_MAX)
		return rows_mixed(q, "makes too many dimensions");
	if (!mark_axes(q, axes, n, v.rank, added, !x->rows))
		return false;
	for (int i = 0; i < v.rank; i++)
		v.dims[i] = added[i] || from >= x->rank ? 1 : x->dims[from++];
	if (from != x->rank || (v.rank > 1 && x->counts))
		return rows_mixed(q, "has axes that are not known");
	if (v.rank > 1)
		v.n_numbers = -1;
	return rows_give(q, 0, &v);
}

bool rule_squeeze(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	bool gone[GRAPH_RANK_MAX] = {false};
	const int64_t *axes;
	struct value v;
	int n = 0;

	if (!x || x->rank < 0 || rows_numbers(q, "axes", 1, &axes, &n) != NUMBERS_KNOWN)
		return rows_give_plain(q);
	v = *x;
	if (!mark_axes(q, axes, n, x->rank, gone, !x->rows))
		return false;
	v.rank = 0;
	for (int i = 0; i < x->rank; i++)
		if (!gone[i])
			v.dims[v.rank++] = x->dims[i];
	if (!x->rows && x->rank == 1 && x->n_numbers != 1)
		v.n_numbers = -1;
	if (x->counts && v.n_numbers < 0)
		return rows_counting(q);
	return rows_give(q, 0, &v);
}

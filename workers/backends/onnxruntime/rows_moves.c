/*
 * rows_moves.c: the rules of operators on pictures, of those that move elements about, and of
 * ai.onnx.ml: what each must be like to keep rows apart. A rule
 * is asked only when an input has rows and none counts, unless its line in rows_rules.c says more.
 * Worker process.
 */
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

/* --- Pictures ----------------------------------------------------------------------------- */

/* One picture, or signal, a row. */
bool rule_picture(struct rows *q)
{
	const struct value *x = rows_input(q, 0);

	if (!rows_first_only(q))
		return false;
	if (x->rank < 3)
		return rows_mixed(q, "takes the first dimension for one of a picture");
	return rows_give_unknown(q, x->rank);
}

bool rule_batch_normalization(struct rows *q)
{
	const struct value *x = rows_input(q, 0);

	if (rows_attribute(q, "training_mode", 0))
		return rows_mixed(q, "is in training, where it takes the mean of all rows");
	if (!rows_first_only(q))
		return false;
	for (size_t k = 1; k < q->node->n_outputs; k++)
		if (*q->node->outputs[k])
			return rows_mixed(q, "is in training, where it takes the mean of all rows");
	if (x->rank < 2)
		return rows_mixed(q, "has no dimension but the rows");
	return rows_give(q, 0, x);
}

bool rule_mean_variance(struct rows *q)
{
	const struct graph_attribute *axes = graph_attribute(q->node, "axes");
	int64_t axis;

	if (!axes || axes->n_numbers <= 0)
		return rows_mixed(q, "takes the mean of all rows");
	for (int i = 0; i < axes->n_numbers; i++)
		if (!rows_axis_apart(q, axes->numbers[i], rows_input(q, 0)->rank, &axis))
			return false;
	return rule_first(q);
}

/* Scales of 1, or sizes that are the number of rows, for the first dimension. */
bool rule_resize(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	size_t at = !strcmp(q->node->op, "Upsample") || q->opset < 11 ? 1 : 2;
	const struct graph_attribute *mode =
		graph_attribute(q->node, "coordinate_transformation_mode");
	const struct value *scales = rows_input(q, at), *sizes = rows_input(q, at + 1);

	if (!x || !x->rows)
		return rows_mixed(q, "takes a picture that does not come from the rows");
	if (mode && (!*mode->text || !strcmp(mode->text, "tf_crop_and_resize")))
		return rows_mixed(q, "may cut rows");
	if (graph_attribute(q->node, "axes"))
		return rows_mixed(q, "resizes by axes");
	if (scales && scales->counts)
		return rows_mixed(q, "computes with the number of rows");
	if (scales && (scales->n_numbers > 0 || !sizes)) {
		if (scales->rows || scales->n_numbers != x->rank || scales->numbers[0] != 1)
			return rows_mixed(q, "may resize the first dimension");
	} else if (!sizes || sizes->rows || sizes->n_numbers != x->rank ||
		   sizes->numbers[0] != ROWS_BATCH) {
		return rows_mixed(q, "may resize the first dimension");
	}
	for (int i = 1; sizes && i < sizes->n_numbers; i++)
		if (sizes->numbers[i] == ROWS_BATCH)
			return rows_mixed(q, "computes with the number of rows");
	return rows_give_unknown(q, x->rank);
}

bool rule_grid_sample(struct rows *q)
{
	const struct value *x = rows_input(q, 0), *grid = rows_input(q, 1);

	if (!x || !grid || !x->rows || !grid->rows || x->rank != grid->rank || x->rank < 4)
		return rows_mixed(q, "has a grid without rows");
	return rows_give_unknown(q, x->rank);
}

/* --- Moving elements ---------------------------------------------------------------------- */

bool rule_transpose(struct rows *q)
{
	const struct graph_attribute *perm = graph_attribute(q->node, "perm");
	const struct value *x = rows_input(q, 0);
	struct value v = *x;

	if (!perm && x->rank > 1)
		return rows_mixed(q, "moves the first dimension");
	if (!perm)
		return rows_give(q, 0, x);
	if (perm->n_numbers != x->rank || (x->rank > 0 && perm->numbers[0] != 0))
		return rows_mixed(q, "moves the first dimension");
	for (int i = 1; i < x->rank; i++) {
		if (perm->numbers[i] < 1 || perm->numbers[i] >= x->rank)
			return rows_mixed(q, "moves dimensions in a way that is not known");
		v.dims[i] = x->dims[perm->numbers[i]];
	}
	return rows_give(q, 0, &v);
}

bool rule_pad(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *pads;
	int n = 0;

	if (!rows_first_only(q))
		return false;
	if (rows_numbers(q, "pads", 1, &pads, &n) != NUMBERS_KNOWN || n != 2 * x->rank ||
		rows_input(q, 3) || pads[0] != 0 || pads[x->rank] != 0)
		return rows_mixed(q, "may add rows");
	return rows_give_unknown(q, x->rank);
}

bool rule_tile(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	const int64_t *repeats;
	int n = 0;

	if (!rows_first_only(q))
		return false;
	if (rows_numbers(q, NULL, 1, &repeats, &n) != NUMBERS_KNOWN || n != x->rank ||
		repeats[0] != 1)
		return rows_mixed(q, "may repeat rows");
	return rows_give_unknown(q, x->rank);
}

bool rule_triangle(struct rows *q)
{
	return rows_first_only(q) &&
	       (rows_input(q, 0)->rank >= 3 || rows_mixed(q, "takes rows for those of a matrix")) &&
	       rows_give(q, 0, rows_input(q, 0));
}

/* Data and indices of the same rows. */
static bool same_rows(struct rows *q)
{
	for (size_t k = 0; k < q->node->n_inputs; k++) {
		const struct value *v = rows_input(q, k);

		if (!v || !v->rows || v->rank != rows_input(q, 0)->rank)
			return rows_mixed(q, "picks from rows by what has none");
	}
	return true;
}

/* Along another axis than the rows' each row has its own; the output is shaped like that input. */
static bool same_rows_apart(struct rows *q, size_t shaped_like)
{
	int64_t axis;

	return same_rows(q) &&
	       rows_axis_apart(q, rows_attribute(q, "axis", 0), rows_input(q, 0)->rank, &axis) &&
	       rows_give(q, 0, rows_input(q, shaped_like));
}

bool rule_gather_elements(struct rows *q)
{
	return same_rows_apart(q, 1);
}

bool rule_scatter_elements(struct rows *q)
{
	return same_rows_apart(q, 0);
}

bool rule_one_hot(struct rows *q)
{
	const struct value *x = rows_input(q, 0);
	int64_t axis;

	if (!rows_first_only(q) || x->rank + 1 > (int)GRAPH_RANK_MAX)
		return rows_mixed(q, "has a depth that depends on the rows");
	return rows_axis_apart(q, rows_attribute(q, "axis", -1), x->rank + 1, &axis) &&
	       rows_give_unknown(q, x->rank + 1);
}

/* --- ai.onnx.ml: one example a row --------------------------------------------------------- */

static bool has_examples(struct rows *q)
{
	return rows_first_only(q) &&
	       (rows_input(q, 0)->rank == 2 || rows_mixed(q, "takes other than one example a row"));
}

bool rule_example(struct rows *q)
{
	return has_examples(q) && rows_give(q, 0, rows_input(q, 0));
}

bool rule_regressor(struct rows *q)
{
	return has_examples(q) && rows_give_unknown(q, 2);
}

bool rule_classifier(struct rows *q)
{
	struct value label = value_rows(1), scores = value_rows(2);

	return has_examples(q) && rows_give(q, 0, &label) && rows_give(q, 1, &scores);
}

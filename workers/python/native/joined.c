/* joined.c: a run of several items. Their inputs are joined to one call of infer, each item's answer is its rows of what that
 * gives. As executor.py does it (_joinable, _run_joined, _deal), where nothing is unusual. */
#include "workers/python/native/native.h"

#include <stdlib.h>
#include <string.h>

/* Does t join `first`, of the same input? *rows: of its item, below 0 before its first input. */
static bool can_join(const struct wire_tensor *t, const struct wire_tensor *first, int64_t *rows)
{
	if (t->rank == 0 || t->rank != first->rank || t->dtype != first->dtype ||
		memcmp(t->dims + 1, first->dims + 1, (t->rank - 1) * sizeof(*t->dims)) != 0)
		return false;
	if (*rows < 0)
		*rows = t->dims[0];
	return t->dims[0] == *rows;
}

/* The rows of each item, whose inputs were looked at. */
static bool count_rows(struct joined *j, const struct plan *p, const struct wire_run *run)
{
	for (size_t i = 0; i < run->n_items; i++) {
		int64_t rows = -1;

		for (size_t k = 0; k < p->n_inputs; k++) {
			if (!can_join(&run->items[i].inputs[k], &run->items[0].inputs[k], &rows))
				return false;
		}
		/* What is named is not joined to what is not, though both want all. */
		if (run->items[i].n_outputs != run->items[0].n_outputs || rows < 0 ||
			rows > (int64_t)p->max_batch_size - j->n_rows)
			return false;
		j->rows[i] = rows;
		j->n_rows += rows;
	}
	return true;
}

/* Each item's arrays: a tuple of tuples. NULL: one is not usual. */
static PyObject *arrays_of(
	const struct express *e, const struct plan *p, const struct wire_run *run)
{
	PyObject *all = PyTuple_New((Py_ssize_t)run->n_items);

	for (size_t i = 0; all && i < run->n_items; i++) {
		PyObject *own = plan_arguments(e, p, &run->items[i]);

		if (!own || PyTuple_SetItem(all, (Py_ssize_t)i, own) < 0)
			Py_CLEAR(all);
	}
	return all;
}

/* Input k of all items. */
static PyObject *concatenated(const struct express *e, const struct joined *j, size_t k)
{
	_own_ list = PyTuple_New((Py_ssize_t)j->n_items);

	for (size_t i = 0; list && i < j->n_items; i++) {
		PyObject *one =
			PyTuple_GetItem(PyTuple_GetItem(j->arrays, (Py_ssize_t)i), (Py_ssize_t)k);

		Py_INCREF(one);
		if (PyTuple_SetItem(list, (Py_ssize_t)i, one) < 0)
			return NULL;
	}
	return list ? PyObject_CallFunctionObjArgs(e->concatenate, list, NULL) : NULL;
}

PyObject *joined_arguments(const struct express *e, const struct plan *p,
	const struct wire_run *run, size_t used, struct joined *j)
{
	PyObject *args = NULL;

	if (!e->concatenate || p->max_batch_size == 0 || p->n_inputs == 0 || p->n_outputs == 0)
		return NULL;
	j->n_items = run->n_items;
	j->record = e->at;
	j->record_bytes = used;
	j->rows = malloc(run->n_items * sizeof(*j->rows));
	j->arrays = j->rows ? arrays_of(e, p, run) : NULL;
	if (j->arrays && count_rows(j, p, run))
		args = PyTuple_New((Py_ssize_t)p->n_inputs);
	for (size_t k = 0; args && k < p->n_inputs; k++) {
		PyObject *array = concatenated(e, j, k);

		if (!array || PyTuple_SetItem(args, (Py_ssize_t)k, array) < 0)
			Py_CLEAR(args);
	}
	PyErr_Clear(); /* Python's way says what it is */
	return args;
}

bool joined_fits(const struct joined *j, const struct wire_tensor *outputs, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		if (outputs[k].rank == 0 || outputs[k].dims[0] != j->n_rows)
			return false;
	}
	return true;
}

/* Output k: a slice for each item, whose tensor and dimensions are the k-th of n. */
static void slice(const struct joined *j, const struct wire_tensor *whole, struct wire_tensor *to,
	int64_t *dims, size_t n)
{
	uint64_t row_bytes = j->n_rows ? whole->span.length / (uint64_t)j->n_rows : 0;
	uint64_t offset = whole->span.offset;

	for (size_t i = 0; i < j->n_items; i++, to += n, dims += n * TENSOR_RANK_MAX) {
		*to = *whole;
		to->dims = dims;
		memcpy(dims, whole->dims, whole->rank * sizeof(*dims));
		dims[0] = j->rows[i];
		to->span.offset = offset;
		to->span.length = row_bytes * (uint64_t)j->rows[i];
		offset += to->span.length;
	}
}

struct wire_result *joined_results(
	const struct joined *j, const struct wire_tensor *outputs, size_t n, uint64_t hold)
{
	size_t n_tensors = j->n_items * n;
	struct wire_result *results =
		malloc(j->n_items * sizeof(*results) +
			n_tensors * (sizeof(*outputs) + TENSOR_RANK_MAX * sizeof(*outputs->dims)));
	struct wire_tensor *tensors;
	int64_t *dims;

	if (!results)
		return NULL;
	tensors = (struct wire_tensor *)(results + j->n_items);
	dims = (int64_t *)(tensors + n_tensors);
	for (size_t k = 0; k < n; k++)
		slice(j, &outputs[k], tensors + k, dims + k * TENSOR_RANK_MAX, n);
	for (size_t i = 0; i < j->n_items; i++)
		results[i] = (struct wire_result){.outputs = tensors + i * n,
			.n_outputs = n,
			.joined = (uint32_t)j->n_items,
			.hold = hold};
	return results;
}

void joined_end(struct joined *j)
{
	free(j->rows);
	Py_CLEAR(j->arrays);
}

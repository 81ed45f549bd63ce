/* plan.c: what a model takes and gives, held against arrays. Only what is usual: Python says what is wrong with the rest. */
#include "workers/python/native/native.h"

#include <stdlib.h>

static int declared_dims(struct declared *d, PyObject *dims)
{
	Py_ssize_t n;

	d->any_shape = dims == Py_None;
	if (d->any_shape)
		return 0;
	n = PySequence_Size(dims);
	if (n < 0 || n > (Py_ssize_t)TENSOR_RANK_MAX) {
		if (n >= 0)
			PyErr_SetString(PyExc_ValueError, "too many dimensions");
		return -1;
	}
	d->rank = (uint32_t)n;
	for (Py_ssize_t i = 0; i < n; i++) {
		_own_ one = PySequence_GetItem(dims, i);

		if (!one)
			return -1;
		d->dims[i] = PyLong_AsLongLong(one);
		if (PyErr_Occurred())
			return -1;
	}
	return 0;
}

/* Of (name, dtype, dims or None), ... */
static int declared_read(struct declared *list, size_t *ret_n, PyObject *given)
{
	Py_ssize_t n = PyTuple_Size(given);

	if (n > (Py_ssize_t)PLAN_TENSORS_MAX) {
		PyErr_SetString(PyExc_ValueError, "too many tensors");
		return -1;
	}
	for (Py_ssize_t i = 0; i < n; i++) {
		struct declared *d = &list[i];
		unsigned int dtype;
		PyObject *dims;

		if (!PyTuple_Check(PyTuple_GetItem(given, i))) {
			PyErr_SetString(PyExc_TypeError, "a tensor is (name, dtype, dims or None)");
			return -1;
		}
		if (!PyArg_ParseTuple(PyTuple_GetItem(given, i), "UIO", &d->name, &dtype, &dims)) {
			d->name = NULL;
			return -1;
		}
		Py_INCREF(d->name);
		d->dtype = (enum dtype)dtype;
		*ret_n = (size_t)i + 1;
		if (declared_dims(d, dims) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

struct plan *plan_new(PyObject *args)
{
	PyObject *keywords, *inputs, *outputs;
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return (struct plan *)PyErr_NoMemory();
	if (!PyArg_ParseTuple(args, "IOOOO!O!|I", &p->number, &p->model, &p->infer, &keywords,
		    &PyTuple_Type, &inputs, &PyTuple_Type, &outputs, &p->max_batch_size)) {
		free(p);
		return NULL;
	}
	Py_INCREF(p->model);
	Py_INCREF(p->infer);
	if (keywords != Py_None) {
		Py_INCREF(keywords);
		p->keywords = keywords;
	}
	if (declared_read(p->inputs, &p->n_inputs, inputs) < 0 ||
		declared_read(p->outputs, &p->n_outputs, outputs) < 0)
		return plan_free(p);
	return p;
}

struct plan *plan_free(struct plan *p)
{
	if (!p)
		return NULL;
	Py_CLEAR(p->model);
	Py_CLEAR(p->infer);
	Py_CLEAR(p->keywords);
	for (size_t i = 0; i < PLAN_TENSORS_MAX; i++) {
		Py_CLEAR(p->inputs[i].name);
		Py_CLEAR(p->outputs[i].name);
	}
	free(p);
	return NULL;
}

static bool admits(const struct declared *d, const struct wire_tensor *t)
{
	return (d->dtype == DTYPE_INVALID || d->dtype == t->dtype) &&
	       (d->any_shape || shape_admits(d->dims, d->rank, t->dims, t->rank));
}

static PyObject *tuple_of(const int64_t *dims, uint32_t rank)
{
	PyObject *tuple = PyTuple_New(rank);

	for (uint32_t i = 0; tuple && i < rank; i++) {
		PyObject *one = PyLong_FromLongLong(dims[i]);

		if (!one || PyTuple_SetItem(tuple, i, one) < 0) {
			Py_DECREF(tuple);
			return NULL;
		}
	}
	return tuple;
}

/* numpy.ndarray(dims, dtype, memory, offset); NULL: an exception is set. */
static PyObject *array_at(const struct arrays *a, const struct wire_tensor *t, PyObject *memory)
{
	_own_ dims = tuple_of(t->dims, t->rank);
	_own_ offset = PyLong_FromUnsignedLongLong(t->span.offset);

	if (!dims || !offset)
		return NULL;
	return PyObject_CallFunctionObjArgs(
		a->type, dims, a->dtypes[t->dtype], memory, offset, NULL);
}

/* Where a client's tensor lies in its region is its own business, and a model need not expect that. */
static bool is_aligned(const struct span *s)
{
	return !(s->arena & WIRE_REGION_BIT) || s->offset % 64 == 0;
}

static bool lies_in(const struct span *s, PyObject *memory)
{
	Py_ssize_t size = PyObject_Size(memory);

	return size >= 0 && s->length <= (uint64_t)size && s->offset <= (uint64_t)size - s->length;
}

PyObject *plan_input(const struct arrays *a, const struct plan *p, size_t i,
	const struct wire_tensor *t, PyObject *memory)
{
	PyObject *array = NULL;
	uint64_t n;

	if (t->index == i && t->dtype < DTYPE_BYTES && a->dtypes[t->dtype] &&
		admits(&p->inputs[i], t) && !shape_bytes(t->dtype, t->dims, t->rank, &n) &&
		n == t->span.length && is_aligned(&t->span) && lies_in(&t->span, memory))
		array = array_at(a, t, memory);
	PyErr_Clear();
	return array;
}

/* All outputs are wanted, in their order. */
static bool wants_all(const struct plan *p, const struct wire_item *item)
{
	if (item->n_outputs != 0 && item->n_outputs != p->n_outputs)
		return false;
	for (size_t i = 0; i < item->n_outputs; i++) {
		if (item->outputs[i] != i)
			return false;
	}
	return true;
}

static bool is_usual(const struct plan *p, const struct wire_item *item)
{
	return item->n_inputs == p->n_inputs && item->n_parameters == 0 && item->n_targets == 0 &&
	       wants_all(p, item);
}

/* A reference to what is mapped as this arena; NULL: nothing is. */
static PyObject *memory_of(const struct express *e, uint64_t arena)
{
	_own_ id = PyLong_FromUnsignedLongLong(arena);
	PyObject *view = id ? PyDict_GetItemWithError(e->views, id) : NULL;
	PyObject *memory = view ? PyTuple_GetItem(view, 0) : NULL;

	Py_XINCREF(memory);
	return memory;
}

PyObject *plan_arguments(
	const struct express *e, const struct plan *p, const struct wire_item *item)
{
	PyObject *args = is_usual(p, item) ? PyTuple_New((Py_ssize_t)p->n_inputs) : NULL;

	for (size_t i = 0; args && i < p->n_inputs; i++) {
		_own_ memory = memory_of(e, item->inputs[i].span.arena);
		PyObject *array =
			memory ? plan_input(&e->arrays, p, i, &item->inputs[i], memory) : NULL;

		if (!array || PyTuple_SetItem(args, (Py_ssize_t)i, array) < 0)
			Py_CLEAR(args);
	}
	if (!args)
		PyErr_Clear();
	return args;
}

/* The value of output i in what infer returned. */
static PyObject *value_of(const struct plan *p, size_t i, PyObject *given)
{
	if (PyDict_Check(given))
		return PyDict_Size(given) == (Py_ssize_t)p->n_outputs
			       ? PyDict_GetItemWithError(given, p->outputs[i].name)
			       : NULL;
	if (p->n_outputs == 1)
		return given;
	if (PyTuple_Check(given) && PyTuple_Size(given) == (Py_ssize_t)p->n_outputs)
		return PyTuple_GetItem(given, (Py_ssize_t)i);
	return NULL;
}

/* By identity: what is equal and not the same (another byte order, a subarray's) is not usual. */
static enum dtype dtype_of(const struct arrays *a, const struct declared *d, PyObject *array)
{
	_own_ dtype = PyObject_GetAttrString(array, "dtype");

	if (d->dtype != DTYPE_INVALID)
		return d->dtype < DTYPE_BYTES && dtype == a->dtypes[d->dtype] ? d->dtype
									      : DTYPE_INVALID;
	for (int i = DTYPE_INVALID + 1; dtype && i < DTYPE_BYTES; i++) {
		if (i != DTYPE_BF16 && dtype == a->dtypes[i])
			return (enum dtype)i;
	}
	return DTYPE_INVALID;
}

static bool read_shape(PyObject *array, int64_t *dims, uint32_t *ret_rank)
{
	_own_ shape = PyObject_GetAttrString(array, "shape");
	Py_ssize_t n = shape && PyTuple_Check(shape) ? PyTuple_Size(shape) : -1;

	if (n < 0 || n > (Py_ssize_t)TENSOR_RANK_MAX)
		return false;
	for (Py_ssize_t i = 0; i < n; i++)
		dims[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
	*ret_rank = (uint32_t)n;
	return !PyErr_Occurred();
}

PyObject *plan_output(const struct arrays *a, const struct plan *p, size_t i, PyObject *given,
	int64_t *dims, struct wire_tensor *ret)
{
	PyObject *array = value_of(p, i, given);
	bool is_usual = false;

	Py_XINCREF(array);
	if (array && (PyObject *)Py_TYPE(array) == a->type) {
		*ret = (struct wire_tensor){.index = (uint32_t)i,
			.dtype = dtype_of(a, &p->outputs[i], array),
			.dims = dims};
		is_usual = ret->dtype != DTYPE_INVALID && read_shape(array, dims, &ret->rank) &&
			   admits(&p->outputs[i], ret) &&
			   !shape_bytes(ret->dtype, dims, ret->rank, &ret->span.length);
	}
	PyErr_Clear();
	if (!is_usual)
		Py_CLEAR(array);
	return array;
}

int plan_copy(const struct arrays *a, PyObject *from, const struct wire_tensor *t, PyObject *memory)
{
	_own_ to = NULL;

	if (t->span.length == 0)
		return 0;
	to = array_at(a, t, memory);
	return to ? PyObject_SetItem(to, Py_Ellipsis, from) : -1;
}

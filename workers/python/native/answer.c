/* answer.c: what infer gave, from its arrays to the message that names where they lie. */
#include "workers/python/native/native.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* An answer that is made. */
struct answer {
	PyObject *values[PLAN_TENSORS_MAX]; /* own: infer's result may change meanwhile */
	struct wire_tensor tensors[PLAN_TENSORS_MAX];
	int64_t dims[PLAN_TENSORS_MAX][TENSOR_RANK_MAX];
	uint64_t hold; /* 0: none */
};

/* Place and copy the outputs, which lie in `blocks` then. */
static int place(const struct express *e, const struct plan *p, struct answer *a, PyObject *blocks)
{
	for (size_t i = 0; i < p->n_outputs; i++) {
		struct wire_tensor *t = &a->tensors[i];
		_own_ block = PySequence_GetItem(blocks, (Py_ssize_t)i);
		_own_ segment = block ? PyObject_GetAttrString(block, "segment") : NULL;
		_own_ id = segment ? PyObject_GetAttrString(segment, "id") : NULL;
		_own_ memory = id ? PyObject_GetAttrString(segment, "memory") : NULL;
		_own_ offset = memory ? PyObject_GetAttrString(block, "offset") : NULL;

		if (!offset)
			return -1;
		t->span.arena = PyLong_AsUnsignedLongLong(id);
		t->span.offset = PyLong_AsUnsignedLongLong(offset);
		if (PyErr_Occurred() || plan_copy(&e->arrays, a->values[i], t, memory) < 0)
			return -1;
	}
	return 0;
}

static int release(const struct express *e, uint64_t hold)
{
	_own_ done = PyObject_CallFunction(e->release, "((K))", (unsigned long long)hold);

	return done ? 0 : -1;
}

/* Room for all outputs: a's hold, and the blocks. NULL: there is none at once, or an exception is set. */
static PyObject *reserve(const struct express *e, const struct plan *p, struct answer *a)
{
	_own_ lengths = PyTuple_New((Py_ssize_t)p->n_outputs);
	_own_ reserved = NULL;
	PyObject *blocks;

	for (size_t i = 0; lengths && i < p->n_outputs; i++) {
		PyObject *n = PyLong_FromUnsignedLongLong(a->tensors[i].span.length);

		if (!n || PyTuple_SetItem(lengths, (Py_ssize_t)i, n) < 0)
			return NULL;
	}
	reserved = lengths ? PyObject_CallFunctionObjArgs(e->reserve, lengths, NULL) : NULL;
	if (!reserved || reserved == Py_None)
		return NULL;
	a->hold = PyLong_AsUnsignedLongLong(PyTuple_GetItem(reserved, 0));
	blocks = PyTuple_GetItem(reserved, 1);
	Py_XINCREF(blocks);
	return blocks;
}

/* Behind the answers that wait. 0: it cannot be packed. */
static int pack(struct express *e, const struct wire_done *what)
{
	const struct wire_message done = {.type = WIRE_DONE, .done = *what};
	const uint8_t *data;
	size_t n;

	if (wire_pack(e->scratch, &done, &data, &n) < 0)
		return 0;
	if (n > sizeof(e->out) - e->n_out && express_flush_all(e) < 0)
		return -1;
	if (e->n_out == 0 && !e->concluded)
		e->since_ns = clock_ns();
	memcpy(e->out + e->n_out, data, n);
	e->n_out += n;
	return 1;
}

/* As pack(), of what lies in its place. */
static int tell(struct express *e, const struct plan *p, const struct joined *j,
	const struct answer *a, uint64_t batch, uint64_t compute_ns)
{
	const struct wire_result one = {
		.outputs = a->tensors, .n_outputs = p->n_outputs, .joined = 1, .hold = a->hold};
	struct wire_done done = {
		.batch = batch, .compute_ns = compute_ns, .results = &one, .n_results = 1};
	struct wire_result *results;
	int r;

	if (j->n_items == 1)
		return pack(e, &done);
	results = joined_results(j, a->tensors, p->n_outputs, a->hold);
	if (!results)
		return 0;
	done.results = results;
	done.n_results = j->n_items;
	r = pack(e, &done);
	free(results);
	return r;
}

/* Of n outputs that were looked at. */
static void forget(struct answer *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		Py_DECREF(a->values[i]);
}

/* As express_answer(), of outputs that are usual. */
static int give(struct express *e, const struct plan *p, const struct joined *j, struct answer *a,
	uint64_t batch, uint64_t compute_ns)
{
	_own_ blocks = reserve(e, p, a);
	int r = 0;

	if (!blocks)
		return PyErr_Occurred() ? -1 : 0;
	if (place(e, p, a, blocks) < 0)
		PyErr_Clear();
	else
		r = tell(e, p, j, a, batch, compute_ns);
	if (r == 0 && release(e, a->hold) < 0)
		return -1;
	return r;
}

int express_answer(struct express *e, const struct plan *p, const struct joined *j, PyObject *given,
	uint64_t batch, uint64_t compute_ns)
{
	struct answer a;
	size_t n = 0;
	int r = 0;

	a.hold = 0;
	while (n < p->n_outputs) {
		a.values[n] = plan_output(&e->arrays, p, n, given, a.dims[n], &a.tensors[n]);
		if (!a.values[n])
			break;
		n++;
	}
	if (n == p->n_outputs && (j->n_items == 1 || joined_fits(j, a.tensors, n)))
		r = give(e, p, j, &a, batch, compute_ns);
	forget(&a, n);
	return r;
}

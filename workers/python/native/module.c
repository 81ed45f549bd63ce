/* module.c: _native.Express, which receives records, runs what is usual of them, and sends the answers. */
#include "workers/python/native/native.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

static PyObject *receive(PyObject *self, PyObject *unused)
{
	(void)unused;
	return express_receive((struct express *)self);
}

static PyObject *flush(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (express_flush((struct express *)self) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* --- The record ------------------------------------------------------------------------------- */

static int on_release(struct express *e, const struct wire_release *m, size_t used)
{
	_own_ holds = PyTuple_New((Py_ssize_t)m->n_holds);
	_own_ done = NULL;

	for (size_t i = 0; holds && i < m->n_holds; i++) {
		PyObject *hold = PyLong_FromUnsignedLongLong(m->holds[i]);

		if (!hold || PyTuple_SetItem(holds, (Py_ssize_t)i, hold) < 0)
			return -1;
	}
	if (!holds)
		return -1;
	if (!express_advance(e, used))
		return 1;
	done = PyObject_CallFunctionObjArgs(e->release, holds, NULL);
	return done ? 1 : -1;
}

static int handle(struct express *e)
{
	const struct wire_message *m;
	size_t used;

	if (wire_unpack(e->scratch, e->at, e->n_left, &used, &m) < 0)
		return 0; /* Python says what is wrong with it */
	if (m->type == WIRE_RUN)
		return express_run(e, &m->run, used);
	return m->type == WIRE_RELEASE ? on_release(e, &m->release, used) : 0;
}

static PyObject *run(PyObject *self, PyObject *unused)
{
	struct express *e = (struct express *)self;
	int r = 1;

	(void)unused;
	e->begun_ns = 0;
	while (e->n_left > 0 && r > 0)
		r = handle(e);
	return r < 0 ? NULL : PyBool_FromLong(e->n_left == 0);
}

static PyObject *rest(PyObject *self, PyObject *unused)
{
	struct express *e = (struct express *)self;
	size_t n = e->n_left;

	(void)unused;
	e->n_left = 0;
	return PyBytes_FromStringAndSize((const char *)e->at, (Py_ssize_t)n);
}

/* --- Models ----------------------------------------------------------------------------------- */

static PyObject *add(PyObject *self, PyObject *args)
{
	struct express *e = (struct express *)self;
	struct plan *p = plan_new(args);

	if (!p)
		return NULL;
	p->next = e->plans;
	e->plans = p;
	Py_RETURN_NONE;
}

static PyObject *drop(PyObject *self, PyObject *args)
{
	struct plan **at = &((struct express *)self)->plans;
	unsigned int number;

	if (!PyArg_ParseTuple(args, "I", &number))
		return NULL;
	while (*at && (*at)->number != number)
		at = &(*at)->next;
	if (*at) {
		struct plan *p = *at;

		*at = p->next;
		plan_free(p);
	}
	Py_RETURN_NONE;
}

static PyObject *running(PyObject *self, PyObject *unused)
{
	struct running *r = &((struct express *)self)->running;

	(void)unused;
	if (!r->plan)
		Py_RETURN_NONE;
	r->asked = true;
	return Py_BuildValue("(OKssdOO)", r->plan->model, (unsigned long long)r->batch,
		r->traceparent, r->tracestate, (double)r->since_ns / 1e9,
		r->is_joined ? Py_True : Py_False, r->is_cancelled ? Py_True : Py_False);
}

static PyObject *model(PyObject *self, void *unused)
{
	struct plan *p = ((struct express *)self)->running.plan;
	PyObject *m = p ? p->model : Py_None;

	(void)unused;
	Py_INCREF(m);
	return m;
}

static PyObject *cancel(PyObject *self, PyObject *args)
{
	struct running *r = &((struct express *)self)->running;
	unsigned long long batch;

	if (!PyArg_ParseTuple(args, "K", &batch))
		return NULL;
	if (r->batch == batch)
		r->is_cancelled = true;
	Py_RETURN_NONE;
}

/* --- The type --------------------------------------------------------------------------------- */

/* A reference to each, and to each of a tuple of dtypes by number, None where there is none. */
static int keep(struct express *e, PyObject *dtypes)
{
	PyObject *all[] = {e->arrays.type, e->views, e->begin, e->reserve, e->release, e->conclude,
		e->closed, e->malformed, e->concatenate, e->flush};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		Py_XINCREF(all[i]);
	for (Py_ssize_t i = 0; i < DTYPE_BYTES; i++) {
		PyObject *dtype = PyTuple_GetItem(dtypes, i);

		if (!dtype)
			return -1;
		if (dtype == Py_None)
			continue;
		Py_INCREF(dtype);
		e->arrays.dtypes[i] = dtype;
	}
	return 0;
}

static int init(PyObject *self, PyObject *args, PyObject *keywords)
{
	static const char *const names[] = {"fd", "ndarray", "dtypes", "views", "begin", "reserve",
		"release", "conclude", "closed", "malformed", "busy_poll_us", "concatenate",
		"flush", NULL};
	struct express *e = (struct express *)self;
	unsigned int busy_poll_us = 0;
	PyObject *dtypes;

	if (e->scratch) {
		PyErr_SetString(PyExc_TypeError, "it was made before");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "iOO!O!OOOOOO|IOO",
		    (char **)(uintptr_t)names, &e->fd, &e->arrays.type, &PyTuple_Type, &dtypes,
		    &PyDict_Type, &e->views, &e->begin, &e->reserve, &e->release, &e->conclude,
		    &e->closed, &e->malformed, &busy_poll_us, &e->concatenate, &e->flush)) {
		memset((char *)e + sizeof(PyObject), 0, sizeof(*e) - sizeof(PyObject));
		return -1;
	}
	if (keep(e, dtypes) < 0)
		return -1;
	busy_poll_init(&e->busy, busy_poll_us);
	if (wire_scratch_new(&e->scratch) < 0) {
		PyErr_NoMemory();
		return -1;
	}
	return 0;
}

static void dealloc(PyObject *self)
{
	struct express *e = (struct express *)self;
	PyTypeObject *type = Py_TYPE(self);
	freefunc release_memory = (freefunc)PyType_GetSlot(type, Py_tp_free);
	PyObject **all[] = {&e->arrays.type, &e->views, &e->begin, &e->reserve, &e->release,
		&e->conclude, &e->closed, &e->malformed, &e->concatenate, &e->flush};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		Py_CLEAR(*all[i]);
	for (size_t i = 0; i < DTYPE_BYTES; i++)
		Py_CLEAR(e->arrays.dtypes[i]);
	while (e->plans) {
		struct plan *p = e->plans;

		e->plans = p->next;
		plan_free(p);
	}
	wire_scratch_free(e->scratch);
	release_memory(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"receive", receive, METH_NOARGS,
		"Waits for a record, which is for run() then: None. One with descriptors is "
		"returned: (bytes, [descriptor])."},
	{"run", run, METH_NOARGS, "Handles what it can of the record. True: that is all of it."},
	{"rest", rest, METH_NOARGS,
		"The bytes of the record that were not begun; they are the caller's to handle."},
	{"flush", flush, METH_NOARGS,
		"Sends the answers that wait here; what waits elsewhere is older, and was sent."},
	{"add", add, METH_VARARGS,
		"add(number, model, infer, keywords or None, inputs, outputs, max_batch_size=0): "
		"runs of this model may be handled, those of several items up to so many rows; "
		"tensors are (name, dtype, dims or None)."},
	{"drop", drop, METH_VARARGS, "drop(number): no run of this model is handled any more."},
	{"running", running, METH_NOARGS,
		"(model, batch, traceparent, tracestate, since, is_joined, is_cancelled) of what "
		"runs, which conclude() will be called for; or None."},
	{"cancel", cancel, METH_VARARGS, "cancel(batch): nobody waits for it any more."},
	{NULL, NULL, 0, NULL},
};
static PyMemberDef members[] = {
	{"last_batch", T_ULONGLONG, offsetof(struct express, last_batch), 0,
		"of the last run that was begun"},
	{"waits", T_PYSSIZET, offsetof(struct express, n_out), READONLY,
		"bytes of answers that wait here"},
	{"spins", T_ULONGLONG, offsetof(struct express, busy.n_spins), READONLY,
		"times that receive() has looked again where it would have slept"},
	{NULL, 0, 0, 0, NULL},
};
static PyGetSetDef getters[] = {
	{"model", model, NULL, "that runs; None", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
	{Py_tp_init, init},
	{Py_tp_dealloc, dealloc},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_getset, getters},
	{0, NULL},
};
static PyType_Spec spec = {
	.name = "_native.Express",
	.basicsize = sizeof(struct express),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1};

PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__native(void)
{
	_own_ type = PyType_FromSpec(&spec);
	PyObject *m = type ? PyModule_Create(&module) : NULL;

	if (!m)
		return NULL;
	if (PyModule_AddObject(m, "Express", type) < 0) {
		Py_DECREF(m);
		return NULL;
	}
	type = NULL; /* the module's */
	return m;
}

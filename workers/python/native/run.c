/* run.c: one run, from the record to its answer. */
#include "workers/python/native/native.h"

#include <string.h>

#include "base/clock.h"

/* Answers of models that are quicker wait for each other, but no longer than that: as in loop.py. */
#define QUICK_NS  UINT64_C(60000)
#define ANSWER_NS UINT64_C(200000)
/* So old may what begin() said be. */
#define BEGUN_NS (1 * NS_PER_MS)

/* An answer that is made. */
struct answer {
	PyObject *values[PLAN_TENSORS_MAX]; /* own: infer's result may change meanwhile */
	struct wire_tensor tensors[PLAN_TENSORS_MAX];
	int64_t dims[PLAN_TENSORS_MAX][TENSOR_RANK_MAX];
	uint64_t hold; /* 0: none */
};

static struct plan *find(const struct express *e, const struct wire_run *run)
{
	struct plan *p = e->plans;

	while (p && p->number != run->model)
		p = p->next;
	return p;
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

static bool is_usual(const struct plan *p, const struct wire_run *run)
{
	const struct wire_item *item = run->items;

	return run->n_items == 1 && run->lane == 0 && item->n_inputs == p->n_inputs &&
	       item->n_parameters == 0 && item->n_targets == 0 && wants_all(p, item);
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

/* infer's arguments; NULL: not usual, no exception is set. */
static PyObject *arguments(
	const struct express *e, const struct plan *p, const struct wire_item *item)
{
	PyObject *args = PyTuple_New((Py_ssize_t)p->n_inputs);

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

static int begin(struct express *e, uint64_t now)
{
	_own_ done = PyObject_CallFunctionObjArgs(e->begin, NULL);

	e->begun_ns = now;
	e->concluded = false;
	return done ? 0 : -1;
}

/* Where the run may take long, what was answered before leaves first. */
static int prepare(struct express *e, const struct plan *p)
{
	uint64_t now = clock_ns();
	bool is_quick = p->ran && p->compute_ns < QUICK_NS;
	bool is_due = !is_quick || now - e->since_ns > ANSWER_NS;

	if (is_due && express_flush(e) < 0)
		return -1;
	return now - e->begun_ns > BEGUN_NS || (is_due && e->concluded) ? begin(e, now) : 0;
}

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
static int pack(struct express *e, const struct plan *p, const struct answer *a, uint64_t batch,
	uint64_t compute_ns)
{
	const struct wire_result result = {
		.outputs = a->tensors, .n_outputs = p->n_outputs, .joined = 1, .hold = a->hold};
	const struct wire_message done = {.type = WIRE_DONE,
		.done = {.batch = batch,
			.compute_ns = compute_ns,
			.results = &result,
			.n_results = 1}};
	const uint8_t *data;
	size_t n;

	if (wire_pack(e->scratch, &done, &data, &n) < 0)
		return 0;
	if (n > sizeof(e->out) - e->n_out && express_flush(e) < 0)
		return -1;
	if (e->n_out == 0 && !e->concluded)
		e->since_ns = clock_ns();
	memcpy(e->out + e->n_out, data, n);
	e->n_out += n;
	return 1;
}

/* Of n outputs that were looked at. */
static void forget(struct answer *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		Py_DECREF(a->values[i]);
}

/* As answer(), of outputs that are usual. */
static int give(struct express *e, const struct plan *p, struct answer *a, uint64_t batch,
	uint64_t compute_ns)
{
	_own_ blocks = reserve(e, p, a);
	int r = 0;

	if (!blocks)
		return PyErr_Occurred() ? -1 : 0;
	if (place(e, p, a, blocks) < 0)
		PyErr_Clear();
	else
		r = pack(e, p, a, batch, compute_ns);
	if (r == 0 && release(e, a->hold) < 0)
		return -1;
	return r;
}

/* 1: answered; 0: it is not usual, and nothing is left of it; below 0: an exception is set. */
static int answer(struct express *e, const struct plan *p, PyObject *given, uint64_t batch,
	uint64_t compute_ns)
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
	if (n == p->n_outputs)
		r = give(e, p, &a, batch, compute_ns);
	forget(&a, n);
	return r;
}

/* What infer has raised, and clears it; it has its traceback. */
static PyObject *take_raised(void)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (value && trace)
		PyException_SetTraceback(value, trace);
	Py_XDECREF(type);
	Py_XDECREF(trace);
	return value;
}

/* Python does the rest. */
static int conclude(struct express *e, PyObject *model, uint64_t batch, PyObject *given,
	PyObject *raised, uint64_t compute_ns)
{
	_own_ done = NULL;

	if (e->n_out == 0 && !e->concluded)
		e->since_ns = clock_ns();
	e->concluded = true;
	done = PyObject_CallFunction(e->conclude, "OKOOK", model, (unsigned long long)batch, given,
		raised, (unsigned long long)compute_ns);
	return done ? 1 : -1;
}

/* The model may be gone when it returns. */
static int call(struct express *e, struct plan *p, PyObject *args)
{
	struct running *running = &e->running;
	uint64_t batch = running->batch, compute_ns;
	_own_ given = NULL;
	_own_ raised = NULL;
	int r = 0;

	running->plan = p;
	running->since_ns = clock_ns();
	given = PyObject_Call(p->infer, args, p->keywords);
	if (!given)
		raised = take_raised();
	compute_ns = clock_ns() - running->since_ns;
	p->compute_ns = p->ran && p->compute_ns / 2 > compute_ns ? p->compute_ns / 2 : compute_ns;
	p->ran = true;
	if (given && !running->asked)
		r = answer(e, p, given, batch, compute_ns);
	if (r == 0)
		r = conclude(e, p->model, batch, given ? given : Py_None, raised ? raised : Py_None,
			compute_ns);
	if (r >= 0)
		running->plan = NULL; /* else the worker ends, and says whose run it was */
	return r;
}

int express_run(struct express *e, const struct wire_run *run, size_t used)
{
	struct plan *p = find(e, run);
	_own_ args = NULL;

	if (!p || run->batch <= e->last_batch || !is_usual(p, run))
		return 0;
	args = arguments(e, p, run->items);
	if (!args)
		return 0;
	if (!express_advance(e, used))
		return 1;
	e->last_batch = run->batch;
	e->running = (struct running){.batch = run->batch,
		.traceparent = run->items->traceparent,
		.tracestate = run->items->tracestate};
	/* Others may run meanwhile, and cancel it. */
	if (prepare(e, p) < 0)
		return -1;
	return call(e, p, args);
}

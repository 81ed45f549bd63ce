/* run.c: one run, from the record to its answer. */
#include "workers/python/native/native.h"

#include <string.h>

#include "base/clock.h"

/* Answers of models that are quicker wait for each other, but no longer than that: as in loop.py. */
#define QUICK_NS  UINT64_C(60000)
#define ANSWER_NS UINT64_C(200000)
/* So old may what begin() said be. */
#define BEGUN_NS (1 * NS_PER_MS)

static struct plan *find(const struct express *e, const struct wire_run *run)
{
	struct plan *p = e->plans;

	while (p && p->number != run->model)
		p = p->next;
	return p;
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

	if (is_due && express_flush_all(e) < 0)
		return -1;
	return now - e->begun_ns > BEGUN_NS || (is_due && e->concluded) ? begin(e, now) : 0;
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
static int conclude(struct express *e, PyObject *model, const struct joined *j, uint64_t batch,
	PyObject *given, PyObject *raised, uint64_t compute_ns)
{
	unsigned long long number = batch, ns = compute_ns;
	_own_ done = NULL;

	if (e->n_out == 0 && !e->concluded)
		e->since_ns = clock_ns();
	e->concluded = true;
	if (j->n_items > 1)
		done = PyObject_CallFunction(e->conclude, "OKOOKy#O", model, number, given, raised,
			ns, j->record, (Py_ssize_t)j->record_bytes, j->arrays);
	else
		done = PyObject_CallFunction(
			e->conclude, "OKOOK", model, number, given, raised, ns);
	return done ? 1 : -1;
}

/* The model may be gone when it returns. */
static int call(struct express *e, struct plan *p, const struct joined *j, PyObject *args)
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
		r = express_answer(e, p, j, given, batch, compute_ns);
	if (r == 0)
		r = conclude(e, p->model, j, batch, given ? given : Py_None,
			raised ? raised : Py_None, compute_ns);
	if (r >= 0)
		running->plan = NULL; /* else the worker ends, and says whose run it was */
	return r;
}

/* infer's arguments, of the one item there is or of all together; NULL: not usual, no exception is set. */
static PyObject *arguments(const struct express *e, const struct plan *p,
	const struct wire_run *run, size_t used, struct joined *j)
{
	if (run->lane != 0)
		return NULL;
	if (run->n_items > 1)
		return joined_arguments(e, p, run, used, j);
	return plan_arguments(e, p, run->items);
}

static void begin_run(struct express *e, const struct wire_run *run)
{
	bool is_joined = run->n_items > 1;

	e->last_batch = run->batch;
	e->running = (struct running){.batch = run->batch,
		.traceparent = is_joined ? "" : run->items->traceparent,
		.tracestate = is_joined ? "" : run->items->tracestate,
		.is_joined = is_joined};
}

int express_run(struct express *e, const struct wire_run *run, size_t used)
{
	_cleanup_(joined_end) struct joined j = {.n_items = 1};
	struct plan *p = find(e, run);
	_own_ args = NULL;

	if (!p || run->batch <= e->last_batch)
		return 0;
	args = arguments(e, p, run, used, &j);
	if (!args)
		return 0;
	if (!express_advance(e, used))
		return 1;
	begin_run(e, run);
	/* Others may run meanwhile, and cancel it. */
	if (prepare(e, p) < 0)
		return -1;
	return call(e, p, &j, args);
}

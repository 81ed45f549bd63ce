/*
 * native.h: what the files of the extension module _native share. It has the way that most runs of a worker in Python take:
 * a record is received, its runs are called one after the other, and their answers leave together, without code in
 * Python but the model's own. Whatever is not usual (parameters, targets, outputs that are no arrays, any other
 * message) is left to that code, which does without this module as well (loop.py).
 *
 * Python's stable interface of 3.9: one file serves every interpreter since. All of it holds the interpreter's lock, but
 * while a record is waited for.
 */
#ifndef WORKERS_PYTHON_NATIVE_H
#define WORKERS_PYTHON_NATIVE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/busy_poll.h"
#include "base/cleanup.h"
#include "proto/wire.h"

/* No model of a worker in Python has so many inputs, or outputs, that take the quick way. */
#define PLAN_TENSORS_MAX 16u

static inline void decref(PyObject **o)
{
	Py_CLEAR(*o);
}
/* A reference of the scope's own; NULL: none. */
#define _own_ _cleanup_(decref) PyObject *

/* Of one input or output, as it was declared. */
struct declared {
	PyObject *name;	  /* own */
	enum dtype dtype; /* DTYPE_INVALID: any */
	bool any_shape;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX]; /* -1: any size */
};

/* A model whose runs may take the quick way. */
struct plan {
	uint32_t number;    /* of the model */
	PyObject *model;    /* own: for whom Python has to do with it */
	PyObject *infer;    /* own */
	PyObject *keywords; /* own: a dict that infer is given; NULL: none */
	size_t n_inputs, n_outputs;
	struct declared inputs[PLAN_TENSORS_MAX], outputs[PLAN_TENSORS_MAX];
	uint32_t max_batch_size; /* rows that are joined; 0: none are */
	bool ran;
	uint64_t compute_ns; /* what it took lately */
	struct plan *next;
};

/* Numpy's, of which the module sees no more than these. */
struct arrays {
	PyObject *type;		       /* own: numpy.ndarray */
	PyObject *dtypes[DTYPE_BYTES]; /* own, by number; NULL: none */
};

/* own, NULL: an exception was set. */
struct plan *plan_new(PyObject *args);
struct plan *plan_free(struct plan *p);

/*
 * The array that is tensor t of input i, a view of `memory`, which is what a Views has of its arena. NULL: it is not
 * what was declared, or not usual; no exception is set.
 */
PyObject *plan_input(const struct arrays *a, const struct plan *p, size_t i,
	const struct wire_tensor *t, PyObject *memory);
/*
 * A reference to output i of `given`, which infer returned; *ret gets its dtype, rank and length, `dims` its dimensions, which
 * *ret points to. NULL: it is not what was declared, or not usual; no exception is set.
 */
PyObject *plan_output(const struct arrays *a, const struct plan *p, size_t i, PyObject *given,
	int64_t *dims, struct wire_tensor *ret);
/* Copy `from`, which is as t says, to t's place in `memory`. Below 0: an exception is set. */
int plan_copy(
	const struct arrays *a, PyObject *from, const struct wire_tensor *t, PyObject *memory);

/* The run that was begun last, as far as Python may ask. */
struct running {
	struct plan *plan; /* borrow; NULL: it does not run yet, or any more */
	uint64_t batch;
	uint64_t since_ns;
	const char *traceparent; /* borrow, of the record */
	const char *tracestate;	 /* likewise */
	bool is_joined;
	bool asked; /* somebody wanted to know of it */
	bool is_cancelled;
};

struct express {
	PyObject ob_base;
	int fd; /* borrow */
	struct busy_poll busy;
	struct arrays arrays;
	/* own. Views by the id of their memory: a pair whose first is a view to read. */
	PyObject *views;
	/* own. What Python does: begin() before what may take long, which sends what it has, too; reserve(lengths) -> (hold, blocks) or None,
	 * release(holds), conclude(model, batch, given, raised, compute_ns), which of a joined run is given its bytes and
	 * the arrays of each item, too. */
	PyObject *begin, *reserve, *release, *conclude;
	PyObject *concatenate; /* own: numpy's; NULL: nothing is joined */
	/* own: sends what waits here and elsewhere, in its order; NULL: there is no elsewhere. */
	PyObject *flush;
	PyObject *closed, *malformed; /* own: exceptions */
	struct wire_scratch *scratch; /* own; the main thread's */
	struct plan *plans;	      /* own */
	struct running running;
	uint64_t begun_ns;   /* when begin() was called */
	uint64_t last_batch; /* as Python's code sees it, too */
	/* The record: what was not begun of it. */
	const uint8_t *at;
	size_t n_left;
	/* Packed answers that were not sent, the oldest of them since then. */
	size_t n_out;
	uint64_t since_ns;
	bool concluded; /* Python may have an answer that waits, too, since then or later */
	uint8_t in[WIRE_MESSAGE_MAX], out[WIRE_MESSAGE_MAX];
};

/* A run of several items, whose inputs were joined; or of one (n_items). */
struct joined {
	size_t n_items;
	int64_t *rows; /* own: of each item */
	int64_t n_rows;
	const uint8_t *record; /* borrow: its bytes */
	size_t record_bytes;
	PyObject *arrays; /* own: a tuple of inputs for each item */
};

/* infer's arguments, of one item; NULL: not usual, no exception is set. */
PyObject *plan_arguments(
	const struct express *e, const struct plan *p, const struct wire_item *item);
/* Likewise of several, which begin what is left of the record and take `used` bytes of it. *j, zeroed but for n_items, is set even so. */
PyObject *joined_arguments(const struct express *e, const struct plan *p,
	const struct wire_run *run, size_t used, struct joined *j);
/* Has each of n outputs as many rows as went in? */
bool joined_fits(const struct joined *j, const struct wire_tensor *outputs, size_t n);
/* The items' results, of n outputs that are placed and fit; one piece of memory, the caller's to free(). NULL: there is none. */
struct wire_result *joined_results(
	const struct joined *j, const struct wire_tensor *outputs, size_t n, uint64_t hold);
void joined_end(struct joined *j);

/* 1: what infer gave is answered; 0: it is not usual, and nothing is left of it; below 0: an exception is set. */
int express_answer(struct express *e, const struct plan *p, const struct joined *j, PyObject *given,
	uint64_t batch, uint64_t compute_ns);
/*
 * The run that is the first `used` bytes of what is left of the record. 0: it is not one for the quick way, and nothing was
 * done; 1: it is answered; below 0: an exception is set.
 */
int express_run(struct express *e, const struct wire_run *run, size_t used);
/* Wait for a record, without the interpreter's lock: None, and what it has is left of it; where it has descriptors
 * (bytes, [descriptor]), the caller's. NULL: an exception is set. */
PyObject *express_receive(struct express *e);
/* Send what waits here. Below 0: an exception is set. */
int express_flush(struct express *e);
/* Likewise, in its turn: what Python has is sent as well. */
int express_flush_all(struct express *e);
/*
 * `used` bytes of what is left of the record are begun: they are no other thread's any more, to whom rest() gives what is not. False:
 * one has them already, since the lock was let go of meanwhile.
 */
_must_use_ bool express_advance(struct express *e, size_t used);

#endif

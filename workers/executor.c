/*
 * executor.c: resolves a batch, runs it, and deals its outputs out to its items.
 *
 * A joined run writes each output once, and an item's part of it is a slice of the same span:
 * nothing is copied, but to the target of an item that has one. When a joined run fails, for whatever reason, its items are run again, each alone,
 * so that only the one at fault pays. Worker process, one thread at a time.
 */
#include "workers/executor.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "workers/inputs.h"
#include "workers/run.h"

/* Arrays for one batch, by item; grown to the largest batch seen. */
struct executor {
	struct outputs *outputs; /* borrow */
	pthread_mutex_t *memory; /* borrow: of outputs and regions */
	int (*say_partial)(void *data, struct wire_partial *partial, struct hold *hold);
	int (*flush)(void *data);
	void *data;	/* borrow: of both */
	size_t item;	/* of the batch, where one runs alone ... */
	size_t n_items; /* ... and how many it has */
	struct inputs inputs;
	struct run run;
	struct modeld_tensor *tensors; /* own: inputs of all items */
	size_t tensors_cap;
	struct wire_tensor *given;	  /* own: outputs of all items */
	int64_t (*dims)[TENSOR_RANK_MAX]; /* own: dims of given[i] */
	size_t given_cap;
	struct modeld_error *errors; /* own: texts of results[i] */
	size_t errors_cap;
	const struct modeld_error *fatal; /* one of errors; NULL: the process can go on */
	struct wire_result results[WIRE_ITEMS_MAX];
	uint64_t compute_ns[WIRE_ITEMS_MAX]; /* of what ran alone */
	bool answered[WIRE_ITEMS_MAX];	     /* ahead of the batch: nothing more is said of it */
	struct hold *holds
		[WIRE_ITEMS_MAX]; /* own, until they are the daemon's: results[i]'s; NULL: none */
};

/* --- Room for a batch --------------------------------------------------------------------- */

/* Counts are bounded by the limits of wire.h, so their products cannot overflow. */
static int reserve_tensors(struct executor *e, size_t n)
{
	struct modeld_tensor *tensors;

	if (n <= e->tensors_cap)
		return 0;
	tensors = realloc(e->tensors, n * sizeof(*tensors));
	if (!tensors)
		return -ENOMEM;
	e->tensors = tensors;
	e->tensors_cap = n;
	return 0;
}

static int reserve_given(struct executor *e, size_t n)
{
	struct wire_tensor *given;
	int64_t(*dims)[TENSOR_RANK_MAX];

	if (n <= e->given_cap)
		return 0;
	given = realloc(e->given, n * sizeof(*given));
	if (!given)
		return -ENOMEM;
	e->given = given;
	dims = realloc(e->dims, n * sizeof(*dims));
	if (!dims)
		return -ENOMEM;
	e->dims = dims;
	e->given_cap = n;
	return 0;
}

static int reserve_errors(struct executor *e, size_t n)
{
	struct modeld_error *errors;

	if (n <= e->errors_cap)
		return 0;
	errors = realloc(e->errors, n * sizeof(*errors));
	if (!errors)
		return -ENOMEM;
	e->errors = errors;
	e->errors_cap = n;
	return 0;
}

static int reserve(struct executor *e, const struct model *m, size_t n_items)
{
	int r = reserve_tensors(e, n_items * m->info.n_inputs);

	if (!r)
		r = inputs_reserve(&e->inputs, m->info.n_inputs);
	if (!r)
		r = run_reserve(&e->run, m);
	if (!r)
		r = reserve_given(e, n_items * m->info.n_outputs);
	return r ? r : reserve_errors(e, n_items);
}

/* --- Results ------------------------------------------------------------------------------ */

static void fail_item(struct executor *e, size_t i, enum modeld_code code, const char *text)
{
	e->results[i] = (struct wire_result){.code = (uint32_t)code, .message = text};
	e->holds[i] = NULL;
}

static void fail_all(struct executor *e, size_t n, enum modeld_code code, const char *text)
{
	for (size_t i = 0; i < n; i++)
		fail_item(e, i, code, text);
}

/* Nobody waits for the batch any more. */
static bool is_cancelled(const struct executor *e)
{
	return lane_is_cancelled(e->run.lane, e->run.number);
}

/* Item i's result slot for output k; the item's outputs come in the order of the declaration. */
static struct wire_tensor *add_output(struct executor *e, size_t i, size_t k)
{
	const struct run_output *o = &e->run.given[k];
	size_t at = i * e->run.batch.n_outputs + e->results[i].n_outputs++;
	struct wire_tensor *t = &e->given[at];

	memcpy(e->dims[at], o->dims, o->rank * sizeof(o->dims[0]));
	*t = (struct wire_tensor){
		.index = (uint32_t)k,
		.dtype = o->dtype,
		.rank = o->rank,
		.dims = e->dims[at],
	};
	return t;
}

static void begin_result(struct executor *e, size_t i, size_t joined)
{
	e->holds[i] = NULL;
	e->results[i] = (struct wire_result){
		.outputs = &e->given[i * e->run.batch.n_outputs],
		.joined = (uint32_t)joined,
	};
}

static void deliver_alone(struct executor *e, size_t i)
{
	begin_result(e, i, 1);
	for (size_t k = 0; !e->run.empty && k < e->run.batch.n_outputs; k++) {
		if (e->run.wanted[k])
			add_output(e, i, k)->span = run_output_span(&e->run.given[k]);
	}
	e->holds[i] = run_take_hold(&e->run);
}

/* Item i's rows are the first dimension of its first input. */
static uint64_t rows_of(const struct executor *e, size_t i)
{
	return (uint64_t)e->tensors[i * e->run.batch.n_inputs].dims[0];
}

static const struct wire_target *find_target(const struct wire_item *item, size_t output)
{
	for (size_t i = 0; i < item->n_targets; i++) {
		if (item->targets[i].output == output)
			return &item->targets[i];
	}
	return NULL;
}

/* Copy a part of an output to the item's target, where it has one that it fits. */
static bool deliver_to_target(struct executor *e, const struct wire_item *item, size_t k,
	uint64_t from, uint64_t bytes, struct span *ret_span)
{
	const struct wire_target *target = find_target(item, k);
	void *to = NULL;

	if (target && bytes <= target->span.length)
		to = run_target_data(&e->run, target);
	if (!to)
		return false;
	if (bytes > 0)
		memcpy(to, (const char *)e->run.given[k].data + from, bytes);
	*ret_span = span_slice(target->span, 0, bytes);
	return true;
}

/* An output of a joined run, in parts. What nobody has a part of in the arena is given back. */
static void deal_output(struct executor *e, const struct wire_run *run, size_t k)
{
	const struct run_output *o = &e->run.given[k];
	uint64_t from = 0;
	bool kept = false;

	for (size_t i = 0; i < run->n_items; i++) {
		struct wire_tensor *t = add_output(e, i, k);
		uint64_t bytes = run_part_bytes(o, from, rows_of(e, i), e->run.rows);

		e->dims[t - e->given][0] = (int64_t)rows_of(e, i);
		if (!deliver_to_target(e, &run->items[i], k, from, bytes, &t->span)) {
			t->span = span_slice(run_output_span(o), from, bytes);
			e->holds[i] = e->run.hold;
			kept = true;
		}
		from += bytes;
	}
	if (!kept)
		run_drop_output(&e->run, k);
}

static void deliver_joined(struct executor *e, const struct wire_run *run)
{
	for (size_t i = 0; i < run->n_items; i++)
		begin_result(e, i, run->n_items);
	for (size_t k = 0; k < e->run.batch.n_outputs; k++) {
		if (e->run.wanted[k])
			deal_output(e, run, k);
	}
	/* Now it is that of the results; nobody's where all is at targets. */
	(void)run_take_hold(&e->run);
}

/* --- Running ------------------------------------------------------------------------------ */

static enum modeld_code execute(struct executor *e, struct modeld_error *error)
{
	enum modeld_code code = run_execute(&e->run, error);

	if (code == MODELD_FATAL)
		e->fatal = error;
	return code;
}

static void run_alone(
	struct executor *e, const struct model *m, const struct wire_run *run, size_t i)
{
	struct modeld_tensor *tensors = &e->tensors[i * m->info.n_inputs];
	const struct wire_item *item = &run->items[i];
	struct modeld_error *error = &e->errors[i];
	enum modeld_code code = inputs_settle(&e->inputs, m, tensors, error);

	e->item = i;
	e->run.empty = false;
	e->run.compute_ns = 0;
	e->run.items = tensors;
	e->run.n_items = 1;
	if (code == MODELD_OK)
		code = run_begin(&e->run, m, tensors, item, item, RUN_ROWS_ANY, error);
	if (code == MODELD_OK)
		code = execute(e, error);
	e->compute_ns[i] = e->run.compute_ns;
	if (code == MODELD_OK)
		deliver_alone(e, i);
	else
		fail_item(e, i, code, error->text);
	if (code == MODELD_FATAL)
		e->fatal = error;
}

/* Returns false when the items are still to be run one by one. */
static bool run_joined(
	struct executor *e, const struct model *m, const struct wire_run *run, uint64_t *compute_ns)
{
	struct modeld_error *error = &e->errors[0];
	enum modeld_code code;
	uint64_t rows;

	if (run->n_items < 2 || !inputs_joinable(m, run->items, e->tensors, run->n_items, &rows) ||
		inputs_join(&e->inputs, m, e->tensors, run->n_items, rows))
		return false;
	e->run.items = e->tensors;
	e->run.n_items = run->n_items;
	code = run_begin(&e->run, m, e->inputs.joined, &run->items[0], NULL, rows, error);
	for (size_t i = 0; code == MODELD_OK && i < run->n_items; i++)
		code = run_check_targets(&e->run, &run->items[i], error);
	if (code == MODELD_OK)
		code = execute(e, error);
	*compute_ns += e->run.compute_ns;
	if (code == MODELD_OK)
		deliver_joined(e, run);
	else if (code == MODELD_FATAL || code == MODELD_CANCELLED)
		fail_all(e, run->n_items, code, error->text);
	else
		return false;
	return true;
}

/* Items that cannot be resolved get their result here. Returns how many are left. */
static size_t resolve_all(struct executor *e, const struct model *m, const struct wire_run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < run->n_items; i++) {
		struct modeld_error *error = &e->errors[i];
		enum modeld_code code = inputs_resolve(
			&e->inputs, m, &run->items[i], &e->tensors[i * m->info.n_inputs], error);

		fail_item(e, i, code, code == MODELD_OK ? "" : error->text);
		n += code == MODELD_OK;
	}
	return n;
}

static void drop_holds(struct executor *e, size_t n_items)
{
	const struct hold *before = NULL;

	pthread_mutex_lock(e->memory);
	for (size_t i = 0; i < n_items; i++) {
		/* Items that ran as one have one hold. */
		if (!e->holds[i] || e->holds[i] == before)
			continue;
		before = e->holds[i];
		outputs_drop(e->outputs, e->holds[i]);
	}
	pthread_mutex_unlock(e->memory);
}

int executor_run(struct executor *e, const struct lane *lane, const struct wire_run *run,
	struct wire_done *ret_done)
{
	const struct model *m = lane->model;
	uint64_t compute_ns = 0;

	e->run.lane = lane;
	e->run.offload.transfer = lane->transfer;
	e->run.number = run->batch;
	e->n_items = run->n_items;
	e->fatal = NULL;
	memset(e->answered, 0, run->n_items * sizeof(e->answered[0]));
	if (reserve(e, m, run->n_items)) {
		fail_all(e, run->n_items, MODELD_EXHAUSTED, "the worker is out of memory");
	} else if (is_cancelled(e)) {
		fail_all(e, run->n_items, MODELD_CANCELLED, RUN_CANCELLED_TEXT);
	} else if (resolve_all(e, m, run) < run->n_items || !run_joined(e, m, run, &compute_ns)) {
		for (size_t i = 0; i < run->n_items; i++) {
			if (e->results[i].code != MODELD_OK || e->fatal)
				continue;
			if (is_cancelled(e)) {
				fail_item(e, i, MODELD_CANCELLED, RUN_CANCELLED_TEXT);
				continue;
			}
			run_alone(e, m, run, i);
			compute_ns += e->compute_ns[i];
		}
	}
	inputs_end(&e->inputs);
	*ret_done = (struct wire_done){
		.batch = run->batch,
		.compute_ns = compute_ns,
		.results = e->results,
		.n_results = run->n_items,
	};
	if (!e->fatal)
		return 0;
	drop_holds(e, run->n_items);
	return EXECUTOR_E_FATAL;
}

const char *executor_fatal(const struct executor *e)
{
	return e->fatal->text;
}

void executor_number(struct executor *e, struct wire_done *done)
{
	for (size_t i = 0; i < done->n_results; i++)
		e->results[i].hold = e->holds[i] ? outputs_number(e->outputs, e->holds[i]) : 0;
}

void executor_refuse(struct executor *e, struct wire_done *done)
{
	drop_holds(e, done->n_results);
	for (size_t i = 0; i < done->n_results; i++) {
		if (!e->answered[i])
			fail_item(e, i, MODELD_EXHAUSTED,
				"the batch's results do not fit a message (lower max_batch_size)");
	}
	done->compute_ns = 0;
}

/* --- Life --------------------------------------------------------------------------------- */

/* An answer of the item that runs, which is not its last. The run's thread waits, or is this one. */
static enum modeld_code on_answer(void *data, struct modeld_error *error)
{
	struct executor *e = data;
	struct wire_partial partial = {.batch = e->run.number, .item = (uint32_t)e->item};
	int r;

	deliver_alone(e, e->item);
	partial.outputs = e->results[e->item].outputs;
	partial.n_outputs = e->results[e->item].n_outputs;
	r = e->say_partial(e->data, &partial, e->holds[e->item]);
	if (r == -EMSGSIZE) {
		pthread_mutex_lock(e->memory);
		outputs_drop(e->outputs, e->holds[e->item]);
		pthread_mutex_unlock(e->memory);
	}
	e->holds[e->item] = NULL;
	if (r == 0)
		return MODELD_OK;
	snprintf(error->text, sizeof(error->text), "%s",
		r == -EMSGSIZE ? "an answer does not fit a message" : "the daemon is gone");
	return r == -EMSGSIZE ? MODELD_EXHAUSTED : MODELD_CANCELLED;
}

/* An item that ran alone has its answer ahead of the batch's, and what it holds is released the sooner. */
static void answer_early(struct executor *e, size_t i)
{
	struct hold *hold = steal_ptr(e->holds[i]);
	struct wire_partial partial = {
		.batch = e->run.number,
		.item = (uint32_t)i,
		.outputs = e->results[i].outputs,
		.n_outputs = e->results[i].n_outputs,
		.last = true,
		.compute_ns = e->compute_ns[i],
	};
	int r = e->say_partial(e->data, &partial, hold);

	fail_item(e, i, MODELD_OK, "");
	e->answered[i] = r != -EMSGSIZE;
	if (e->answered[i])
		return;
	pthread_mutex_lock(e->memory);
	outputs_drop(e->outputs, hold);
	pthread_mutex_unlock(e->memory);
	fail_item(e, i, MODELD_EXHAUSTED, "the result does not fit a message");
}

/* Where nobody is there to be told, the wait that follows is over soon. */
static void on_full(void *data)
{
	struct executor *e = data;

	for (size_t i = 0; i < e->n_items; i++) {
		if (e->holds[i])
			answer_early(e, i);
	}
	(void)!e->flush(e->data);
}

int executor_new(struct executor **ret_executor, const struct executor_parts *parts)
{
	struct executor *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->outputs = parts->outputs;
	e->inputs.regions = parts->regions;
	e->inputs.offload = &e->run.offload;
	e->inputs.scratch.max = parts->scratch_max;
	e->memory = parts->memory;
	e->say_partial = parts->say_partial;
	e->flush = parts->flush;
	e->data = parts->data;
	e->inputs.memory = parts->memory;
	run_init(&e->run, &(struct run_parts){.outputs = parts->outputs,
				  .regions = parts->regions,
				  .memory = parts->memory,
				  .pinned = parts->pinned,
				  .on_answer = on_answer,
				  .on_full = on_full,
				  .wait_ns = parts->wait_ns,
				  .data = e});
	*ret_executor = e;
	return 0;
}

struct executor *executor_free(struct executor *e)
{
	if (!e)
		return NULL;
	inputs_deinit(&e->inputs);
	run_deinit(&e->run);
	free(e->tensors);
	free(e->given);
	free(e->dims);
	free(e->errors);
	free(e);
	return NULL;
}

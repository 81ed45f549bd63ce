/*
 * infer.c: one inference in flight.
 *
 * What its message says is read by its kind and turned into dispatch's request; whether that fits the
 * model's declaration, dispatch checks.
 *
 * Where no worker has loaded the model yet, the request is only held (dispatch_hold()), and the message is read once
 * more when there is a declaration to read it by.
 *
 * Invariants: request is held from infer_set_model() to on_done or infer_deinit(); the id is valid as
 * long as the infer. Daemon process, loop thread.
 */
#include "services/infer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/digits.h"
#include "dispatch/demand.h"
#include "dispatch/dispatch.h"
#include "handoff/handoff.h"
#include "services/infer_trace.h"

void infer_init(struct infer *i, const struct infer_kind *kind, struct services *x,
	infer_done_fn on_done, void *data)
{
	i->kind = kind;
	i->services = x;
	i->on_done = on_done;
	i->data = data;
}

static void kept_free(struct infer_kept *k);

/* It does not wait for its model any more. */
static void let_go(struct infer *i)
{
	if (i->receive)
		i->receive->kept = false;
	i->receive = NULL;
	i->demand = demand_free(i->demand);
}

void infer_cancel(struct infer *i)
{
	let_go(i);
	if (i->kind && i->kind->stop)
		i->kind->stop(i);
	kept_free(i->kept);
	i->kept = NULL;
	if (i->request)
		request_cancel(i->request);
	i->request = request_unref(i->request);
}

void infer_deinit(struct infer *i)
{
	infer_cancel(i);
	infer_trace_end(i);
	i->model = version_unref(i->model);
	if (i->id != i->id_inline)
		free(i->id);
	i->id = NULL;
	infer_failure_deinit(&i->failure);
	if (i->kind && i->kind->deinit)
		i->kind->deinit(i);
}

static void choose_boot(struct services *x)
{
	uint64_t boot;

	if (getrandom(&boot, sizeof(boot), GRND_NONBLOCK) < 0)
		boot = clock_wall_ns();
	hex64_write(x->id_boot, boot);
	x->id_boot[HEX64_DIGITS] = '-';
}

void infer_make_id(struct infer *i)
{
	struct services *x = i->services;
	const size_t n = sizeof(x->id_boot);

	if (!x->id_boot[0])
		choose_boot(x);
	i->id = i->id_inline;
	memcpy(i->id, x->id_boot, n);
	i->n_id = n + decimal_write(i->id + n, ++x->id_last);
}

int infer_set_id(struct infer *i, const char *id, size_t n)
{
	i->id = i->id_inline;
	if (n > sizeof(i->id_inline))
		i->id = malloc(n);
	if (!i->id)
		return infer_fail_memory(&i->failure);
	memcpy(i->id, id, n);
	i->n_id = n;
	return 0;
}

/* --- What dispatch says ----------------------------------------------------------------------- */

const char *infer_ending_text(const struct infer_kind *kind)
{
	return kind->ending_text ? kind->ending_text : DISPATCH_ENDING_TEXT;
}

static int fail_in_words(struct infer *i, enum grpc_status status, const char *text)
{
	bool ends = status == GRPC_UNAVAILABLE && !strcmp(text, DISPATCH_ENDING_TEXT);

	return infer_fail(&i->failure, status, "%s", ends ? infer_ending_text(i->kind) : text);
}

/* --- Results that wait ------------------------------------------------------------------------ */

/* A result beyond dispatch's callback, with what its outputs lie in. */
struct infer_kept {
	struct request_result result;
	struct pool_output outputs[];
};

static struct infer_kept *kept_new(const struct request_result *result)
{
	size_t n = result->n_outputs;
	struct infer_kept *k = malloc(sizeof(*k) + n * sizeof(k->outputs[0]));

	if (!k)
		return NULL;
	k->result = *result;
	if (n > 0)
		memcpy(k->outputs, result->outputs, n * sizeof(k->outputs[0]));
	k->result.outputs = k->outputs;
	k->result.message = k->result.worker = k->result.device = "";
	if (k->result.lease)
		output_lease_ref(k->result.lease);
	return k;
}

static void kept_free(struct infer_kept *k)
{
	if (k && k->result.lease)
		output_lease_unref(k->result.lease);
	free(k);
}

/* on_done for the last time. */
static void answer(struct infer *i, const struct request_result *result)
{
	infer_trace_answer(i, result);
	i->on_done(i, result);
}

/* Fill i->kept: store() goes on behind dispatch's callback. */
static void keep(struct infer *i, const struct request_result *result)
{
	i->kept = kept_new(result);
	if (i->kept)
		return;
	i->kind->stop(i);
	infer_fail_memory(&i->failure);
}

void infer_stored(struct infer *i)
{
	struct infer_kept *k = steal_ptr(i->kept);

	struct request *r = steal_ptr(i->request); /* the result's targets are its own */

	answer(i, &k->result);
	request_unref(r);
	kept_free(k);
}

static void on_done(void *data, const struct request_result *result)
{
	struct infer *i = data;

	if (result->partial) {
		i->on_done(i, result);
		return;
	}
	if (result->status != GRPC_OK)
		(void)fail_in_words(i, result->status, result->message);
	else if (i->kind->store && i->kind->store(i, result) == INFER_E_WAITING)
		keep(i, result);
	if (i->kept)
		return;
	i->request = request_unref(i->request);
	answer(i, result);
}

int infer_set_model(struct infer *i, struct version *m)
{
	i->model = version_ref(m);
	if (request_new(&i->request, m, &i->origin, on_done, i))
		return infer_fail_memory(&i->failure);
	if (i->allows_excess)
		request_allow_excess(i->request);
	if (i->allows_partial)
		request_allow_partial(i->request);
	return 0;
}

int infer_add_parameter(struct infer *i, const char *key, const char *value)
{
	switch (request_add_parameter(i->request, key, value)) {
	case 0:
		return 0;
	case -E2BIG:
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"parameter '%.255s': at most %u parameters, keys of %u bytes and values of "
			"%u bytes can be given to a model",
			key, WIRE_PAIRS_MAX, WIRE_NAME_MAX, WIRE_TEXT_MAX);
	case -EINVAL:
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"parameter '%.255s' is not valid UTF-8", key);
	default:
		return infer_fail_memory(&i->failure);
	}
}

static int fail_refused(struct infer *i)
{
	return fail_in_words(i, request_status(i->request), request_message(i->request));
}

static int submit(struct infer *i)
{
	int r = dispatch_submit(i->services->dispatch, i->request);

	if (r == DISPATCH_E_REFUSED)
		return fail_refused(i);
	return r ? infer_fail_memory(&i->failure) : 0;
}

static int read_and_submit(
	struct infer *i, struct infer_receive *receive, const uint8_t *message, size_t n);

/* As it was before it was read. */
static void start_again(struct infer *i)
{
	struct infer was = *i;

	i->trace = NULL;
	infer_deinit(i);
	memset(i, 0, was.kind->size);
	infer_init(i, was.kind, was.services, was.on_done, was.data);
	i->origin = was.origin;
	i->allows_excess = was.allows_excess;
	i->allows_partial = was.allows_partial;
	i->demanded = was.demanded;
	i->on_read = was.on_read;
	i->trace = was.trace;
}

/* What it waited for is over: it is read once more, unless it has failed. */
static void go_on(struct infer *i)
{
	struct infer_receive *receive = i->receive;
	const uint8_t *message = i->message;
	size_t n = i->n_message;
	int r = i->failure.status == GRPC_OK ? 0 : INFER_E_FAILED;

	let_go(i);
	if (!r) {
		start_again(i);
		r = read_and_submit(i, receive, message, n);
	} else {
		i->request = request_unref(i->request);
	}
	if (r)
		answer(i, &(struct request_result){.status = i->failure.status});
	else if (i->on_read && !receive->kept)
		i->on_read(i);
}

/* There is more to say of the model now. */
static void on_hold_end(void *data)
{
	struct infer *i = data;

	if (request_status(i->request) != GRPC_OK)
		(void)fail_refused(i);
	go_on(i);
}

static int hold(struct infer *i)
{
	int r = dispatch_hold(i->services->dispatch, i->request, on_hold_end);

	if (r == DISPATCH_E_NOT_HELD)
		return 0;
	return r ? fail_refused(i) : INFER_E_WAITING;
}

static void on_demand_end(void *data, enum grpc_status status, const char *text)
{
	struct infer *i = data;

	i->demand = NULL;
	if (status != GRPC_OK)
		(void)fail_in_words(i, status, text);
	go_on(i);
}

int infer_demand(struct infer *i, const char *model, const char *version)
{
	const struct demand_wish wish = {.model = model,
		.version = version,
		.client = i->origin.client,
		.deadline_ns = i->origin.deadline_ns,
		.allows_excess = i->allows_excess,
		.on_end = on_demand_end,
		.data = i};

	/* It was loaded, and has gone again. */
	if (i->demanded)
		return INFER_E_MISSING;
	switch (dispatch_demand(i->services->dispatch, &wish, &i->demand)) {
	case 0:
		i->demanded = true;
		return INFER_E_WAITING;
	case DEMAND_E_NOBODY:
		return INFER_E_MISSING;
	case DEMAND_E_FULL:
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED, "%s", DEMAND_FULL_TEXT);
	default:
		return infer_fail_memory(&i->failure);
	}
}

/* Until its model is loaded. */
static void keep_message(
	struct infer *i, struct infer_receive *receive, const uint8_t *message, size_t n)
{
	receive->kept = true;
	i->receive = receive;
	i->message = message;
	i->n_message = n;
}

static int read_and_submit(
	struct infer *i, struct infer_receive *receive, const uint8_t *message, size_t n)
{
	int r = i->kind->read(i, message, n, receive);

	if (!r)
		r = hold(i);
	if (r == INFER_E_WAITING)
		keep_message(i, receive, message, n);
	if (!r && i->kind->fetch)
		r = i->kind->fetch(i);
	if (r == INFER_E_WAITING)
		return 0;
	if (!r)
		r = submit(i);
	if (r)
		i->request = request_unref(i->request);
	else if (i->n_handed > 0)
		handoff_count_tensor(i->services->handoff, i->n_handed);
	return r;
}

int infer_submit(struct infer *i, const struct origin *origin, struct infer_receive *receive)
{
	const uint8_t *message;
	size_t n;
	int r = infer_receive_end(receive, &message, &n);

	i->origin = *origin;
	infer_trace_begin(i);
	if (r)
		infer_failure_move(&i->failure, &receive->failure);
	else
		r = read_and_submit(i, receive, message, n);
	if (r)
		infer_trace_answer(i, NULL);
	return r;
}

void infer_fetched(struct infer *i)
{
	static const struct request_result failed = {.status = GRPC_UNKNOWN, .message = ""};

	if (i->failure.status == GRPC_OK && !submit(i))
		return;
	i->request = request_unref(i->request);
	answer(i, &failed);
}

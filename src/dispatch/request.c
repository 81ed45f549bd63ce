/*
 * request.c: one inference in flight and its state machine.
 *
 * One block holds a request and its arrays, sized for the version's declaration; blocks are kept by
 * the version, so that a request costs no malloc in the steady state.
 *
 * Invariants: on_done is called at most once with a last answer, and not at all once a request is silent. A request
 * that is EARLY, QUEUED, SENT or LEAVING is charged to its client, and referenced by
 * dispatch; in NEW and DONE it is none of these. Leases and regions are held until DONE.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/request.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch.h"
#include "dispatch/output_share.h"
#include "dispatch/request_private.h"
#include "dispatch/sequence_step.h"
#include "dispatch/version_private.h"

#define REQUEST_SPARE_MAX 1024u

static const bool allowed[REQUEST_STATES_][REQUEST_STATES_] = {
	[REQUEST_NEW] = {[REQUEST_EARLY] = true, [REQUEST_QUEUED] = true, [REQUEST_DONE] = true},
	[REQUEST_EARLY] = {[REQUEST_DONE] = true},
	[REQUEST_QUEUED] = {[REQUEST_SENT] = true, [REQUEST_LEAVING] = true, [REQUEST_DONE] = true},
	[REQUEST_SENT] = {[REQUEST_QUEUED] = true, [REQUEST_LEAVING] = true, [REQUEST_DONE] = true},
	[REQUEST_LEAVING] = {[REQUEST_DONE] = true},
};

void request_set_state(struct request *r, enum request_state to)
{
	assert(allowed[r->state][to]);
	output_share_settle(r->client, &r->expected_bytes);
	r->state = to;
	if (to == REQUEST_DONE)
		r->version->n_requests--;
}

static void request_reset(struct request *r)
{
	r->refs = 1;
	r->state = REQUEST_NEW;
	list_init(&r->node);
	list_init(&r->age_node);
	list_init(&r->sequence_node);
	list_init(&r->order_node);
	memset(r->inputs, 0, r->n_inputs * sizeof(r->inputs[0]));
}

static size_t block_size(uint32_t n_inputs, uint32_t n_outputs)
{
	return sizeof(struct request) +
	       n_inputs * (sizeof(struct request_input) + sizeof(struct wire_tensor)) +
	       n_outputs * (sizeof(struct request_target) + sizeof(struct wire_target) +
				   sizeof(uint32_t));
}

/* The block begins anew, with arrays for so many inputs and outputs. */
static void request_lay_out(struct request *r, uint32_t n_inputs, uint32_t n_outputs)
{
	memset(r, 0, sizeof(*r));
	r->n_inputs = n_inputs;
	r->n_outputs_max = n_outputs;
	r->tensors = (struct wire_tensor *)(r->inputs + n_inputs);
	r->targets = (struct request_target *)(r->tensors + n_inputs);
	r->wire_targets = (struct wire_target *)(r->targets + n_outputs);
	r->outputs = (uint32_t *)(r->wire_targets + n_outputs);
}

static struct request *request_alloc(uint32_t n_inputs, uint32_t n_outputs)
{
	struct request *r = malloc(block_size(n_inputs, n_outputs));

	if (r)
		request_lay_out(r, n_inputs, n_outputs);
	return r;
}

static struct request *request_take(struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);
	struct request *r = spare_take(&v->spare_requests);

	if (!r)
		return request_alloc(declared ? (uint32_t)declared->n_inputs : 0,
			declared ? (uint32_t)declared->n_outputs : 0);
	/* Only blocks that fit the declaration are kept. */
	assert(declared);
	request_lay_out(r, (uint32_t)declared->n_inputs, (uint32_t)declared->n_outputs);
	return r;
}

/* Lost where there is no memory for it: the request matters more. */
static void take_trace(struct request *r, const struct origin *origin)
{
	if (!origin->traceparent || !origin->traceparent[0])
		return;
	r->item.traceparent = r->traceparent = strdup(origin->traceparent);
	if (r->traceparent && origin->tracestate && origin->tracestate[0])
		r->item.tracestate = r->tracestate = strdup(origin->tracestate);
}

int request_new(struct request **ret_request, struct version *version, const struct origin *origin,
	request_done_fn on_done, void *data)
{
	struct request *r = request_take(version);

	if (!r)
		return -ENOMEM;
	request_reset(r);
	r->version = version_ref(version);
	version->n_requests++;
	r->client = client_ref(origin->client);
	r->deadline_ns = origin->deadline_ns;
	r->level = queue_settings_level(version->settings.queue, 0);
	r->times.received_ns = origin->received_ns;
	take_trace(r, origin);
	r->on_done = on_done;
	r->data = data;
	*ret_request = r;
	return 0;
}

struct request *request_ref(struct request *r)
{
	r->refs++;
	return r;
}

struct request *request_pop(struct list *l)
{
	struct list *node = list_first(l);

	if (!node)
		return NULL;
	list_remove(node);
	return list_entry(node, struct request, node);
}

void request_drop_inputs(struct request *r)
{
	for (uint32_t i = 0; i < r->n_inputs; i++) {
		r->inputs[i].lease = lease_unref(r->inputs[i].lease);
		r->inputs[i].region = region_unref(r->inputs[i].region);
	}
}

void request_drop_leases(struct request *r)
{
	request_drop_inputs(r);
	while (r->n_targets > 0)
		region_unref(r->targets[--r->n_targets].region);
}

static void drop_extras(struct request *r)
{
	for (size_t i = 0; i < r->item.n_parameters; i++)
		free((char *)r->parameters[i].key);
	free(r->parameters);
	free(r->traceparent);
	free(r->tracestate);
	free(r->id);
	free(r->text);
	free(r->step);
	r->parameters = NULL;
	r->traceparent = NULL;
	r->tracestate = NULL;
	r->id = NULL;
	r->text = NULL;
	r->step = NULL;
}

/* A block made before the model was declared fits no later request. */
static bool request_is_spare(const struct request *r)
{
	const struct wire_loaded *declared = version_declared(r->version);

	return declared && r->n_inputs == declared->n_inputs &&
	       r->n_outputs_max == declared->n_outputs;
}

struct request *request_unref(struct request *r)
{
	struct version *v;

	if (!r)
		return NULL;
	assert(r->refs > 0);
	if (--r->refs > 0)
		return NULL;
	assert(r->state == REQUEST_NEW || r->state == REQUEST_DONE);
	request_drop_leases(r);
	drop_extras(r);
	v = r->version;
	if (r->state == REQUEST_NEW)
		v->n_requests--;
	r->client = client_unref(r->client);
	if (request_is_spare(r))
		spare_give(&v->spare_requests, r, REQUEST_SPARE_MAX);
	else
		free(r);
	version_unref(v);
	return NULL;
}

struct request_input *request_input(struct request *r, uint32_t index)
{
	return index < r->n_inputs ? &r->inputs[index] : NULL;
}

int request_want_output(struct request *r, uint32_t index)
{
	size_t n = r->item.n_outputs;

	if (index >= r->n_outputs_max)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (r->outputs[i] == index)
			return -EEXIST;
	}
	r->outputs[n] = index;
	r->item.n_outputs++;
	return 0;
}

int request_set_target(
	struct request *r, uint32_t output, struct region *region, uint64_t offset, uint64_t length)
{
	if (output >= r->n_outputs_max)
		return -EINVAL;
	for (uint32_t i = 0; i < r->n_targets; i++) {
		if (r->targets[i].output == output)
			return -EEXIST;
	}
	r->targets[r->n_targets++] = (struct request_target){
		.output = output,
		.region = region_ref(region),
		.offset = offset,
		.length = length,
	};
	return 0;
}

const struct request_target *request_result_target(
	const struct request_result *result, const struct pool_output *output)
{
	uint32_t index = output->index;

	if (output->data)
		return NULL;
	/* Mostly they are all there and in order. */
	if (index < result->n_targets && result->targets[index].output == index)
		return &result->targets[index];
	for (size_t i = 0; i < result->n_targets; i++) {
		if (result->targets[i].output == index)
			return &result->targets[i];
	}
	return NULL;
}

/* Lost where there is no memory for it, as a traceparent. */
void request_set_id(struct request *r, const char *id, size_t n)
{
	if (n == 0 || n > WIRE_NAME_MAX || memchr(id, '\0', n) || !utf8_valid(id, n))
		return;
	free(r->id);
	r->item.id = r->id = strndup(id, n);
}

int request_add_parameter(struct request *r, const char *key, const char *value)
{
	size_t n_key = strlen(key) + 1;
	size_t n_value = strlen(value) + 1;
	size_t n = r->item.n_parameters;
	struct wire_pair *pairs;
	char *block;

	if (n >= WIRE_PAIRS_MAX || n_key > WIRE_NAME_MAX + 1 || n_value > WIRE_TEXT_MAX + 1)
		return -E2BIG;
	if (!utf8_valid(key, n_key - 1) || !utf8_valid(value, n_value - 1))
		return -EINVAL;
	pairs = realloc(r->parameters, (n + 1) * sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	r->parameters = pairs;
	block = malloc(n_key + n_value);
	if (!block)
		return -ENOMEM;
	memcpy(block, key, n_key);
	memcpy(block + n_key, value, n_value);
	pairs[n] = (struct wire_pair){.key = block, .value = block + n_key};
	r->item.n_parameters++;
	return 0;
}

void request_allow_partial(struct request *r)
{
	r->allows_partial = true;
}

void request_allow_excess(struct request *r)
{
	r->allows_excess = true;
}

enum grpc_status request_status(const struct request *r)
{
	return r->status;
}

const char *request_message(const struct request *r)
{
	if (r->text)
		return r->text;
	return r->status == GRPC_OK ? "" : "refused, and out of memory to say why";
}

int request_refuse(struct request *r, enum grpc_status status, const char *format, ...)
{
	char text[REQUEST_TEXT_MAX];
	size_t n;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	n = strlen(text) + 1;
	free(r->text);
	r->text = malloc(n);
	if (r->text)
		memcpy(r->text, text, n);
	r->status = status;
	return DISPATCH_E_REFUSED;
}

void request_discard(struct request *r)
{
	request_set_state(r, REQUEST_DONE);
	request_drop_leases(r);
}

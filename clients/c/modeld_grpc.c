/*
 * modeld_grpc.c: calls of libmodeld as gRPC calls of ModelWorkerService: one input by TensorRef, one
 * output into a region or inline. An answer is turned into what the handoff socket would have brought,
 * so that it passes the same checks.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "clients/c/modeld_private.h"
#include "proto/model_worker.pb-c.h"

#define INFER_PATH     "/remotemedia.model_registry.v1.ModelWorkerService/Infer"
#define REPLY_MAX      (256u << 20) /* bytes of an inline output and what is around it */
#define PARAMETERS_MAX 5u

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__InferResponse InferResponse;
typedef Remotemedia__ModelRegistry__V1__TensorRef TensorRef;
typedef Remotemedia__ModelRegistry__V1__TensorData TensorData;
typedef Remotemedia__ModelRegistry__V1__InferRequest__ParametersEntry Parameter;

/* An InferRequest and all that it points to. */
struct message {
	InferRequest request;
	TensorRef input;
	int32_t shape[MODELD_RANK_MAX];
	Parameter parameters[PARAMETERS_MAX];
	Parameter *list[PARAMETERS_MAX];
	char offset[24], size[24];
};

/* What a call sends, also once more. */
struct packed {
	uint64_t deadline_ns;
	uint64_t epoch;			      /* of its regions */
	bool refused;			      /* it is to be sent once more */
	bool final;			      /* it is not */
	const char *traceparent, *tracestate; /* borrow: behind the bytes; NULL: none */
	size_t n;
	uint8_t bytes[];
};

/* --- The request ------------------------------------------------------------------------------ */

static int check(const struct modeld_request *r, struct modeld_error *error)
{
	if (r->n_inputs != 1 || r->n_targets > 1)
		return error_set(error, MODELD_E_USAGE,
			"by gRPC a request has one input and at most one target, not %zu and %zu",
			r->n_inputs, r->n_targets);
	for (uint32_t i = 0; i < r->inputs[0].rank; i++) {
		if (r->inputs[0].dims[i] > INT32_MAX)
			return error_set(error, MODELD_E_USAGE,
				"by gRPC a dimension is at most %d, not %" PRId64, INT32_MAX,
				r->inputs[0].dims[i]);
	}
	return 0;
}

static void add_parameter(struct message *m, const char *key, const char *value)
{
	Parameter *p = &m->parameters[m->request.n_parameters];

	if (!value)
		return;
	remotemedia__model_registry__v1__infer_request__parameters_entry__init(p);
	p->key = (char *)key;
	p->value = (char *)value;
	m->list[m->request.n_parameters++] = p;
}

static void fill_message(struct message *m, const struct modeld_request *from)
{
	const struct modeld_tensor *t = &from->inputs[0];

	remotemedia__model_registry__v1__infer_request__init(&m->request);
	remotemedia__model_registry__v1__tensor_ref__init(&m->input);
	m->request.model_id = (char *)from->model;
	m->request.input_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_REF;
	m->request.tensor_ref = &m->input;
	m->request.parameters = m->list;
	m->input.region_id = t->region->id;
	m->input.offset = t->offset;
	m->input.size = t->bytes;
	m->input.n_shape = t->rank;
	m->input.shape = m->shape;
	m->input.dtype = (char *)dtype_name((enum dtype)t->type);
	for (uint32_t i = 0; i < t->rank; i++)
		m->shape[i] = (int32_t)t->dims[i];
	add_parameter(m, "input", t->name);
	if (from->n_targets == 0)
		return;
	(void)snprintf(m->offset, sizeof(m->offset), "%" PRIu64, from->targets[0].offset);
	(void)snprintf(m->size, sizeof(m->size), "%" PRIu64, from->targets[0].bytes);
	add_parameter(m, "output", from->targets[0].name);
	add_parameter(m, "output_region", from->targets[0].region->id);
	add_parameter(m, "output_offset", m->offset);
	add_parameter(m, "output_size", m->size);
}

/* --- The answer ------------------------------------------------------------------------------- */

static uint64_t metadata_ns(const InferResponse *r, const char *key)
{
	uint64_t us, ns;

	for (size_t i = 0; i < r->n_metadata; i++) {
		if (strcmp(r->metadata[i]->key, key) != 0)
			continue;
		if (decimal_parse(r->metadata[i]->value, &us))
			return 0;
		return __builtin_mul_overflow(us, NS_PER_US, &ns) ? UINT64_MAX : ns;
	}
	return 0;
}

static int take_ref(
	const struct modeld_call *call, struct handoff_tensor *to, const TensorRef *from)
{
	if (call->n_targets == 0 || strcmp(call->targets[0].region->id, from->region_id) != 0)
		return -EPROTO;
	to->region = call->targets[0].region->number;
	to->offset = from->offset;
	to->length = from->size;
	return 0;
}

/* dims: TENSOR_RANK_MAX of them, for to->dims. */
static int take_shape(struct handoff_tensor *to, int64_t *dims, const int32_t *shape, size_t rank,
	const char *dtype)
{
	if (rank > TENSOR_RANK_MAX)
		return -EPROTO;
	for (size_t i = 0; i < rank; i++)
		dims[i] = shape[i];
	to->dims = dims;
	to->rank = (uint32_t)rank;
	to->dtype = dtype_parse(dtype, strlen(dtype));
	return 0;
}

static int take_output(const struct modeld_call *call, struct handoff_tensor *to, int64_t *dims,
	const InferResponse *from)
{
	const TensorRef *ref = from->tensor_ref;
	const TensorData *data = from->tensor_data;
	int r;

	switch (from->output_case) {
	case REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_REF:
		r = take_ref(call, to, ref);
		return r ? r : take_shape(to, dims, ref->shape, ref->n_shape, ref->dtype);
	case REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_DATA:
		to->data = data->data.data;
		to->n_data = data->data.len;
		return take_shape(to, dims, data->shape, data->n_shape, data->dtype);
	default:
		return -EPROTO;
	}
}

static int take_response(struct modeld_call *call, const InferResponse *from)
{
	int64_t dims[TENSOR_RANK_MAX];
	struct handoff_tensor output = {.name = ""};
	const struct handoff_inferred answer = {
		.outputs = &output,
		.n_outputs = 1,
		.queue_ns = metadata_ns(from, "queue_us"),
		.compute_ns = metadata_ns(from, "compute_us"),
		.total_ns = metadata_ns(from, "total_us"),
	};
	int r = take_output(call, &output, dims, from);

	return r ? r : result_new(&call->result, call, &answer);
}

/* The first message is the answer: what a second one brings is dropped. */
static void on_message(void *data, const uint8_t *message, size_t n)
{
	struct modeld_call *call = data;
	InferResponse *response;
	int r;

	if (call->result || call->error.code || call->released)
		return;
	response = remotemedia__model_registry__v1__infer_response__unpack(NULL, n, message);
	r = response ? take_response(call, response) : -EPROTO;
	if (response)
		remotemedia__model_registry__v1__infer_response__free_unpacked(response, NULL);
	if (r)
		(void)error_system(&call->error, r, "the daemon's answer");
}

/* --- Calls ------------------------------------------------------------------------------------ */

static void on_refused(void *data)
{
	struct modeld_call *call = data;

	if (call->packed->final)
		return;
	call->packed->refused = true;
	call->m->refused = true;
}

/* Over m->grpc. timeout_ns: CLOCK_NO_DEADLINE: none */
static int open_call(struct modeld_call *call, uint64_t timeout_ns, struct modeld_error *error)
{
	const struct packed *p = call->packed;
	const struct grpc_piece piece = {p->bytes, p->n};
	struct grpc_client *c = call->m->grpc;
	const struct grpc_call_options options = {
		.path = INFER_PATH,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = timeout_ns,
		.traceparent = p->traceparent,
		.tracestate = p->tracestate,
		.max_message_bytes = REPLY_MAX,
		.on_message = on_message,
		.on_refused = on_refused,
		.data = call,
	};
	int r = grpc_call_new(&call->grpc, c, &options);

	if (r)
		return error_system(error, r, "the daemon's gRPC connection");
	/* What the socket takes is on its way; what else can happen shows when it is waited for. */
	(void)(grpc_client_run(c, NULL, 0) == 0);
	return 0;
}

/* A copy of text, if there is one, at *at, which goes on behind it. */
static const char *keep_text(uint8_t **at, const char *text)
{
	char *copy = (char *)*at;

	if (!text)
		return NULL;
	*at = (uint8_t *)stpcpy(copy, text) + 1;
	return copy;
}

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* NULL: out of memory */
static struct packed *pack(const struct modeld_request *request)
{
	struct message m;
	struct packed *p;
	uint8_t *behind;
	size_t n;

	fill_message(&m, request);
	n = remotemedia__model_registry__v1__infer_request__get_packed_size(&m.request);
	p = malloc(sizeof(*p) + n + text_bytes(request->traceparent) +
		   text_bytes(request->tracestate));
	if (!p)
		return NULL;
	*p = (struct packed){.n = n};
	(void)remotemedia__model_registry__v1__infer_request__pack(&m.request, p->bytes);
	behind = p->bytes + n;
	p->traceparent = keep_text(&behind, request->traceparent);
	p->tracestate = keep_text(&behind, request->tracestate);
	return p;
}

int grpc_submit(
	struct modeld_call *call, const struct modeld_request *request, struct modeld_error *error)
{
	uint64_t timeout_ns = CLOCK_NO_DEADLINE;
	int e = check(request, error);

	if (e)
		return e;
	call->packed = pack(request);
	if (!call->packed)
		return error_system(error, -ENOMEM, "a call");
	if (request->timeout_us &&
		__builtin_mul_overflow(request->timeout_us, NS_PER_US, &timeout_ns))
		timeout_ns = CLOCK_NO_DEADLINE;
	call->packed->epoch = call->m->epoch;
	call->packed->deadline_ns =
		timeout_ns == CLOCK_NO_DEADLINE ? timeout_ns : clock_add(clock_ns(), timeout_ns);
	return open_call(call, timeout_ns, error);
}

static int stale(struct modeld_error *error)
{
	return error_set(error, MODELD_E_STALE,
		"its region went with a connection that was lost: make another one");
}

/* One that goes has taken the call and forgotten the region, or took neither: where that went with the handoff socket, it is not the
 * name of the model that was not found. */
static bool region_is_gone(const struct modeld_call *call)
{
	struct modeld *m = call->m;

	link_take_in(m);
	return m->lost.code || m->epoch != call->packed->epoch;
}

/* The gRPC call is done: settle ours. */
static void settle(struct modeld_call *call)
{
	enum grpc_status status = grpc_call_status(call->grpc);

	if (status == GRPC_NOT_FOUND && region_is_gone(call))
		(void)stale(&call->error);
	else if (status != GRPC_OK)
		(void)error_set(&call->error,
			grpc_call_is_lost(call->grpc) ? MODELD_E_SYSTEM : (int)status, "%s",
			grpc_call_message(call->grpc));
	else if (!call->result && !call->error.code && !call->released)
		(void)error_set(&call->error, MODELD_E_SYSTEM, "the daemon's answer is empty");
	call_over(call);
}

/* --- Once more -------------------------------------------------------------------------------- */

static int open_again(struct modeld_call *call, struct modeld_error *error)
{
	const struct packed *p = call->packed;
	struct modeld *m = call->m;
	uint64_t until = clock_add(clock_ns(), m->timeout_ns), now;
	int e = connection_ready(m, until < p->deadline_ns ? until : p->deadline_ns, error);

	if (e)
		return e;
	if (p->epoch != m->epoch)
		return stale(error);
	now = clock_ns();
	if (p->deadline_ns <= now)
		return error_set(error, GRPC_DEADLINE_EXCEEDED,
			"the daemon did not take the request in time");
	return open_call(call,
		p->deadline_ns == CLOCK_NO_DEADLINE ? CLOCK_NO_DEADLINE : p->deadline_ns - now,
		error);
}

static void send_again(struct modeld_call *call)
{
	call->packed->refused = false;
	call->packed->final = true;
	call->grpc = grpc_call_free(call->grpc);
	if (!call->released && open_again(call, &call->error) == 0)
		return;
	/* MODELD_E_TIMEOUT says that a call goes on. */
	if (call->error.code == MODELD_E_TIMEOUT)
		call->error.code = MODELD_E_SYSTEM;
	call_over(call);
}

static void send_refused_again(struct modeld *m)
{
	m->refused = false;
	for (size_t i = 0; i < CALL_BUCKETS; i++) {
		list_for_each (&m->open[i], node) {
			struct modeld_call *call = list_entry(node, struct modeld_call, node);

			if (call->packed && call->packed->refused)
				send_again(call);
		}
	}
}

void grpc_unwanted(struct modeld_call *call)
{
	call->packed->refused = false;
	call->packed->final = true;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

/* Something has come for the call, or for others on its connection; -ETIMEDOUT; any other error: it cannot go on. */
static int wait_a_turn(struct modeld_call *call, uint64_t spin_until, uint64_t deadline_ns)
{
	bool spins = clock_ns() < spin_until;
	int r = grpc_call_run(call->grpc, spins ? 0 : deadline_ns);

	if (r == -ETIMEDOUT && spins) {
		/* Who is waited for may have no other CPU than this one. */
		sched_yield();
		return 0;
	}
	return grpc_call_done(call->grpc) ? 0 : r;
}

/* 0: call->grpc is done, or the call has ended. */
static int wait_done(struct modeld_call *call, uint64_t deadline_ns)
{
	struct modeld *m = call->m;
	uint64_t spin_until = m->busy_poll_ns ? clock_add(clock_ns(), m->busy_poll_ns) : 0;

	if (spin_until > deadline_ns)
		spin_until = deadline_ns;
	for (;;) {
		int r;

		if (m->refused)
			send_refused_again(m);
		if (call->done || grpc_call_done(call->grpc))
			return 0;
		r = wait_a_turn(call, spin_until, deadline_ns);
		if (r)
			return r;
		/* What comes for others must not make this one wait for longer than it is to. */
		if (deadline_ns && !grpc_call_done(call->grpc) && clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

int grpc_wait(struct modeld_call *call, uint64_t deadline_ns)
{
	struct modeld *m = call->m;
	int r = call->done ? 0 : wait_done(call, deadline_ns);

	if (!list_empty(&m->ending))
		channel_sweep(m);
	if (r == -ETIMEDOUT)
		return r;
	if (r) {
		/* Out of memory: the call cannot go on. */
		(void)error_system(&call->error, r, "the gRPC connection");
		call->grpc = grpc_call_free(call->grpc);
		call_over(call);
	} else if (!call->done) {
		settle(call);
	}
	return 0;
}

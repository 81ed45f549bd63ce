/*
 * kserve_infer.c: reads a ModelInferRequest. The order of what is checked is Triton's: model, parameters,
 * where the inputs are, the outputs' names, then the inputs against the declaration.
 *
 * Daemon process, loop thread.
 */
#include "services/kserve_infer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "dispatch/dispatch.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/infer_region.h"
#include "services/key_region.h"
#include "services/kserve_check.h"
#include "services/kserve_inputs.h"
#include "services/kserve_models.h"
#include "services/kserve_reply.h"
#include "services/kserve_small.h"

#define NAME_SHOWN 255

static int set_id(struct infer *i, const char *id)
{
	size_t n = strlen(id);

	if (!utf8_valid(id, n))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "id is not valid UTF-8");
	return infer_set_id(i, id, n);
}

/* INFER_E_MISSING: there is such a model, or none that could be loaded. */
static int demand(struct infer *i, const struct kserve_request *m)
{
	if (!*m->model_name ||
		kserve_is_known(i->services->dispatch, m->model_name, m->model_version))
		return INFER_E_MISSING;
	return infer_demand(i, m->model_name, m->model_version);
}

static int set_model(struct infer *i, const struct kserve_request *m)
{
	struct version *v = NULL;
	int r = demand(i, m);

	if (r != INFER_E_MISSING)
		return r;
	r = kserve_find_hopeful(
		i->services->dispatch, m->model_name, m->model_version, &v, &i->failure);
	if (!r && version_decoupled(v) && !i->allows_partial)
		r = infer_fail(&i->failure, GRPC_UNIMPLEMENTED,
			"ModelInfer RPC doesn't support models with decoupled transaction policy");
	return r ? r : infer_set_model(i, v);
}

/* --- Outputs ---------------------------------------------------------------------------------- */

static int add_classes(struct kserve_infer *x, uint32_t output, uint64_t n)
{
	struct kserve_classes *p = realloc(x->classes, (x->n_classes + 1) * sizeof(*p));

	if (!p)
		return infer_fail_memory(&x->infer.failure);
	p[x->n_classes++] = (struct kserve_classes){output, n};
	x->classes = p;
	return 0;
}

/* Memory of a GPU: a worker writes there. Referenced. */
static int device_target(struct kserve_infer *x, struct key_region *key,
	const struct kserve_place *place, struct region **ret_region)
{
	struct infer *i = &x->infer;

	if (version_decoupled(i->model))
		return infer_fail(&i->failure, GRPC_UNIMPLEMENTED,
			"model '%s' answers a request any number of times (it is decoupled): its "
			"outputs cannot go to shared memory",
			version_settings(i->model)->name);
	if (key_region_check(key, place->offset, place->length, &i->failure))
		return INFER_E_FAILED;
	*ret_region = region_ref(key->device);
	return 0;
}

static int set_target(struct kserve_infer *x, uint32_t output, const struct kserve_place *place)
{
	struct key_region *key = kserve_keys_find(x, place);
	struct infer *i = &x->infer;
	struct region *region = NULL;
	int r;

	if (key && !key->device)
		return kserve_keys_target(x, output, key, place);
	if (key)
		r = device_target(x, key, place, &region);
	else
		r = infer_region_named(i, place->region, place->n_region, &region);
	if (r)
		return r;
	r = request_set_target(i->request, output, region, place->offset, place->length);
	region_unref(region);
	assert(r == 0);
	return r;
}

static int fill_wanted(struct kserve_infer *x, uint32_t output, const struct kserve_output *m)
{
	struct infer *i = &x->infer;
	struct kserve_place place;
	uint64_t n_classes;
	int r = kserve_read_place(i, m->name, m->parameters, m->n_parameters, &place);

	if (!r)
		r = kserve_read_classes(i, m, &n_classes);
	if (r)
		return r;
	if (place.region && n_classes > 0)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"output '%.*s' cannot be in shared memory and be classified", NAME_SHOWN,
			m->name);
	if (place.region)
		return set_target(x, output, &place);
	return n_classes > 0 ? add_classes(x, output, n_classes) : 0;
}

/* One that is named twice is given once; what is said of it first counts. */
static int fill_output(struct kserve_infer *x, const struct kserve_output *m, uint32_t hint)
{
	struct infer *i = &x->infer;
	uint32_t output = hint;

	if (version_find_output(i->model, m->name, &output) ||
		version_hides_output(i->model, output))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"unexpected inference output '%.*s' for model '%s'", NAME_SHOWN, m->name,
			version_settings(i->model)->name);
	if (request_want_output(i->request, output) == -EEXIST)
		return 0;
	return m->n_parameters > 0 ? fill_wanted(x, output, m) : 0;
}

static int fill_outputs(struct kserve_infer *x, const struct kserve_request *m)
{
	int r = 0;

	if (m->n_outputs > WIRE_TENSORS_MAX)
		return infer_fail(&x->infer.failure, GRPC_INVALID_ARGUMENT,
			"%zu outputs exceed the limit of %u", m->n_outputs, WIRE_TENSORS_MAX);
	for (size_t k = 0; k < m->n_outputs && !r; k++)
		r = fill_output(x, &m->outputs[k], (uint32_t)k);
	return r;
}

/* --- Sequences -------------------------------------------------------------------------------- */

static int set_sequence(struct kserve_infer *x)
{
	const struct kserve_wishes *w = &x->wishes;
	const char *text = steal_ptr(x->wishes.sequence_text); /* it goes with the message */
	struct infer *i = &x->infer;

	if (!version_settings(i->model)->sequence)
		return 0;
	switch (request_set_sequence(
		i->request, w->sequence, text, w->n_sequence, w->sequence_start, w->sequence_end)) {
	case 0:
		return 0;
	case -ENOMEM:
		return infer_fail_memory(&i->failure);
	default:
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"sequence_id: at most %u bytes of UTF-8, and none that is 0, are expected",
			WIRE_NAME_MAX);
	}
}

/* --- All of it -------------------------------------------------------------------------------- */

static int check_queue(struct infer *i)
{
	if (!request_finds_full(i->request))
		return 0;
	return infer_fail(&i->failure, GRPC_UNAVAILABLE,
		"[request id: %.*s] Exceeds maximum queue size",
		i->n_id > 0 && i->n_id < NAME_SHOWN ? (int)i->n_id : (int)strlen("<id_unknown>"),
		i->n_id > 0 ? i->id : "<id_unknown>");
}

static int fill(
	struct kserve_infer *x, const struct kserve_request *m, struct infer_receive *receive)
{
	struct infer *i = &x->infer;
	int r = set_id(i, m->id);

	if (!r)
		r = set_model(i, m);
	/* Not loaded yet: dispatch says what becomes of it. */
	if (!r && !version_declared(i->model))
		return 0;
	if (!r)
		r = kserve_read_parameters(i, m, &x->wishes);
	if (!r)
		request_set_id(i->request, i->id, i->n_id);
	if (!r)
		request_set_queueing(i->request, x->wishes.priority, x->wishes.timeout_us);
	if (!r)
		r = set_sequence(x);
	if (!r)
		r = kserve_fill_inputs(i, m, receive);
	if (!r)
		r = fill_outputs(x, m);
	if (!r)
		r = kserve_check_inputs(i, m);
	if (!r)
		r = check_queue(i);
	return r;
}

/* The codec tells neither from the other. */
static int fail_malformed(struct infer *i, const uint8_t *data, size_t n)
{
	if (message_hides_text(&inference__model_infer_request__descriptor, data, n))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"ModelInferRequest with a NUL in a text");
	return infer_fail(&i->failure, GRPC_INTERNAL, "malformed ModelInferRequest");
}

static int read_request(
	struct infer *i, const uint8_t *data, size_t n, struct infer_receive *receive)
{
	struct kserve_request_memory memory;
	struct kserve_request m;
	int r;

	switch (kserve_request_read(data, n, &memory, &m)) {
	case 0:
		r = fill((struct kserve_infer *)i, &m, receive);
		break;
	case -ENOMEM:
		r = infer_fail_memory(&i->failure);
		break;
	default:
		r = fail_malformed(i, data, n);
		break;
	}
	kserve_request_memory_free(&memory);
	return r;
}

static void deinit(struct infer *i)
{
	struct kserve_infer *x = (struct kserve_infer *)i;

	free(x->classes);
	x->classes = NULL;
	x->n_classes = 0;
	kserve_keys_deinit(x);
}

const struct infer_kind kserve_infer_kind = {
	.table = &kserve_request_scanner,
	.size = sizeof(struct kserve_infer),
	.read = read_request,
	.fetch = kserve_keys_fetch,
	.store = kserve_keys_store,
	.stop = kserve_keys_stop,
	.reply = kserve_reply,
	.deinit = deinit,
	.ending_text = KSERVE_ENDING,
};

const struct infer_kind kserve_stream_kind = {
	.table = &kserve_request_scanner,
	.size = sizeof(struct kserve_infer),
	.partial = true,
	.read = read_request,
	.fetch = kserve_keys_fetch,
	.store = kserve_keys_store,
	.stop = kserve_keys_stop,
	.reply = kserve_stream_reply,
	.refuse = kserve_stream_refusal,
	.deinit = deinit,
	.ending_text = KSERVE_ENDING,
};

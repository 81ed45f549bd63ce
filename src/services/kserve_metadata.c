/*
 * kserve_metadata.c: live, ready, and what there is to be called. Nothing here waits for a worker, but for a model that is loaded on
 * request. Daemon process, loop thread.
 */
#include "services/kserve_metadata.h"

#include <errno.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/health.h"
#include "services/kserve_demand.h"
#include "services/kserve_models.h"
#include "services/kserve_small.h"

typedef Inference__ModelMetadataResponse Metadata;
typedef Inference__ModelMetadataResponse__TensorMetadata Tensor;

/* --- Server ----------------------------------------------------------------------------------- */

/* Read a message without fields that matter. False: the call is finished. */
static bool check(
	struct call *c, const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	struct message_memory memory;
	bool valid;

	message_memory_init(&memory, MESSAGE_UNPACK_MAX(n));
	valid = message_read(c, &memory, type, data, n) != NULL;
	message_memory_deinit(&memory);
	return valid;
}

void kserve_server_live(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__ServerLiveResponse m = INFERENCE__SERVER_LIVE_RESPONSE__INIT;

	(void)state;
	if (!check(c, &inference__server_live_request__descriptor, data, n))
		return;
	m.live = true;
	message_answer(c, &m.base);
}

void kserve_server_ready(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__ServerReadyResponse m = INFERENCE__SERVER_READY_RESPONSE__INIT;
	const struct services *x = call_context(c);

	(void)state;
	if (!check(c, &inference__server_ready_request__descriptor, data, n))
		return;
	m.ready = health_status(x->health, "") == HEALTH_SERVING;
	message_answer(c, &m.base);
}

/* What of Triton's extensions there is. */
static const char *const extensions[] = {
	"classification",
	"sequence",
	"model_repository",
	"model_repository(unload_dependents)",
	"model_configuration",
	"system_shared_memory",
	"binary_tensor_data",
	"parameters",
	"statistics",
};

void kserve_server_metadata(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__ServerMetadataResponse m = INFERENCE__SERVER_METADATA_RESPONSE__INIT;

	(void)state;
	if (!check(c, &inference__server_metadata_request__descriptor, data, n))
		return;
	m.name = (char *)"modeld";
	m.version = (char *)MODELD_VERSION;
	m.extensions = (char **)extensions;
	m.n_extensions = sizeof(extensions) / sizeof(extensions[0]);
	message_answer(c, &m.base);
}

/* --- Models ----------------------------------------------------------------------------------- */

void kserve_model_ready(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Inference__ModelReadyResponse m = INFERENCE__MODEL_READY_RESPONSE__INIT;
	const struct services *x = call_context(c);
	const Inference__ModelReadyRequest *q;
	struct infer_failure failure = {0};
	struct message_memory memory;
	bool ready = false;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__model_ready_request__descriptor, data, n);
	if (q && kserve_is_ready(x->dispatch, q->name, q->version, &ready, &failure)) {
		kserve_small_fail(c, &failure);
	} else if (q) {
		m.ready = ready;
		message_answer(c, &m.base);
	}
	message_memory_deinit(&memory);
}

static int64_t any_dims[] = {-1};

static void fill_tensor(Tensor *m, const struct wire_declaration *d)
{
	inference__model_metadata_response__tensor_metadata__init(m);
	m->name = (char *)d->name;
	m->datatype = (char *)dtype_kserve_name(d->dtype);
	m->n_shape = d->any_shape ? 1 : d->rank;
	m->shape = d->any_shape ? any_dims : (int64_t *)d->dims;
}

/* hides: those that clients neither give nor get. */
static int fill_tensors(struct message_memory *memory, const struct version *v,
	bool (*hides)(const struct version *v, uint32_t index), const struct wire_declaration *list,
	size_t n, size_t *ret_n, Tensor ***ret_tensors)
{
	Tensor **tensors = kserve_small_array(memory, n, sizeof(Tensor));

	if (!tensors)
		return -ENOMEM;
	*ret_n = 0;
	for (size_t k = 0; k < n; k++) {
		if (!hides(v, (uint32_t)k))
			fill_tensor(tensors[(*ret_n)++], &list[k]);
	}
	*ret_tensors = tensors;
	return 0;
}

/* The one that was asked for, or all that are served. */
static int fill_versions(struct message_memory *memory, Metadata *m, struct dispatch *d,
	const struct version *v, bool one)
{
	const char *name = version_settings(v)->name;
	size_t n = dispatch_n_versions(d);

	m->versions = message_memory_calloc(memory, one ? 1 : n, sizeof(m->versions[0]));
	if (!m->versions)
		return -ENOMEM;
	if (one)
		m->versions[m->n_versions++] = (char *)version_settings(v)->version;
	/* Dispatch has the highest first, Triton the lowest. */
	for (size_t k = n; k-- > 0 && !one;) {
		const struct version *other = dispatch_version(d, k);

		if (!version_replaces(other) && version_declared(other) &&
			!strcmp(version_settings(other)->name, name))
			m->versions[m->n_versions++] = (char *)version_settings(other)->version;
	}
	return 0;
}

static void pack_metadata(
	struct call *c, struct message_memory *memory, const struct version *v, bool one)
{
	const struct services *x = call_context(c);
	const struct wire_loaded *declared = version_declared(v);
	Metadata m = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
	int r = fill_versions(memory, &m, x->dispatch, v, one);

	if (!r)
		r = fill_tensors(memory, v, version_hides_input, declared->inputs,
			declared->n_inputs, &m.n_inputs, &m.inputs);
	if (!r)
		r = fill_tensors(memory, v, version_hides_output, declared->outputs,
			declared->n_outputs, &m.n_outputs, &m.outputs);
	if (r) {
		message_no_memory(c);
		return;
	}
	m.name = (char *)version_settings(v)->name;
	m.platform = (char *)kserve_platform(v);
	message_answer(c, &m.base);
}

static void answer_metadata(struct call *c, const struct version *v, bool one)
{
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	pack_metadata(c, &memory, v, one);
	message_memory_deinit(&memory);
}

void kserve_model_metadata(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__ModelMetadataRequest *q;
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__model_metadata_request__descriptor, data, n);
	if (q)
		kserve_demand_version(c, state, q->name, q->version, answer_metadata);
	message_memory_deinit(&memory);
}

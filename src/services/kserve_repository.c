/*
 * kserve_repository.c: what the repository has, and the calls that load and unload. Those are refused as
 * Triton refuses them where it is not started with explicit control. Daemon process, loop thread.
 */
#include "services/kserve_repository.h"

#include <string.h>

#include "dispatch/dispatch.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_small.h"

typedef Inference__RepositoryIndexResponse__ModelIndex Index;

static const char *state_name(const struct version *v)
{
	if (version_ready(v))
		return "READY";
	return version_hopeful(v) && !version_declared(v) ? "LOADING" : "UNAVAILABLE";
}

static void fill(Index *m, const struct version *v)
{
	inference__repository_index_response__model_index__init(m);
	m->name = (char *)version_settings(v)->name;
	m->version = (char *)version_settings(v)->version;
	m->state = (char *)state_name(v);
	m->reason = (char *)(version_ready(v) ? "" : version_detail(v));
}

static void answer_index(struct call *c, struct message_memory *memory, bool ready)
{
	const struct services *x = call_context(c);
	Inference__RepositoryIndexResponse m = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
	size_t n = dispatch_n_versions(x->dispatch);

	m.models = kserve_small_array(memory, n, sizeof(Index));
	if (!m.models) {
		message_no_memory(c);
		return;
	}
	for (size_t k = 0; k < n; k++) {
		const struct version *v = dispatch_version(x->dispatch, k);

		if (!version_replaces(v) && (version_ready(v) || !ready))
			fill(m.models[m.n_models++], v);
	}
	message_answer(c, &m.base);
}

static void refuse_name(struct call *c)
{
	call_finish(c, GRPC_UNIMPLEMENTED, "'repository_name' specification is not supported");
}

void kserve_repository_index(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__RepositoryIndexRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = kserve_small_read(
		c, &memory, &inference__repository_index_request__descriptor, data, n);
	if (q && q->repository_name[0] != '\0')
		refuse_name(c);
	else if (q)
		answer_index(c, &memory, q->ready);
	message_memory_deinit(&memory);
}

static void refuse_control(struct call *c, const char *repository_name)
{
	if (repository_name[0] != '\0')
		refuse_name(c);
	else
		call_finish(c, GRPC_UNAVAILABLE,
			"explicit model load / unload is not allowed if polling is enabled");
}

void kserve_repository_model_load(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__RepositoryModelLoadRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = kserve_small_read(
		c, &memory, &inference__repository_model_load_request__descriptor, data, n);
	if (q)
		refuse_control(c, q->repository_name);
	message_memory_deinit(&memory);
}

void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__RepositoryModelUnloadRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = kserve_small_read(
		c, &memory, &inference__repository_model_unload_request__descriptor, data, n);
	if (q)
		refuse_control(c, q->repository_name);
	message_memory_deinit(&memory);
}

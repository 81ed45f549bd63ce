/*
 * kserve_cuda.c: memory on GPUs, by its handle: what Triton's calls for it mean here (key_region.h). A handle is opened by a
 * worker of that GPU and nobody else, so who registers one waits for what that says. Daemon process, loop thread.
 */
#include "services/kserve_cuda.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "dispatch/dispatch.h"
#include "pool/pool.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_region.h"
#include "services/kserve_small.h"

typedef Inference__CudaSharedMemoryStatusResponse StatusResponse;
typedef Inference__CudaSharedMemoryStatusResponse__RegionsEntry StatusEntry;
typedef Inference__CudaSharedMemoryStatusResponse__RegionStatus RegionStatus;

/* --- Which GPU -------------------------------------------------------------------------------- */

/* What its workers call the GPU; NULL: none is on it. */
static const char *find_device(const struct dispatch *d, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	return number < 0 ? NULL : pool_find_gpu(dispatch_pool(d), text);
}

/* --- Registering ------------------------------------------------------------------------------ */

static void on_opened(void *data, int e, const char *why)
{
	static const Inference__CudaSharedMemoryRegisterResponse done =
		INFERENCE__CUDA_SHARED_MEMORY_REGISTER_RESPONSE__INIT;
	struct kserve_cuda_wait *w = data;
	struct key_regions *keys = kserve_region_keys(w->call);
	struct key_region *r = steal_ptr(w->region);

	/* With its end the call's state may be gone. */
	if (!e) {
		message_answer(w->call, &done.base);
		return;
	}
	call_finishf(w->call, e == -ENODEV ? GRPC_UNAVAILABLE : GRPC_INVALID_ARGUMENT,
		"failed to register shared memory region '%s': %s (%.512s)", r->name,
		e == -ENODEV ? "unavailable" : "invalid args", why);
	key_regions_forget(keys, r);
}

/* on_opened() follows, or INFER_E_FAILED. */
static int begin(struct call *c, struct kserve_cuda_wait *w,
	const Inference__CudaSharedMemoryRegisterRequest *q, struct infer_failure *failure)
{
	struct services *x = call_context(c);
	const struct key_device d = {
		.desk = dispatch_regions(x->dispatch),
		.device = find_device(x->dispatch, q->device_id),
		.number = q->device_id,
		.handle = q->raw_handle.data,
		.n_handle = q->raw_handle.len,
		.size = q->byte_size,
		.on_opened = on_opened,
		.data = w,
	};

	w->call = c;
	return key_regions_register_device(
		&x->keys, call_peer(c), q->name, &d, &w->region, failure);
}

void kserve_cuda_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__CudaSharedMemoryRegisterRequest *q;
	struct kserve_cuda_wait *w = state;
	struct infer_failure failure = {0};
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__cuda_shared_memory_register_request__descriptor, data, n);
	if (q && begin(c, w, q, &failure))
		kserve_small_fail(c, &failure);
	message_memory_deinit(&memory);
}

void kserve_cuda_register_close(struct call *c, void *state)
{
	struct kserve_cuda_wait *w = state;

	if (w->region)
		key_regions_forget(kserve_region_keys(c), steal_ptr(w->region));
}

void kserve_cuda_unregister(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const Inference__CudaSharedMemoryUnregisterResponse done =
		INFERENCE__CUDA_SHARED_MEMORY_UNREGISTER_RESPONSE__INIT;
	const Inference__CudaSharedMemoryUnregisterRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__cuda_shared_memory_unregister_request__descriptor, data, n);
	if (q) {
		key_regions_unregister(kserve_region_keys(c), call_peer(c), q->name, KEY_CUDA);
		message_answer(c, &done.base);
	}
	message_memory_deinit(&memory);
}

/* --- Status ----------------------------------------------------------------------------------- */

static void fill_status(void *entry, void *value, const struct key_region *r)
{
	StatusEntry *e = entry;
	RegionStatus *status = value;

	inference__cuda_shared_memory_status_response__regions_entry__init(e);
	inference__cuda_shared_memory_status_response__region_status__init(status);
	status->name = e->key = (char *)r->name;
	status->device_id = r->start;
	status->byte_size = r->size;
	e->value = status;
}

static void answer_status(struct call *c, void **entries, size_t n)
{
	StatusResponse m = INFERENCE__CUDA_SHARED_MEMORY_STATUS_RESPONSE__INIT;

	m.regions = (StatusEntry **)entries;
	m.n_regions = n;
	message_answer(c, &m.base);
}

static const struct kserve_region_kind kind = {
	.kind = KEY_CUDA,
	.word = "CUDA",
	.word_unfound = "cuda",
	.word_other = "system",
	.entry_bytes = sizeof(StatusEntry),
	.value_bytes = sizeof(RegionStatus),
	.fill = fill_status,
	.answer = answer_status,
};

void kserve_cuda_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__CudaSharedMemoryStatusRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__cuda_shared_memory_status_request__descriptor, data, n);
	if (q)
		kserve_region_status(c, &memory, q->name, &kind);
	message_memory_deinit(&memory);
}

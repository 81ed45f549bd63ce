/*
 * kserve_cuda.c: memory on GPUs, by its handle: what Triton's calls for it mean here (key_region.h). A handle is opened by a
 * worker of that GPU and nobody else, so who registers one waits for what that says. Daemon process, loop thread.
 */
#include "services/kserve_cuda.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "pool/pool.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/key_region.h"
#include "services/kserve_small.h"

#define NAME_SHOWN 255

typedef Inference__CudaSharedMemoryStatusResponse StatusResponse;
typedef Inference__CudaSharedMemoryStatusResponse__RegionsEntry StatusEntry;
typedef Inference__CudaSharedMemoryStatusResponse__RegionStatus RegionStatus;

static struct key_regions *keys_of(struct call *c)
{
	return &((struct services *)call_context(c))->keys;
}

/* Read a message. False: the call is finished. */
static bool read_message(struct call *c, struct message_memory *memory,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n, const void **ret)
{
	message_memory_init(memory, KSERVE_SMALL_MEMORY);
	*ret = message_read(c, memory, type, data, n);
	if (!*ret)
		message_memory_deinit(memory);
	return *ret != NULL;
}

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
	struct key_regions *keys = keys_of(w->call);
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

void kserve_cuda_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct services *x = call_context(c);
	const Inference__CudaSharedMemoryRegisterRequest *q;
	struct kserve_cuda_wait *w = state;
	struct infer_failure failure = {0};
	struct message_memory memory;
	struct key_device d;

	if (!read_message(c, &memory, &inference__cuda_shared_memory_register_request__descriptor,
		    data, n, (const void **)&q))
		return;
	d = (struct key_device){
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
	if (key_regions_register_device(&x->keys, call_peer(c), q->name, &d, &w->region, &failure))
		kserve_small_fail(c, &failure);
	message_memory_deinit(&memory);
}

void kserve_cuda_register_close(struct call *c, void *state)
{
	struct kserve_cuda_wait *w = state;

	if (w->region)
		key_regions_forget(keys_of(c), steal_ptr(w->region));
}

void kserve_cuda_unregister(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const Inference__CudaSharedMemoryUnregisterResponse done =
		INFERENCE__CUDA_SHARED_MEMORY_UNREGISTER_RESPONSE__INIT;
	const Inference__CudaSharedMemoryUnregisterRequest *q;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__cuda_shared_memory_unregister_request__descriptor,
		    data, n, (const void **)&q))
		return;
	key_regions_unregister(keys_of(c), call_peer(c), q->name, KEY_CUDA);
	message_answer(c, &done.base);
	message_memory_deinit(&memory);
}

/* --- Status ----------------------------------------------------------------------------------- */

static bool is_wanted(const struct key_region *r, const struct call *c, const char *name)
{
	return key_region_kind(r) == KEY_CUDA && !r->on_opened &&
	       key_region_is_of(r, call_peer(c)) && (!*name || !strcmp(name, r->name));
}

static void fill_status(StatusEntry *e, RegionStatus *status, const struct key_region *r)
{
	inference__cuda_shared_memory_status_response__regions_entry__init(e);
	inference__cuda_shared_memory_status_response__region_status__init(status);
	status->name = e->key = (char *)r->name;
	status->device_id = r->start;
	status->byte_size = r->size;
	e->value = status;
}

static void answer_status(struct call *c, struct message_memory *memory, const char *name)
{
	const struct key_regions *keys = keys_of(c);
	StatusResponse m = INFERENCE__CUDA_SHARED_MEMORY_STATUS_RESPONSE__INIT;
	RegionStatus *values = message_memory_calloc(memory, keys->n + 1, sizeof(*values));

	call_work(c, keys->n / 16);
	m.regions = kserve_small_array(memory, keys->n + 1, sizeof(StatusEntry));
	if (!m.regions || !values) {
		message_no_memory(c);
		return;
	}
	list_for_each (&keys->all, node) {
		const struct key_region *r = list_entry(node, struct key_region, node);

		if (!is_wanted(r, c, name))
			continue;
		fill_status(m.regions[m.n_regions], &values[m.n_regions], r);
		m.n_regions++;
	}
	message_answer(c, &m.base);
}

void kserve_cuda_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__CudaSharedMemoryStatusRequest *q;
	const struct key_region *r;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__cuda_shared_memory_status_request__descriptor,
		    data, n, (const void **)&q))
		return;
	r = key_regions_find(keys_of(c), call_peer(c), q->name, strlen(q->name));
	if (r && key_region_kind(r) != KEY_CUDA)
		call_finishf(c, GRPC_NOT_FOUND,
			"The region named '%.*s' is registered as system shared memory, not CUDA "
			"shared memory",
			NAME_SHOWN, q->name);
	else if (!r && *q->name)
		call_finishf(c, GRPC_NOT_FOUND, "Unable to find cuda shared memory region: '%.*s'",
			NAME_SHOWN, q->name);
	else
		answer_status(c, &memory, q->name);
	message_memory_deinit(&memory);
}

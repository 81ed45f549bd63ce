/*
 * kserve_shm.c: shared memory by key: who registers what (key_region.h). (Memory that a client hands over needs no registering here: its
 * token is a region's name.) Daemon process, loop thread.
 */
#include "services/kserve_shm.h"

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_region.h"
#include "services/kserve_small.h"

typedef Inference__SystemSharedMemoryStatusResponse StatusResponse;
typedef Inference__SystemSharedMemoryStatusResponse__RegionsEntry StatusEntry;
typedef Inference__SystemSharedMemoryStatusResponse__RegionStatus RegionStatus;

void kserve_system_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const Inference__SystemSharedMemoryRegisterResponse done =
		INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_RESPONSE__INIT;
	const Inference__SystemSharedMemoryRegisterRequest *q;
	struct infer_failure failure = {0};
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__system_shared_memory_register_request__descriptor, data, n);
	if (q && key_regions_register(kserve_region_keys(c), call_peer(c), q->name, q->key,
			 q->offset, q->byte_size, &failure))
		kserve_small_fail(c, &failure);
	else if (q)
		message_answer(c, &done.base);
	message_memory_deinit(&memory);
}

void kserve_system_unregister(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const Inference__SystemSharedMemoryUnregisterResponse done =
		INFERENCE__SYSTEM_SHARED_MEMORY_UNREGISTER_RESPONSE__INIT;
	const Inference__SystemSharedMemoryUnregisterRequest *q;
	struct infer_failure failure = {0};
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory,
		&inference__system_shared_memory_unregister_request__descriptor, data, n);
	if (q && key_regions_admit(kserve_region_keys(c), call_peer(c), &failure)) {
		kserve_small_fail(c, &failure);
	} else if (q) {
		key_regions_unregister(kserve_region_keys(c), call_peer(c), q->name, KEY_SYSTEM);
		message_answer(c, &done.base);
	}
	message_memory_deinit(&memory);
}

static void fill_status(void *entry, void *value, const struct key_region *r)
{
	StatusEntry *e = entry;
	RegionStatus *status = value;

	inference__system_shared_memory_status_response__regions_entry__init(e);
	inference__system_shared_memory_status_response__region_status__init(status);
	status->name = e->key = (char *)r->name;
	status->key = (char *)r->key;
	status->offset = r->start;
	status->byte_size = r->size;
	e->value = status;
}

static void answer_status(struct call *c, void **entries, size_t n)
{
	StatusResponse m = INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__INIT;

	m.regions = (StatusEntry **)entries;
	m.n_regions = n;
	message_answer(c, &m.base);
}

static const struct kserve_region_kind kind = {
	.kind = KEY_SYSTEM,
	.word = "system",
	.word_unfound = "system",
	.word_other = "CUDA",
	.entry_bytes = sizeof(StatusEntry),
	.value_bytes = sizeof(RegionStatus),
	.fill = fill_status,
	.answer = answer_status,
};

void kserve_system_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__SystemSharedMemoryStatusRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__system_shared_memory_status_request__descriptor, data, n);
	if (q)
		kserve_region_status(c, &memory, q->name, &kind);
	message_memory_deinit(&memory);
}

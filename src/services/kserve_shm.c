/*
 * kserve_shm.c: shared memory by key: who registers what (key_region.h). (Memory that a client hands over needs no registering here: its token is a region's name.) Daemon
 * process, loop thread.
 */
#include "services/kserve_shm.h"

#include <string.h>

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/key_region.h"
#include "services/kserve_small.h"

#define NAME_SHOWN 255

typedef Inference__SystemSharedMemoryStatusResponse StatusResponse;
typedef Inference__SystemSharedMemoryStatusResponse__RegionsEntry StatusEntry;
typedef Inference__SystemSharedMemoryStatusResponse__RegionStatus RegionStatus;

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

void kserve_system_register(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const Inference__SystemSharedMemoryRegisterResponse done =
		INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_RESPONSE__INIT;
	const Inference__SystemSharedMemoryRegisterRequest *q;
	struct infer_failure failure = {0};
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__system_shared_memory_register_request__descriptor,
		    data, n, (const void **)&q))
		return;
	if (key_regions_register(
		    keys_of(c), call_peer(c), q->name, q->key, q->offset, q->byte_size, &failure))
		kserve_small_fail(c, &failure);
	else
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
	if (!read_message(c, &memory,
		    &inference__system_shared_memory_unregister_request__descriptor, data, n,
		    (const void **)&q))
		return;
	if (key_regions_admit(keys_of(c), call_peer(c), &failure)) {
		kserve_small_fail(c, &failure);
	} else {
		key_regions_unregister(keys_of(c), call_peer(c), q->name, KEY_SYSTEM);
		message_answer(c, &done.base);
	}
	message_memory_deinit(&memory);
}

static bool is_wanted(const struct key_region *r, const struct call *c, const char *name)
{
	return key_region_kind(r) == KEY_SYSTEM && key_region_is_of(r, call_peer(c)) &&
	       (!*name || !strcmp(name, r->name));
}

static void fill_status(StatusEntry *e, RegionStatus *status, const struct key_region *r)
{
	inference__system_shared_memory_status_response__regions_entry__init(e);
	inference__system_shared_memory_status_response__region_status__init(status);
	status->name = e->key = (char *)r->name;
	status->key = (char *)r->key;
	status->offset = r->start;
	status->byte_size = r->size;
	e->value = status;
}

static void answer_status(struct call *c, struct message_memory *memory, const char *name)
{
	const struct key_regions *keys = keys_of(c);
	StatusResponse m = INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__INIT;
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

void kserve_system_status(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__SystemSharedMemoryStatusRequest *q;
	const struct key_region *r;
	struct message_memory memory;

	(void)state;
	if (!read_message(c, &memory, &inference__system_shared_memory_status_request__descriptor,
		    data, n, (const void **)&q))
		return;
	r = key_regions_find(keys_of(c), call_peer(c), q->name, strlen(q->name));
	if (r && key_region_kind(r) != KEY_SYSTEM)
		call_finishf(c, GRPC_NOT_FOUND,
			"The region named '%.*s' is registered as CUDA shared memory, not system "
			"shared memory",
			NAME_SHOWN, q->name);
	else if (!r && *q->name)
		call_finishf(c, GRPC_NOT_FOUND,
			"Unable to find system shared memory region: '%.*s'", NAME_SHOWN, q->name);
	else
		answer_status(c, &memory, q->name);
	message_memory_deinit(&memory);
}

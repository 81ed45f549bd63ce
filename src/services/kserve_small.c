/* kserve_small.c: what the small calls share. Daemon process, loop thread. */
#include "services/kserve_small.h"

#include "services/infer_reply.h"

void kserve_small_fail(struct call *c, struct infer_failure *f)
{
	infer_reply_failure(c, f);
}

void *kserve_small_array(struct message_memory *memory, size_t n, size_t size)
{
	void **list = message_memory_calloc(memory, n, sizeof(*list));
	uint8_t *elements = message_memory_calloc(memory, n, size);

	if (!list || !elements)
		return NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = elements + i * size;
	return list;
}

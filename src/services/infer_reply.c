/*
 * infer_reply.c: one answer of an inference, until it is sent.
 *
 * Invariant: a part with a release holds a reference to an output lease. Daemon process, loop thread.
 */
#include "services/infer_reply.h"

#include <assert.h>

#include "grpc/message.h"
#include "pool/worker.h"

void infer_reply_init(struct infer_reply *p, size_t max_bytes)
{
	message_memory_init(&p->memory, max_bytes);
	p->parts = NULL;
	p->n_parts = 0;
}

void infer_reply_deinit(struct infer_reply *p)
{
	for (size_t i = 0; i < p->n_parts; i++) {
		if (p->parts[i].release)
			p->parts[i].release(p->parts[i].owner);
	}
	p->n_parts = 0;
	message_memory_deinit(&p->memory);
}

int infer_reply_reserve(struct infer_reply *p, size_t n, struct infer_failure *failure)
{
	assert(p->n_parts == 0);
	p->parts = message_memory_alloc(&p->memory, n * sizeof(p->parts[0]));
	return p->parts ? 0 : infer_fail_memory(failure);
}

uint8_t *infer_reply_alloc(struct infer_reply *p, size_t n, struct infer_failure *failure)
{
	uint8_t *at = message_memory_alloc(&p->memory, n);

	if (!at)
		infer_fail_memory(failure);
	return at;
}

void infer_reply_add(struct infer_reply *p, const void *data, size_t n)
{
	p->parts[p->n_parts++] = (struct part){.data = data, .n = n};
}

static void on_release(void *owner)
{
	output_lease_unref(owner);
}

void infer_reply_add_tensor(
	struct infer_reply *p, const void *data, size_t n, struct output_lease *lease)
{
	p->parts[p->n_parts++] = (struct part){
		.data = data,
		.n = n,
		.release = on_release,
		.owner = output_lease_ref(lease),
		.bulk = true,
	};
}

int infer_reply_send(struct infer_reply *p, struct call *c)
{
	size_t n = p->n_parts;
	int r;

	p->n_parts = 0;
	r = n > 0 ? call_send(c, p->parts, n) : 0;
	message_memory_deinit(&p->memory);
	return r;
}

void infer_reply_failure(struct call *c, struct infer_failure *f)
{
	struct infer_failure taken = {0};

	infer_failure_move(&taken, f);
	if (taken.text)
		call_finish(c, taken.status, taken.text);
	else
		message_no_memory(c);
	infer_failure_deinit(&taken);
}

/* work.c: the scheduler's side of a version. Daemon process, loop thread. */
#include "dispatch/work.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "dispatch/client_private.h"
#include "dispatch/ordering.h"
#include "dispatch/output_share.h"
#include "dispatch/request_private.h"
#include "dispatch/sequence.h"
#include "dispatch/version_private.h"
#include "proto/grpc_status.h"

/* The mean of a batch's time moves by 1/MEAN_WEIGHT of the difference. */
#define MEAN_WEIGHT 8

int work_new(struct work **ret_work, struct version *v)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	assert(!v->work);
	if (queue_init(&w->queue, v->settings.max_queue_size, v->settings.queue)) {
		free(w);
		return -ENOMEM;
	}
	if (v->settings.sequence) {
		w->sequences = sequences_new(v);
		if (!w->sequences) {
			queue_deinit(&w->queue);
			free(w);
			return -ENOMEM;
		}
	}
	w->version = v;
	list_init(&w->node);
	list_init(&w->ordered);
	v->work = w;
	*ret_work = w;
	return 0;
}

struct work *work_free(struct work *w)
{
	if (!w)
		return NULL;
	assert(w->in_flight == 0 && !w->reservation);
	assert(list_empty(&w->node) && list_empty(&w->ordered));
	queue_deinit(&w->queue);
	sequences_free(w->sequences);
	w->version->work = NULL;
	free(w);
	return NULL;
}

uint64_t work_expectation(const struct work *w, uint64_t unknown_ns)
{
	return w->batches_timed > 0 ? w->compute_ns : unknown_ns;
}

void work_note_time(struct work *w, uint64_t compute_ns)
{
	int64_t off = (int64_t)(compute_ns - w->compute_ns);

	w->compute_ns =
		w->batches_timed++ > 0 ? w->compute_ns + (uint64_t)(off / MEAN_WEIGHT) : compute_ns;
}

static uint64_t input_bytes(const struct request *r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < r->n_inputs; i++)
		n += r->inputs[i].length;
	return n;
}

static uint64_t expected_output(struct work *w, const struct request *r)
{
	if (r->n_targets > 0)
		return 0;
	output_estimate_declare(
		&w->outputs, version_declared(w->version), version_max_batch_size(w->version) > 0);
	return output_estimate_bytes(&w->outputs, r->rows, input_bytes(r));
}

void work_note_output(struct work *w, const struct request *r, const struct request_answer *a)
{
	uint64_t n = 0;

	if (a->status != GRPC_OK || a->n_outputs == 0 || r->n_targets > 0)
		return;
	for (size_t i = 0; i < a->n_outputs; i++)
		n += a->outputs[i].length;
	output_estimate_note(&w->outputs, input_bytes(r), n);
}

bool work_has_room(struct work *w, const struct request *r)
{
	/* It was sent once, and others wait for it. */
	if (!list_empty(&r->order_node))
		return true;
	return output_share_admits(
		r->client, version_workers_ready(w->version), expected_output(w, r));
}

struct request *work_suspect(struct work *w)
{
	list_for_each (&w->queue.suspects, node) {
		struct request *r = list_entry(node, struct request, node);

		if (work_has_room(w, r))
			return r;
	}
	return NULL;
}

void work_set_sent(struct work *w, struct request *r)
{
	uint64_t bytes = expected_output(w, r);

	request_set_state(r, REQUEST_SENT);
	ordering_enter(w, r);
	r->expected_bytes = bytes;
	output_share_expect(r->client, bytes);
}

void work_requeue(struct work *w, struct list *taken, uint64_t now_ns)
{
	struct list out;

	list_init(&out);
	while (!list_empty(taken)) {
		struct request *r = list_entry(taken->prev, struct request, node);

		list_remove(&r->node);
		if (queue_push_front(&w->queue, r))
			list_push_front(&out, &r->node);
	}
	list_for_each (&out, node) {
		list_remove(node);
		request_fail(list_entry(node, struct request, node), now_ns,
			GRPC_RESOURCE_EXHAUSTED, "out of memory");
	}
}

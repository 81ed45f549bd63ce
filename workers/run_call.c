/*
 * run_call.c: calls a backend and waits until its run is over, with copies to its device and back where
 * there is one. Worker process, the thread of the run; run_complete() is for a backend's own threads, too.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "workers/run.h"

void run_complete(const struct modeld_batch *batch, enum modeld_code code, const char *text)
{
	struct completion *c = &container_of(batch, struct run, batch)->completion;

	pthread_mutex_lock(&c->lock);
	c->code = code;
	snprintf(c->error.text, sizeof(c->error.text), "%s", text ? text : "");
	c->done = true;
	pthread_cond_signal(&c->arrived);
	pthread_mutex_unlock(&c->lock);
}

static enum modeld_code wait_for(struct completion *c, struct modeld_error *error)
{
	enum modeld_code code;

	pthread_mutex_lock(&c->lock);
	while (!c->done)
		pthread_cond_wait(&c->arrived, &c->lock);
	code = c->code;
	memcpy(error->text, c->error.text, sizeof(error->text));
	pthread_mutex_unlock(&c->lock);
	return code;
}

static enum modeld_code call_backend(struct run *r, struct modeld_error *error)
{
	enum modeld_code code;

	r->completion.done = false;
	code = r->model->backend->run(r->lane->instance, &r->batch, error);
	return code == MODELD_PENDING ? wait_for(&r->completion, error) : code;
}

/* Copy what the backend left on the device, and wait for it. */
static enum modeld_code fetch_outputs(struct run *r, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; code == MODELD_OK && i < r->model->info.n_outputs; i++) {
		const struct run_output *o = &r->given[i];

		if (r->wanted[i] && o->device && o->at_target && o->target_on_device)
			code = offload_within(&r->offload, o->data, o->device, o->bytes, error);
		else if (r->wanted[i] && o->device)
			code = offload_out(&r->offload, o->data, o->device, o->bytes, error);
	}
	return code == MODELD_OK ? offload_finish(&r->offload, error) : code;
}

static enum modeld_code call_on_device(struct run *r, struct modeld_error *error)
{
	const struct offload_inputs in = {
		.declared = r->model->info.inputs,
		.tensors = r->inputs,
		.n = r->model->info.n_inputs,
		.items = r->items,
		.n_items = r->n_items,
	};
	enum modeld_code code = offload_begin(&r->offload, &in, error);

	r->batch.stream = transfer_stream(r->offload.transfer);
	if (code == MODELD_OK)
		code = call_backend(r, error);
	if (code == MODELD_OK && r->failed_code == MODELD_OK)
		code = fetch_outputs(r, error);
	return offload_end(&r->offload, code, error);
}

enum modeld_code run_call(struct run *r, struct modeld_error *error)
{
	uint64_t start_ns = clock_ns();
	enum modeld_code code;

	error->size = sizeof(*error);
	error->text[0] = 0;
	r->waited_ns = 0;
	r->offload.transfer = r->lane->transfer;
	r->batch.stream = NULL;
	code = r->offload.transfer ? call_on_device(r, error) : call_backend(r, error);
	r->compute_ns = clock_ns() - start_ns - r->waited_ns;
	return code;
}

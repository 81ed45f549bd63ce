/*
 * offload.c: between what the executor knows (tensors, items) and what a device does (transfer.h).
 *
 * A run waits for its device as long as the daemon lets it: whoever overruns run_timeout_ms is killed
 * with its process, which is all that helps against a kernel that hangs.
 */
#include "workers/offload.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

/* A process whose runs find no memory so often in a row has lost it, or others have it. */
#define EXHAUSTED_MAX 16u

bool offload_wants(const struct modeld_declaration *d)
{
	return d->memory & MODELD_MEMORY_BIT(MODELD_MEMORY_DEVICE);
}

void offload_deinit(struct offload *o)
{
	free(o->tensors);
	free(o->inputs);
	free(o->parts);
}

/* --- Results ------------------------------------------------------------------------------ */

static enum modeld_code exhausted(struct offload *o, const char *text, struct modeld_error *error)
{
	if (transfer_note_memory(o->transfer, false) < EXHAUSTED_MAX) {
		snprintf(error->text, sizeof(error->text), "the device is out of memory: %s", text);
		return MODELD_EXHAUSTED;
	}
	snprintf(error->text, sizeof(error->text),
		"the device was out of memory for %u runs in a row: %s", EXHAUSTED_MAX, text);
	return MODELD_FATAL;
}

static enum modeld_code translate(struct offload *o, int r, struct modeld_error *error)
{
	char text[DEVICE_TEXT_MAX / 2];

	if (r == 0)
		return MODELD_OK;
	transfer_explain(o->transfer, r, text, sizeof(text));
	if (device_class(r) == DEVICE_E_MEMORY)
		return exhausted(o, text, error);
	if (r == -ENOMEM) {
		snprintf(error->text, sizeof(error->text), "the worker is out of memory");
		return MODELD_EXHAUSTED;
	}
	snprintf(error->text, sizeof(error->text), "the device failed: %s", text);
	return device_fatal(r) ? MODELD_FATAL : MODELD_INTERNAL;
}

/* --- Inputs ------------------------------------------------------------------------------- */

static int reserve_inputs(struct offload *o, size_t n)
{
	if (n <= o->inputs_cap)
		return 0;
	free(o->tensors);
	free(o->inputs);
	o->inputs_cap = 0;
	o->tensors = calloc(n, sizeof(*o->tensors));
	o->inputs = calloc(n, sizeof(*o->inputs));
	if (!o->tensors || !o->inputs)
		return -ENOMEM;
	o->inputs_cap = n;
	return 0;
}

static int reserve_parts(struct offload *o, size_t n)
{
	if (n <= o->parts_cap)
		return 0;
	free(o->parts);
	o->parts_cap = 0;
	o->parts = calloc(n, sizeof(*o->parts));
	if (!o->parts)
		return -ENOMEM;
	o->parts_cap = n;
	return 0;
}

/* Input k as the device's input j. Returns how many parts it has. */
static size_t list_parts(struct offload *o, const struct offload_inputs *in, size_t k, size_t j,
	struct transfer_part *parts)
{
	o->inputs[j] = (struct transfer_input){.bytes = in->tensors[k]->bytes};
	for (size_t i = 0; i < in->n_items; i++) {
		const struct modeld_tensor *t = &in->items[i * in->n + k];

		parts[i] = (struct transfer_part){
			.input = j,
			.data = t->data,
			.bytes = t->bytes,
			.on_device = t->memory == MODELD_MEMORY_DEVICE,
			.pinned = pinned_has(o->pinned, t->data, t->bytes),
		};
	}
	return in->n_items;
}

/* A client cannot change what lies on the device. */
static void replace(struct offload *o, const struct offload_inputs *in, size_t k, size_t j)
{
	struct modeld_tensor *t = &o->tensors[j];

	*t = *in->tensors[k];
	t->data = o->inputs[j].data;
	t->memory = MODELD_MEMORY_DEVICE;
	t->device = 0;
	t->shared = 0;
	in->tensors[k] = t;
}

static int copy_inputs(struct offload *o, const struct offload_inputs *in)
{
	size_t n = 0, n_parts = 0;
	int r = reserve_inputs(o, in->n);

	if (!r)
		r = reserve_parts(o, in->n * in->n_items);
	for (size_t k = 0; !r && k < in->n; k++) {
		if (offload_wants(&in->declared[k]))
			n_parts += list_parts(o, in, k, n++, &o->parts[n_parts]);
	}
	if (r || n == 0)
		return r;
	r = transfer_in(o->transfer, o->inputs, n, o->parts, n_parts);
	n = 0;
	for (size_t k = 0; !r && k < in->n; k++) {
		if (offload_wants(&in->declared[k]))
			replace(o, in, k, n++);
	}
	return r;
}

enum modeld_code offload_begin(
	struct offload *o, const struct offload_inputs *in, struct modeld_error *error)
{
	transfer_begin(o->transfer, CLOCK_NO_DEADLINE);
	return translate(o, copy_inputs(o, in), error);
}

/* --- Outputs ------------------------------------------------------------------------------ */

enum modeld_code offload_alloc(
	struct offload *o, uint64_t bytes, void **ret_data, struct modeld_error *error)
{
	return translate(o, transfer_alloc_clear(o->transfer, bytes, ret_data), error);
}

enum modeld_code offload_out(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error)
{
	bool pinned = pinned_has(o->pinned, to, bytes);

	return translate(o, transfer_out(o->transfer, to, from, bytes, pinned), error);
}

enum modeld_code offload_within(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error)
{
	return translate(o, transfer_within(o->transfer, to, from, bytes), error);
}

enum modeld_code offload_finish(struct offload *o, struct modeld_error *error)
{
	enum modeld_code code = translate(o, transfer_finish(o->transfer), error);

	if (code == MODELD_OK)
		(void)transfer_note_memory(o->transfer, true);
	return code;
}

enum modeld_code offload_end(struct offload *o, enum modeld_code code, struct modeld_error *error)
{
	struct modeld_error ours;
	int r;

	/* In a process that ends there is nothing to give back, and a wait could be for ever. */
	if (code == MODELD_FATAL)
		return code;
	r = transfer_end(o->transfer);
	if (r && translate(o, r, &ours) == MODELD_FATAL) {
		snprintf(error->text, sizeof(error->text), "%s", ours.text);
		return MODELD_FATAL;
	}
	return code;
}

/* --- One copy alone ----------------------------------------------------------------------- */

enum modeld_code offload_fetch(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error)
{
	enum modeld_code code;

	transfer_begin(o->transfer, CLOCK_NO_DEADLINE);
	code = offload_out(o, to, from, bytes, error);
	if (code == MODELD_OK)
		code = offload_finish(o, error);
	return offload_end(o, code, error);
}

enum modeld_code offload_put(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error)
{
	bool pinned = pinned_has(o->pinned, from, bytes);
	enum modeld_code code;

	transfer_begin(o->transfer, CLOCK_NO_DEADLINE);
	code = translate(o, transfer_put(o->transfer, to, from, bytes, pinned), error);
	if (code == MODELD_OK)
		code = offload_finish(o, error);
	return offload_end(o, code, error);
}

/*
 * wire_check.c: what is a legal message, whoever sends it. wire_pack() refuses to send anything else,
 * so that a daemon and a worker of the same version cannot lose trust in each other over it;
 * wire_unpack() refuses to believe anything else. No state; any process, any thread.
 */
#include <errno.h>
#include <string.h>

#include "proto/wire_private.h"

#define RESULT_CODE_MAX 16u /* the last gRPC status code */

static int check_count(size_t n, size_t max)
{
	return n > max ? -EMSGSIZE : 0;
}

static int check_text(const char *text, size_t max)
{
	return text && strnlen(text, max + 1) > max ? -EMSGSIZE : 0;
}

static int check_name(const char *name)
{
	return check_text(name, WIRE_NAME_MAX);
}

/* An index into a model's declared inputs or outputs. */
static int check_index(uint32_t index)
{
	return index >= WIRE_TENSORS_MAX ? -EMSGSIZE : 0;
}

static int check_region(uint64_t region)
{
	return region & WIRE_REGION_BIT ? 0 : -EINVAL;
}

static int check_dims(const int64_t *dims, uint32_t rank, int64_t least)
{
	if (rank > TENSOR_RANK_MAX)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < rank; i++)
		if (dims[i] < least)
			return -EINVAL;
	return 0;
}

static int check_pairs(const struct wire_pair *pairs, size_t n)
{
	int r = check_count(n, WIRE_PAIRS_MAX);

	for (size_t i = 0; i < n && r == 0; i++) {
		r = check_name(pairs[i].key);
		if (r == 0)
			r = check_text(pairs[i].value, WIRE_TEXT_MAX);
	}
	return r;
}

static int check_tensor(const struct wire_tensor *t)
{
	int r = check_index(t->index);

	if (r < 0)
		return r;
	if (t->dtype == DTYPE_INVALID || (uint32_t)t->dtype >= DTYPE_MAX_ || t->span.arena == 0)
		return -EINVAL;
	return check_dims(t->dims, t->rank, 0);
}

static int check_tensors(const struct wire_tensor *tensors, size_t n)
{
	int r = check_count(n, WIRE_TENSORS_MAX);

	for (size_t i = 0; i < n && r == 0; i++)
		r = check_tensor(&tensors[i]);
	return r;
}

static int check_outputs(const uint32_t *outputs, size_t n)
{
	int r = check_count(n, WIRE_TENSORS_MAX);

	for (size_t i = 0; i < n && r == 0; i++)
		r = check_index(outputs[i]);
	return r;
}

static int check_targets(const struct wire_target *targets, size_t n)
{
	uint64_t seen[WIRE_TENSORS_MAX / 64]; /* a bit an index */
	int r = check_count(n, WIRE_TENSORS_MAX);

	if (n > 0)
		memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < n && r == 0; i++) {
		r = check_index(targets[i].output);
		if (r == 0)
			r = check_region(targets[i].span.arena);
		if (r == 0 && seen[targets[i].output / 64] >> targets[i].output % 64 & 1)
			r = -EINVAL;
		if (r == 0)
			seen[targets[i].output / 64] |= UINT64_C(1) << targets[i].output % 64;
	}
	return r;
}

static int check_item(const struct wire_item *item)
{
	int r = check_tensors(item->inputs, item->n_inputs);

	if (r == 0)
		r = check_outputs(item->outputs, item->n_outputs);
	if (r == 0)
		r = check_pairs(item->parameters, item->n_parameters);
	if (r == 0)
		r = check_targets(item->targets, item->n_targets);
	return r;
}

static int check_run(const struct wire_run *run)
{
	int r = run->n_items == 0 ? -EINVAL : check_count(run->n_items, WIRE_ITEMS_MAX);

	for (size_t i = 0; i < run->n_items && r == 0; i++)
		r = check_item(&run->items[i]);
	return r;
}

static int check_done(const struct wire_done *done)
{
	int r = done->n_results == 0 ? -EINVAL : check_count(done->n_results, WIRE_ITEMS_MAX);

	for (size_t i = 0; i < done->n_results && r == 0; i++) {
		const struct wire_result *result = &done->results[i];

		if (result->code > RESULT_CODE_MAX)
			return -EINVAL;
		r = check_text(result->message, WIRE_TEXT_MAX);
		if (r == 0)
			r = check_tensors(result->outputs, result->n_outputs);
	}
	return r;
}

static int check_setup(const struct wire_setup *setup)
{
	int r = check_name(setup->worker);

	if (r == 0)
		r = check_name(setup->device);
	if (r == 0)
		r = check_count(setup->n_backend_dirs, WIRE_DIRS_MAX);
	for (size_t i = 0; i < setup->n_backend_dirs && r == 0; i++)
		r = check_text(setup->backend_dirs[i], WIRE_TEXT_MAX);
	return r < 0 ? r : check_pairs(setup->settings, setup->n_settings);
}

static int check_load(const struct wire_load *load)
{
	int r = check_name(load->name);

	if (r == 0)
		r = check_name(load->version);
	if (r == 0)
		r = check_text(load->path, WIRE_TEXT_MAX);
	if (r == 0)
		r = check_name(load->backend);
	return r < 0 ? r : check_pairs(load->parameters, load->n_parameters);
}

static int check_declarations(const struct wire_declaration *declarations, size_t n)
{
	int r = check_count(n, WIRE_TENSORS_MAX);

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct wire_declaration *d = &declarations[i];

		if ((uint32_t)d->dtype >= DTYPE_MAX_ || (d->any_shape && d->rank > 0))
			return -EINVAL;
		r = check_name(d->name);
		if (r == 0)
			r = check_dims(d->dims, d->rank, -1);
	}
	return r;
}

static int check_loaded(const struct wire_loaded *loaded)
{
	int r = check_text(loaded->error, WIRE_TEXT_MAX);

	if (r == 0)
		r = check_declarations(loaded->inputs, loaded->n_inputs);
	return r < 0 ? r : check_declarations(loaded->outputs, loaded->n_outputs);
}

int wire_check(const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_SETUP:
		return check_setup(&m->setup);
	case WIRE_LOAD:
		return check_load(&m->load);
	case WIRE_RUN:
		return check_run(&m->run);
	case WIRE_RELEASE:
		return check_count(m->release.n_batches, WIRE_RELEASE_MAX);
	case WIRE_LOADED:
		return check_loaded(&m->loaded);
	case WIRE_DONE:
		return check_done(&m->done);
	case WIRE_BYE:
		return check_text(m->bye.reason, WIRE_TEXT_MAX);
	case WIRE_MAP:
		return check_region(m->map.region);
	case WIRE_UNMAP:
	case WIRE_UNMAPPED:
		return check_region(m->unmap.region);
	case WIRE_UNLOAD:
	case WIRE_PING:
	case WIRE_DRAIN:
	case WIRE_HELLO:
	case WIRE_READY:
	case WIRE_PONG:
		return 0;
	}
	return -EINVAL;
}

/*
 * flight.c: what a batch asked for, so that nothing of the answer is believed that was not asked
 * for: number of results, which outputs, their dtype, shape and size, and where they lie.
 *
 * Daemon process, loop thread.
 */
#include "pool/flight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool/declaration.h"

#define WORD_BITS 64u

void flight_deinit(struct flight *f)
{
	free(f->items);
	free(f->wanted);
	free(f->targets);
	free(f->memories);
	free(f->results);
	free(f->outputs);
}

/* Make room for n elements of `size` bytes; the content is not kept. */
static int grow(void *array, size_t *cap, size_t n, size_t size)
{
	void **a = array;
	void *bigger;

	if (n <= *cap)
		return 0;
	bigger = malloc(n * size);
	if (!bigger)
		return -ENOMEM;
	free(*a);
	*a = bigger;
	*cap = n;
	return 0;
}

static size_t count_memories(const struct wire_item *item)
{
	return item->n_targets + item->n_inputs;
}

static size_t count_wanted(const struct wire_item *item, const struct wire_loaded *declared)
{
	return item->n_outputs > 0 ? item->n_outputs : declared->n_outputs;
}

static int make_room(struct flight *f, const struct wire_loaded *declared,
	const struct wire_item *items, size_t n_items)
{
	size_t n_targets = 0;
	size_t n_memories = 0;
	size_t n_wanted = 0;
	int r;

	for (size_t i = 0; i < n_items; i++) {
		n_targets += items[i].n_targets;
		n_memories += count_memories(&items[i]);
		n_wanted += count_wanted(&items[i], declared);
	}
	f->n_words = (declared->n_outputs + WORD_BITS - 1) / WORD_BITS;
	r = grow(&f->items, &f->cap_items, n_items, sizeof(*f->items));
	if (!r)
		r = grow(&f->wanted, &f->cap_wanted, n_items * f->n_words, sizeof(*f->wanted));
	if (!r)
		r = grow(&f->results, &f->cap_results, n_items, sizeof(*f->results));
	if (!r)
		r = grow(&f->targets, &f->cap_targets, n_targets, sizeof(*f->targets));
	if (!r)
		r = grow(&f->memories, &f->cap_memories, n_memories, sizeof(struct pool_memory *));
	if (!r)
		r = grow(&f->outputs, &f->cap_outputs, n_wanted, sizeof(*f->outputs));
	return r;
}

static void add_memory(struct flight *f, struct memory_table *memories, uint64_t id)
{
	struct pool_memory *memory = memory_find(memories, id);

	assert(memory);
	if (f->n_memories == 0 || f->memories[f->n_memories - 1] != memory)
		f->memories[f->n_memories++] = memory;
}

static void want(uint64_t *words, uint32_t output)
{
	words[output / WORD_BITS] |= UINT64_C(1) << output % WORD_BITS;
}

/* Was it wanted, and has not come yet? */
static bool take_wanted(uint64_t *words, uint32_t output)
{
	uint64_t bit = UINT64_C(1) << output % WORD_BITS;
	bool is = words[output / WORD_BITS] & bit;

	words[output / WORD_BITS] &= ~bit;
	return is;
}

static void set_wanted(struct flight *f, size_t first, const struct wire_item *item,
	const struct wire_loaded *declared)
{
	uint64_t *words = f->wanted + first;

	if (f->n_words > 0)
		memset(words, 0, f->n_words * sizeof(*words));
	for (uint32_t i = 0; item->n_outputs == 0 && i < declared->n_outputs; i++)
		want(words, i);
	for (size_t i = 0; i < item->n_outputs; i++) {
		assert(item->outputs[i] < declared->n_outputs);
		want(words, item->outputs[i]);
	}
}

static void add_item(struct flight *f, struct memory_table *memories,
	const struct wire_loaded *declared, const struct wire_item *item)
{
	struct flight_item *to = &f->items[f->n_items++];

	*to = (struct flight_item){
		.first_wanted = (f->n_items - 1) * f->n_words,
		.n_wanted = (uint32_t)count_wanted(item, declared),
		.n_targets = (uint32_t)item->n_targets,
		.first_target = f->n_targets,
	};
	set_wanted(f, to->first_wanted, item, declared);
	for (size_t i = 0; i < item->n_inputs; i++)
		add_memory(f, memories, item->inputs[i].span.arena);
	for (size_t i = 0; i < item->n_targets; i++) {
		f->targets[f->n_targets++] = item->targets[i];
		add_memory(f, memories, item->targets[i].span.arena);
	}
}

int flight_prepare(struct flight *f, struct memory_table *memories,
	const struct wire_loaded *declared, const struct wire_item *items, size_t n_items)
{
	int r = make_room(f, declared, items, n_items);

	if (r)
		return r;
	f->n_items = f->n_targets = f->n_memories = 0;
	for (size_t i = 0; i < n_items; i++)
		add_item(f, memories, declared, &items[i]);
	return 0;
}

void flight_begin(struct flight *f)
{
	for (size_t i = 0; i < f->n_memories; i++)
		memory_hold(f->memories[i]);
}

void flight_end(struct flight *f)
{
	for (size_t i = 0; i < f->n_memories; i++)
		memory_let_go(f->memories[i]);
	f->n_memories = 0;
}

/* --- The answer ------------------------------------------------------------------------------ */

static const struct wire_target *find_target(
	const struct flight *f, const struct flight_item *item, uint32_t output)
{
	for (uint32_t i = 0; i < item->n_targets; i++) {
		const struct wire_target *t = &f->targets[item->first_target + i];

		if (t->output == output)
			return t;
	}
	return NULL;
}

/* Text that is in the data (DTYPE_BYTES) has no size that follows from the shape. */
static bool size_fits(const struct wire_tensor *t)
{
	uint64_t bytes;

	if (t->dtype == DTYPE_BYTES)
		return !shape_elements(t->dims, t->rank, &bytes);
	return !shape_bytes(t->dtype, t->dims, t->rank, &bytes) && bytes == t->span.length;
}

static bool at_target(const struct span *span, const struct span *target)
{
	return span->arena == target->arena && span->offset == target->offset &&
	       span->length <= target->length;
}

/* NULL: fine. Fills *to. */
static const char *check_output(const struct flight *f, const struct flight_item *item,
	const struct wire_loaded *declared, const struct output *arena, const struct wire_tensor *t,
	struct pool_output *to)
{
	const struct wire_target *target;

	if (t->index >= declared->n_outputs)
		return "an output index out of range";
	/* Its shape may be another one: models do not keep what they declare. */
	if (!dtype_admits(declared->outputs[t->index].dtype, t->dtype))
		return "an output whose dtype is not as declared";
	if (!size_fits(t))
		return "an output whose size does not fit its shape";
	*to = (struct pool_output){.index = t->index, .dtype = t->dtype, .rank = t->rank};
	for (uint32_t i = 0; i < t->rank; i++)
		to->dims[i] = t->dims[i];
	to->length = t->span.length;
	target = find_target(f, item, t->index);
	/* One that does not fit its target is like one that has none. */
	if (target && (t->span.arena & WIRE_REGION_BIT))
		return at_target(&t->span, &target->span) ? NULL
							  : "an output that is not at its target";
	to->data = output_data(arena, &t->span);
	return to->data ? NULL : "an output that is not inside the worker's output memory";
}

/* NULL: fine. Outputs go to f->outputs from `at` on. */
static const char *check_result(struct flight *f, const struct flight_item *item,
	const struct wire_loaded *declared, const struct output *arena,
	const struct wire_result *result, struct pool_output *at)
{
	uint64_t *missing = f->wanted + item->first_wanted;

	if (result->n_outputs != (result->code == 0 ? item->n_wanted : 0))
		return "a wrong number of outputs";
	if (result->joined > f->n_items)
		return "a result of more items than there are";
	for (size_t i = 0; i < result->n_outputs; i++) {
		const struct wire_tensor *t = &result->outputs[i];
		const char *why = check_output(f, item, declared, arena, t, &at[i]);

		if (why)
			return why;
		if (!take_wanted(missing, t->index))
			return "an output that is not wanted, or twice";
	}
	return NULL;
}

int flight_check(struct flight *f, const struct wire_loaded *declared, const struct output *output,
	const struct wire_done *done, const char **ret_why)
{
	struct pool_output *at = f->outputs;
	const char *why = done->n_results == f->n_items ? NULL : "a wrong number of results";

	for (size_t i = 0; !why && i < f->n_items; i++) {
		const struct wire_result *result = &done->results[i];

		why = check_result(f, &f->items[i], declared, output, result, at);
		f->results[i] = (struct pool_result){
			.code = result->code,
			.message = result->message,
			.outputs = at,
			.n_outputs = result->n_outputs,
			.joined = result->joined > 0 ? result->joined : 1,
		};
		at += result->n_outputs;
		for (size_t k = 0; !why && k < result->n_outputs; k++) {
			if (f->results[i].outputs[k].data)
				output_lease_fill(f->lease, f->results[i].outputs[k].length);
		}
	}
	if (!why)
		return 0;
	*ret_why = why;
	return -EPROTO;
}

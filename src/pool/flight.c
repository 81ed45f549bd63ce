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
	uint64_t *words;

	if (f->n_words == 0)
		return;
	words = f->wanted + first;
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
	const struct wire_loaded *declared, const struct output_memory *arena,
	const struct wire_tensor *t, struct pool_output *to)
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
	to->data = output_memory_data(arena, &t->span);
	return to->data ? NULL : "an output that is not inside the worker's output memory";
}

/* The last answer of an item may be an empty one where others may have come before it. */
static bool count_fits(const struct flight_item *item, const struct wire_loaded *declared,
	const struct wire_result *result)
{
	if (result->code != 0 || (declared->decoupled && result->n_outputs == 0))
		return result->n_outputs == 0;
	return result->n_outputs == item->n_wanted;
}

/* NULL: fine. Outputs go to `at`, and *to describes them. */
static const char *check_result(struct flight *f, const struct flight_item *item,
	const struct wire_loaded *declared, const struct output_memory *arena,
	const struct wire_result *result, struct pool_output *at, struct pool_result *to)
{
	*to = (struct pool_result){.code = result->code,
		.message = result->message,
		.outputs = at,
		.n_outputs = result->n_outputs,
		.joined = result->joined > 0 ? result->joined : 1};
	if (item->answered)
		return result->code == 0 && result->n_outputs == 0
			       ? NULL
			       : "a result of an item that had its last answer";
	if (!count_fits(item, declared, result))
		return "a wrong number of outputs";
	if (result->joined > f->n_items)
		return "a result of more items than there are";
	for (size_t i = 0; i < result->n_outputs; i++) {
		const struct wire_tensor *t = &result->outputs[i];
		const char *why = check_output(f, item, declared, arena, t, &at[i]);

		if (why)
			return why;
		if (!take_wanted(f->wanted + item->first_wanted, t->index))
			return "an output that is not wanted, or twice";
	}
	return NULL;
}

/* --- Holds ----------------------------------------------------------------------------------- */

/* How many of its outputs lie in output memory, and their bytes. */
static size_t count_held(const struct pool_result *r, uint64_t *ret_bytes)
{
	size_t n = 0;

	*ret_bytes = 0;
	for (size_t i = 0; i < r->n_outputs; i++) {
		if (!r->outputs[i].data)
			continue;
		n++;
		*ret_bytes += r->outputs[i].length;
	}
	return n;
}

/* Who shares a hold with others has a part of it. */
static int lease_part(struct pool_result *r, struct output_memory *output, uint64_t hold,
	struct output_lease *before, const char **ret_why)
{
	_cleanup_(output_lease_unrefp) struct output_lease *whole = NULL;
	int e = 0;

	if (!before)
		e = output_lease_new(&whole, output, hold, ret_why);
	return e ? e : output_lease_part(&r->lease, before ? before : whole);
}

/* Which segments its outputs are in, as `tensors` say. */
static int note_segments(struct pool_result *r, const struct wire_tensor *tensors)
{
	int e = 0;

	for (size_t i = 0; i < r->n_outputs && !e; i++) {
		if (r->outputs[i].data)
			e = output_lease_on(r->lease, tensors[i].span.arena);
	}
	return e;
}

/* Lease what r has in output memory. `before`: the lease of the same hold, where a result before has it; `shared`: that,
 * or one behind has it. */
static int lease(struct pool_result *r, struct output_memory *output, uint64_t hold, bool shared,
	struct output_lease *before, const struct wire_tensor *tensors, const char **ret_why)
{
	uint64_t bytes;
	size_t n = count_held(r, &bytes);
	int e = 0;

	if ((n > 0) != (hold > 0)) {
		*ret_why = n > 0 ? "outputs without a hold" : "a hold without outputs";
		return -EPROTO;
	}
	if (n == 0)
		return 0;
	if (shared)
		e = lease_part(r, output, hold, before, ret_why);
	else
		e = output_lease_new(&r->lease, output, hold, ret_why);
	if (e)
		return e;
	output_lease_add(r->lease, bytes);
	e = note_segments(r, tensors);
	if (e)
		r->lease = output_lease_unref(r->lease);
	return e;
}

/* The next hold behind result i; 0: none. */
static uint64_t next_hold(const struct wire_result *results, size_t i, size_t n)
{
	uint64_t hold = 0;

	while (hold == 0 && ++i < n)
		hold = results[i].hold;
	return hold;
}

static int lease_all(struct flight *f, struct output_memory *output,
	const struct wire_result *results, const char **ret_why)
{
	struct output_lease *before = NULL;
	uint64_t hold = 0;
	int r = 0;

	for (size_t i = 0; !r && i < f->n_items; i++) {
		bool first = results[i].hold != hold;
		bool shared = !first || next_hold(results, i, f->n_items) == results[i].hold;

		r = lease(&f->results[i], output, results[i].hold, shared, first ? NULL : before,
			results[i].outputs, ret_why);
		if (!f->results[i].lease)
			continue;
		before = f->results[i].lease;
		hold = results[i].hold;
	}
	return r;
}

void flight_let_go(struct flight *f)
{
	for (size_t i = 0; i < f->n_items; i++)
		f->results[i].lease = output_lease_unref(f->results[i].lease);
}

/* --- All of it ------------------------------------------------------------------------------- */

int flight_check(struct flight *f, const struct wire_loaded *declared, struct output_memory *output,
	const struct wire_result *results, size_t n_results, const char **ret_why)
{
	struct pool_output *at = f->outputs;
	const char *why = n_results == f->n_items ? NULL : "a wrong number of results";
	int r;

	for (size_t i = 0; !why && i < f->n_items; i++) {
		why = check_result(
			f, &f->items[i], declared, output, &results[i], at, &f->results[i]);
		/* Without outputs there is no array, and nothing is added to NULL. */
		if (results[i].n_outputs > 0)
			at += results[i].n_outputs;
	}
	*ret_why = why;
	if (why)
		return -EPROTO;
	r = lease_all(f, output, results, ret_why);
	if (r)
		flight_let_go(f);
	return r;
}

/* NULL: fine. All that is wanted is wanted again by the next answer, unless that was the last. */
static const char *check_partial(struct flight *f, const struct wire_loaded *declared,
	const struct output_memory *output, const struct wire_partial *partial)
{
	const struct wire_result result = {
		.message = "", .outputs = partial->outputs, .n_outputs = partial->n_outputs};
	struct flight_item *item;
	const char *why;

	if (!declared->decoupled && !partial->last)
		return "an answer in part, and is not declared decoupled";
	if (partial->item >= f->n_items)
		return "an answer of an item that it has not";
	if (partial->hold == 0)
		return "an answer in part that holds nothing";
	item = &f->items[partial->item];
	if (item->answered)
		return "an answer of an item that had its last answer";
	why = check_result(
		f, item, declared, output, &result, f->outputs, &f->results[partial->item]);
	item->answered = partial->last;
	for (size_t i = 0; !why && !partial->last && i < partial->n_outputs; i++)
		want(f->wanted + item->first_wanted, partial->outputs[i].index);
	return why;
}

int flight_check_partial(struct flight *f, const struct wire_loaded *declared,
	struct output_memory *output, const struct wire_partial *partial, const char **ret_why)
{
	*ret_why = check_partial(f, declared, output, partial);
	if (*ret_why)
		return -EPROTO;
	return lease(&f->results[partial->item], output, partial->hold, false, NULL,
		partial->outputs, ret_why);
}

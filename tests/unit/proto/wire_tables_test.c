/*
 * wire_tables_test.c: every limit of wire.h at the limit and one above, and every value that is never
 * valid. What passes is packed and unpacked too, so both ends agree.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_messages.h"
#include "proto/wire_private.h"

static char long_text[WIRE_TEXT_MAX + 2];
static struct wire_scratch *here, *there;

static void setup(void)
{
	cr_assert_eq(wire_scratch_new(&here), 0);
	cr_assert_eq(wire_scratch_new(&there), 0);
	memset(long_text, 'x', sizeof(long_text) - 1);
}

static void teardown(void)
{
	here = wire_scratch_free(here);
	there = wire_scratch_free(there);
}

TestSuite(wire_tables, .init = setup, .fini = teardown);

static void passes(const struct wire_message *m)
{
	const struct wire_message *back;
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(here, m, &data, &n), 0);
	cr_assert_eq(unpack_alone(there, data, n, &back), 0);
	assert_same_message(m, back);
}

static void refused(const struct wire_message *m, int want)
{
	const uint8_t *data = (const uint8_t *)long_text;
	size_t n = 7;

	cr_assert_eq(wire_pack(here, m, &data, &n), want);
	cr_assert_eq(data, (const uint8_t *)long_text, "untouched on failure");
	cr_assert_eq(n, 7, "untouched on failure");
}

/* The string field at *field of m: `max` bytes pass, one more does not. */
static void text_limit(struct wire_message *m, const char **field, size_t max)
{
	const char *end = long_text + sizeof(long_text) - 1;

	*field = end - max;
	passes(m);
	*field = end - max - 1;
	refused(m, -EMSGSIZE);
	*field = NULL;
	passes(m);
}

Test(wire_tables, texts_of_setup)
{
	struct wire_message m = {.type = WIRE_SETUP};
	const char *dir = "";

	text_limit(&m, &m.setup.worker, WIRE_NAME_MAX);
	text_limit(&m, &m.setup.device, WIRE_NAME_MAX);
	m.setup.backend_dirs = &dir;
	m.setup.n_backend_dirs = 1;
	text_limit(&m, &dir, WIRE_TEXT_MAX);
}

Test(wire_tables, texts_of_load)
{
	struct wire_message m = {.type = WIRE_LOAD};

	text_limit(&m, &m.load.name, WIRE_NAME_MAX);
	text_limit(&m, &m.load.version, WIRE_NAME_MAX);
	text_limit(&m, &m.load.path, WIRE_TEXT_MAX);
	text_limit(&m, &m.load.backend, WIRE_NAME_MAX);
}

Test(wire_tables, texts_of_pairs)
{
	struct wire_message m = {.type = WIRE_LOAD};
	struct wire_pair pair = {"", ""};

	m.load.parameters = &pair;
	m.load.n_parameters = 1;
	text_limit(&m, &pair.key, WIRE_NAME_MAX);
	text_limit(&m, &pair.value, WIRE_TEXT_MAX);
}

Test(wire_tables, texts_of_answers)
{
	struct wire_message loaded = {.type = WIRE_LOADED}, done = {.type = WIRE_DONE};
	struct wire_message bye = {.type = WIRE_BYE};
	struct wire_declaration declaration = {.dtype = DTYPE_F32};
	struct wire_result result = {.code = 3};

	text_limit(&loaded, &loaded.loaded.error, WIRE_TEXT_MAX);
	loaded.loaded.inputs = &declaration;
	loaded.loaded.n_inputs = 1;
	text_limit(&loaded, &declaration.name, WIRE_NAME_MAX);
	done.done.results = &result;
	done.done.n_results = 1;
	text_limit(&done, &result.message, WIRE_TEXT_MAX);
	text_limit(&bye, &bye.bye.reason, WIRE_TEXT_MAX);
}

/* The counter at *field of m: `max` passes, one more does not. */
static void count_limit(struct wire_message *m, size_t *field, size_t max)
{
	*field = max;
	passes(m);
	*field = max + 1;
	refused(m, -EMSGSIZE);
	*field = 0;
}

static const struct wire_pair many_pairs[WIRE_PAIRS_MAX + 1];
static const char *const many_dirs[WIRE_DIRS_MAX + 1];

Test(wire_tables, counts_of_setup_and_load)
{
	struct wire_message m = {.type = WIRE_SETUP}, load = {.type = WIRE_LOAD};

	m.setup.settings = many_pairs;
	count_limit(&m, &m.setup.n_settings, WIRE_PAIRS_MAX);
	m.setup.backend_dirs = many_dirs;
	count_limit(&m, &m.setup.n_backend_dirs, WIRE_DIRS_MAX);
	load.load.parameters = many_pairs;
	count_limit(&load, &load.load.n_parameters, WIRE_PAIRS_MAX);
}

Test(wire_tables, counts_of_an_item)
{
	static const uint32_t outputs[WIRE_TENSORS_MAX + 1];
	static struct wire_tensor tensors[WIRE_TENSORS_MAX + 1];
	static struct wire_target targets[WIRE_TENSORS_MAX + 1];
	struct wire_item item = {.inputs = tensors,
		.outputs = outputs,
		.parameters = many_pairs,
		.targets = targets};
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, &item, 1, 0}};

	for (uint32_t i = 0; i <= WIRE_TENSORS_MAX; i++) {
		tensors[i] = (struct wire_tensor){.dtype = DTYPE_U8, .span.arena = 1};
		targets[i] = (struct wire_target){i, {.arena = WIRE_REGION_BIT}};
	}
	count_limit(&m, &item.n_inputs, WIRE_TENSORS_MAX);
	count_limit(&m, &item.n_outputs, WIRE_TENSORS_MAX);
	count_limit(&m, &item.n_parameters, WIRE_PAIRS_MAX);
	count_limit(&m, &item.n_targets, WIRE_TENSORS_MAX);
}

Test(wire_tables, counts_of_run_release_done)
{
	static const struct wire_item items[WIRE_ITEMS_MAX + 1];
	static const struct wire_result results[WIRE_ITEMS_MAX + 1];
	static const uint64_t holds[WIRE_RELEASE_MAX + 1];
	struct wire_message run = {.type = WIRE_RUN, .run.items = items};
	struct wire_message done = {.type = WIRE_DONE, .done.results = results};
	struct wire_message release = {.type = WIRE_RELEASE, .release.holds = holds};

	count_limit(&run, &run.run.n_items, WIRE_ITEMS_MAX);
	refused(&run, -EINVAL);
	count_limit(&done, &done.done.n_results, WIRE_ITEMS_MAX);
	refused(&done, -EINVAL);
	count_limit(&release, &release.release.n_holds, WIRE_RELEASE_MAX);
	passes(&release);
}

Test(wire_tables, counts_of_loaded_and_result)
{
	static const struct wire_declaration declarations[WIRE_TENSORS_MAX + 1];
	static struct wire_tensor outputs[WIRE_TENSORS_MAX + 1];
	struct wire_message loaded = {.type = WIRE_LOADED};
	struct wire_result result = {.outputs = outputs};
	struct wire_message done = {.type = WIRE_DONE, .done = {1, 2, &result, 1}};

	for (uint32_t i = 0; i <= WIRE_TENSORS_MAX; i++)
		outputs[i] = (struct wire_tensor){.dtype = DTYPE_U8, .span.arena = 1};
	loaded.loaded.inputs = declarations;
	count_limit(&loaded, &loaded.loaded.n_inputs, WIRE_TENSORS_MAX);
	loaded.loaded.outputs = declarations;
	count_limit(&loaded, &loaded.loaded.n_outputs, WIRE_TENSORS_MAX);
	count_limit(&done, &result.n_outputs, WIRE_TENSORS_MAX);
	result.code = 16;
	passes(&done);
	result.code = 17;
	refused(&done, -EINVAL);
}

Test(wire_tables, tensors)
{
	static const int64_t dims[TENSOR_RANK_MAX + 1];
	const int64_t negative = -1;
	const struct wire_tensor good = {0, DTYPE_U8, 0, dims, {1, 0, 0, 0}};
	struct wire_tensor t = good;
	struct wire_item item = {.inputs = &t, .n_inputs = 1};
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, &item, 1, 0}};

	t.rank = TENSOR_RANK_MAX;
	passes(&m);
	t.rank = TENSOR_RANK_MAX + 1;
	refused(&m, -EMSGSIZE);
	t = good;
	t.index = WIRE_TENSORS_MAX - 1;
	passes(&m);
	t.index = WIRE_TENSORS_MAX;
	refused(&m, -EINVAL);
	t = good;
	t.dtype = DTYPE_MAX_ - 1;
	passes(&m);
	t.dtype = DTYPE_MAX_;
	refused(&m, -EINVAL);
	t.dtype = DTYPE_INVALID;
	refused(&m, -EINVAL);
	t = good;
	t.span.arena = 0;
	refused(&m, -EINVAL);
	t = good;
	t.rank = 1;
	t.dims = &negative;
	refused(&m, -EINVAL);
}

Test(wire_tables, a_bad_tensor_is_found_wherever_it_stands)
{
	struct wire_tensor tensors[3];
	struct wire_item items[2] = {
		{.inputs = tensors, .n_inputs = 2}, {.inputs = tensors, .n_inputs = 3}};
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, items, 2, 0}};

	for (size_t i = 0; i < 3; i++)
		tensors[i] = (struct wire_tensor){.dtype = DTYPE_U8, .span.arena = 1};
	passes(&m);
	tensors[2].span.arena = 0;
	refused(&m, -EINVAL);
}

Test(wire_tables, outputs_and_targets)
{
	uint32_t outputs[] = {0, WIRE_TENSORS_MAX - 1};
	struct wire_target targets[2] = {{0, {.arena = WIRE_REGION_BIT | 1}},
		{WIRE_TENSORS_MAX - 1, {.arena = WIRE_REGION_BIT}}};
	struct wire_item item = {
		.outputs = outputs, .n_outputs = 2, .targets = targets, .n_targets = 2};
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, &item, 1, 0}};

	passes(&m);
	outputs[1] = WIRE_TENSORS_MAX;
	refused(&m, -EINVAL);
	outputs[1] = 1;
	targets[1].output = WIRE_TENSORS_MAX;
	refused(&m, -EINVAL);
	targets[1].output = 0;
	refused(&m, -EINVAL);
	targets[1].output = 1;
	targets[1].span.arena = WIRE_REGION_BIT - 1;
	refused(&m, -EINVAL);
}

Test(wire_tables, declarations)
{
	const int64_t dims[] = {-1, 0, INT64_MAX}, below = -2;
	struct wire_declaration d = {"x", DTYPE_INVALID, false, 3, dims};
	struct wire_message m = {.type = WIRE_LOADED, .loaded = {.outputs = &d, .n_outputs = 1}};

	passes(&m);
	d.any_shape = true;
	refused(&m, -EINVAL);
	d.rank = 0;
	passes(&m);
	d.dtype = DTYPE_MAX_;
	refused(&m, -EINVAL);
	d = (struct wire_declaration){"x", DTYPE_F32, false, 1, &below};
	refused(&m, -EINVAL);
	d.rank = TENSOR_RANK_MAX + 1;
	refused(&m, -EMSGSIZE);
}

Test(wire_tables, what_is_decoupled_is_not_batched)
{
	struct wire_message m = {.type = WIRE_LOADED, .loaded = {.decoupled = true}};

	passes(&m);
	m.loaded.max_batch_size = 1;
	refused(&m, -EINVAL);
	m.loaded.decoupled = false;
	passes(&m);
}

Test(wire_tables, an_item_of_a_partial)
{
	struct wire_message m = {.type = WIRE_PARTIAL, .partial = {.item = WIRE_ITEMS_MAX - 1}};

	passes(&m);
	m.partial.item = WIRE_ITEMS_MAX;
	refused(&m, -EINVAL);
}

Test(wire_tables, memory)
{
	struct wire_message map = {.type = WIRE_MAP, .map = {WIRE_REGION_BIT, 1, false}};
	struct wire_message unmap = {.type = WIRE_UNMAP, .unmap = {WIRE_REGION_BIT}};

	passes(&map);
	passes(&unmap);
	unmap.type = WIRE_UNMAPPED;
	passes(&unmap);
	unmap.unmap.id = map.map.id = 1;
	passes(&map);
	passes(&unmap);
	unmap.unmap.id = map.map.id = 0;
	refused(&map, -EINVAL);
	refused(&unmap, -EINVAL);
	unmap.type = WIRE_UNMAP;
	refused(&unmap, -EINVAL);
}

Test(wire_tables, unknown_types)
{
	refused(&(struct wire_message){.type = (enum wire_type)0}, -EINVAL);
	refused(&(struct wire_message){.type = (enum wire_type)(LAST_TYPE + 1)}, -EINVAL);
}

/* fake_messages.c: one message of each type, comparison field by field, random items. */
#include "fake_messages.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/traceparent.h"

#define REGION (WIRE_REGION_BIT | 12345)

static const struct wire_fault faults[] = {{"spin~", "yes or no is expected~"}, {"", "none~"}};
static const struct wire_pair pairs[] = {{"threads~", "4~"}, {"mode~", "fast~"}};
static const int64_t dims[] = {1, 0, INT64_MAX};
static const int64_t declared[] = {-1, 28, 28};
static const char *const dirs[] = {"/usr/lib/modeld/backends~", "~"};
static const uint32_t wanted[] = {1, 0, WIRE_TENSORS_MAX - 1};
static const uint64_t holds[] = {1, UINT64_MAX, 0};

static const uint64_t handle[WIRE_HANDLE_WORDS] = {1, 0, UINT64_MAX, 7};

static const struct wire_tensor tensors[] = {
	{0, DTYPE_F32, 3, dims, {1, 2, 3, 4}},
	{WIRE_TENSORS_MAX - 1, DTYPE_BYTES, 0, NULL,
		{REGION, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2}},
};
static const struct wire_target targets[] = {
	{0, {REGION, 0, 4096, 400}},
	{1, {WIRE_REGION_BIT, 1, 0, UINT64_MAX}},
};
static const struct wire_item items[] = {
	{tensors, 2, wanted, 3, pairs, 2, targets, 2, "00-trace-parent-01~", "request~", 0,
		"sequence~", 3, "state~"},
	{tensors, 1, NULL, 0, NULL, 0, NULL, 0, "", "", UINT64_MAX, "", WIRE_SEQUENCE_END, ""},
	{NULL, 0, NULL, 0, NULL, 0, NULL, 0, "", "", 0, "", 0, ""},
};
static const struct wire_declaration declarations[] = {
	{"image~", DTYPE_F32, false, 3, declared},
	{"anything~", DTYPE_INVALID, true, 0, NULL},
};
static const struct wire_result results[] = {
	{0, "fine~", tensors, 2, 3, UINT64_MAX},
	{16, "not today~", NULL, 0, 0, 0},
};

static const struct wire_warmup_input warmup_inputs[] = {
	{"image~", DTYPE_BF16, 3, dims, true, "~"},
	{"text~", DTYPE_BYTES, 0, NULL, false, "a/b~"},
};
static const struct wire_warmup warmups[] = {
	{"first~", UINT32_MAX, WIRE_WARMUP_COUNT_MAX, warmup_inputs, 2},
	{"~", 1, 1, NULL, 0},
};

static const struct wire_message samples[LAST_TYPE + 1] = {
	[WIRE_SETUP] = {.type = WIRE_SETUP,
		.setup = {1, "cpu:0/1~", "cpu:0~", 10, UINT64_C(1) << 40, 4096, 3, dirs, 2, pairs,
			2, 50, 2, 1 << 26, 17, 30000, 18, 19, 1000, 700}},
	[WIRE_LOAD] = {.type = WIRE_LOAD,
		.load = {7, "digits~", "1~", "/models/digits/1~", "onnxruntime~", 64, pairs, 2, 3,
			WIRE_PRIORITY_LOW, "/models/digits/warmup~", warmups, 2}},
	[WIRE_UNLOAD] = {.type = WIRE_UNLOAD, .unload = {UINT32_MAX}},
	[WIRE_RUN] = {.type = WIRE_RUN, .run = {99, 7, items, 3, 2}},
	[WIRE_RELEASE] = {.type = WIRE_RELEASE, .release = {holds, 3}},
	[WIRE_PING] = {.type = WIRE_PING, .ping = {UINT64_MAX}},
	[WIRE_DRAIN] = {.type = WIRE_DRAIN},
	[WIRE_HELLO] = {.type = WIRE_HELLO,
		.hello = {1, 2, "on: files", "system calls", "pinned", true, WIRE_NUMA_NODES}},
	[WIRE_LOADED] = {.type = WIRE_LOADED,
		.loaded = {7, true, "none~", declarations, 2, declarations, 1, 1 << 30, 0, 3,
			true}},
	[WIRE_READY] = {.type = WIRE_READY},
	[WIRE_DONE] = {.type = WIRE_DONE, .done = {99, 1234567, results, 2}},
	[WIRE_PONG] = {.type = WIRE_PONG, .ping = {1}},
	[WIRE_BYE] = {.type = WIRE_BYE, .bye = {"drained~"}},
	[WIRE_MAP] = {.type = WIRE_MAP, .map = {REGION, 1 << 20, true}},
	[WIRE_UNMAP] = {.type = WIRE_UNMAP, .unmap = {REGION}},
	[WIRE_UNMAPPED] = {.type = WIRE_UNMAPPED, .unmap = {UINT64_MAX}},
	[WIRE_UNLOADED] = {.type = WIRE_UNLOADED, .unloaded = {UINT32_MAX, UINT64_MAX, 1 << 20}},
	[WIRE_PARTIAL] = {.type = WIRE_PARTIAL, .partial = {99, 1023, tensors, 2, 8, true, 12345}},
	[WIRE_CANCEL] = {.type = WIRE_CANCEL, .cancel = {UINT64_MAX, UINT32_MAX, 2}},
	[WIRE_CHECK] = {.type = WIRE_CHECK,
		.load = {.name = "digits~",
			.version = "1~",
			.path = "/models/digits/1~",
			.backend = "onnxruntime~",
			.max_batch_size = 64,
			.parameters = pairs,
			.n_parameters = 2}},
	[WIRE_CHECKED] = {.type = WIRE_CHECKED, .checked = {faults, 2, true}},
	[WIRE_IMPORT] = {.type = WIRE_IMPORT,
		.import = {REGION, 1 << 20, handle, WIRE_HANDLE_WORDS, true}},
	[WIRE_IMPORTED] = {.type = WIRE_IMPORTED, .imported = {REGION, "no such memory~"}},
};

const struct wire_message *sample_message(enum wire_type type)
{
	cr_assert_eq(samples[type].type, type);
	return &samples[type];
}

static void same_text(const char *a, const char *b)
{
	cr_assert_str_eq(a ? a : "", b ? b : "");
}

#define same(field) cr_assert_eq(a->field, b->field, #field)

static void same_pairs(const struct wire_pair *a, const struct wire_pair *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		same_text(a[i].key, b[i].key);
		same_text(a[i].value, b[i].value);
	}
}

static void same_span(const struct span *a, const struct span *b)
{
	same(arena);
	same(generation);
	same(offset);
	same(length);
}

static void same_dims(const int64_t *a, const int64_t *b, uint32_t rank)
{
	for (uint32_t i = 0; i < rank; i++)
		cr_assert_eq(a[i], b[i]);
}

static void same_tensors(const struct wire_tensor *a, const struct wire_tensor *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		same(index);
		same(dtype);
		same(rank);
		same_dims(a->dims, b->dims, a->rank);
		same_span(&a->span, &b->span);
	}
}

static void same_targets(const struct wire_target *a, const struct wire_target *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		same(output);
		same_span(&a->span, &b->span);
	}
}

static void same_items(const struct wire_item *a, const struct wire_item *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		same(n_inputs);
		same_tensors(a->inputs, b->inputs, a->n_inputs);
		same(n_outputs);
		for (size_t i = 0; i < a->n_outputs; i++)
			same(outputs[i]);
		same(n_parameters);
		same_pairs(a->parameters, b->parameters, a->n_parameters);
		same(n_targets);
		same_targets(a->targets, b->targets, a->n_targets);
		same_text(a->traceparent, b->traceparent);
		same_text(a->id, b->id);
		same(sequence);
		same_text(a->sequence_text, b->sequence_text);
		same(sequence_flags);
		same_text(a->tracestate, b->tracestate);
	}
}

static void same_setup(const struct wire_setup *a, const struct wire_setup *b)
{
	same(protocol);
	same_text(a->worker, b->worker);
	same_text(a->device, b->device);
	same(process);
	same(output_bytes);
	same(output_populate_first);
	same(slots);
	same(n_backend_dirs);
	for (size_t i = 0; i < a->n_backend_dirs; i++)
		same_text(a->backend_dirs[i], b->backend_dirs[i]);
	same(n_settings);
	same_pairs(a->settings, b->settings, a->n_settings);
	same(busy_poll_us);
	same(log_level);
	same(output_segment_bytes);
	same(output_segments);
	same(output_idle_ms);
	same(scratch_bytes);
	same(holds);
	same(output_wait_ms);
	same(threads);
}

static void same_warmups(const struct wire_warmup *all_a, const struct wire_warmup *all_b, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		same_text(all_a[k].name, all_b[k].name);
		cr_assert_eq(all_a[k].batch_size, all_b[k].batch_size);
		cr_assert_eq(all_a[k].count, all_b[k].count);
		cr_assert_eq(all_a[k].n_inputs, all_b[k].n_inputs);
		for (size_t i = 0; i < all_a[k].n_inputs; i++) {
			const struct wire_warmup_input *a = &all_a[k].inputs[i];
			const struct wire_warmup_input *b = &all_b[k].inputs[i];

			same_text(a->name, b->name);
			same(dtype);
			same(rank);
			same_dims(a->dims, b->dims, a->rank);
			same(random);
			same_text(a->file, b->file);
		}
	}
}

static void same_load(const struct wire_load *a, const struct wire_load *b)
{
	same(model);
	same_text(a->name, b->name);
	same_text(a->version, b->version);
	same_text(a->path, b->path);
	same_text(a->backend, b->backend);
	same(max_batch_size);
	same(instances);
	same(n_parameters);
	same_pairs(a->parameters, b->parameters, a->n_parameters);
	same(priority);
	same_text(a->warmup_path, b->warmup_path);
	same(n_warmups);
	same_warmups(a->warmups, b->warmups, a->n_warmups);
}

static void same_declarations(
	const struct wire_declaration *a, const struct wire_declaration *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		same_text(a->name, b->name);
		same(dtype);
		same(any_shape);
		same(rank);
		same_dims(a->dims, b->dims, a->rank);
	}
}

static void same_check(const struct wire_load *a, const struct wire_load *b)
{
	same_text(a->name, b->name);
	same_text(a->version, b->version);
	same_text(a->path, b->path);
	same_text(a->backend, b->backend);
	same(max_batch_size);
	same(n_parameters);
	same_pairs(a->parameters, b->parameters, a->n_parameters);
}

static void same_checked(const struct wire_checked *a, const struct wire_checked *b)
{
	same(unjudged);
	same(n_faults);
	for (size_t i = 0; i < a->n_faults; i++) {
		same_text(a->faults[i].key, b->faults[i].key);
		same_text(a->faults[i].text, b->faults[i].text);
	}
}

static void same_loaded(const struct wire_loaded *a, const struct wire_loaded *b)
{
	same(model);
	same(ok);
	same_text(a->error, b->error);
	same(n_inputs);
	same_declarations(a->inputs, b->inputs, a->n_inputs);
	same(n_outputs);
	same_declarations(a->outputs, b->outputs, a->n_outputs);
	same(memory_bytes);
	same(max_batch_size);
	same(lanes);
	same(decoupled);
}

static void same_done(const struct wire_done *a, const struct wire_done *b)
{
	same(batch);
	same(compute_ns);
	same(n_results);
	for (size_t i = 0; i < a->n_results; i++) {
		same(results[i].code);
		same_text(a->results[i].message, b->results[i].message);
		same(results[i].n_outputs);
		same(results[i].joined);
		same(results[i].hold);
		same_tensors(a->results[i].outputs, b->results[i].outputs, a->results[i].n_outputs);
	}
}

static void same_hello(const struct wire_hello *a, const struct wire_hello *b)
{
	same(protocol);
	same(slots);
	same_text(a->sandbox, b->sandbox);
	same_text(a->sandbox_lacks, b->sandbox_lacks);
	same_text(a->copies, b->copies);
	same(imports);
	same(numa_node);
}

static void same_release(const struct wire_release *a, const struct wire_release *b)
{
	same(n_holds);
	for (size_t i = 0; i < a->n_holds; i++)
		same(holds[i]);
}

void assert_same_message(const struct wire_message *a, const struct wire_message *b)
{
	same(type);
	switch (a->type) {
	case WIRE_SETUP:
		return same_setup(&a->setup, &b->setup);
	case WIRE_LOAD:
		return same_load(&a->load, &b->load);
	case WIRE_UNLOAD:
		same(unload.model);
		return;
	case WIRE_RUN:
		same(run.batch);
		same(run.model);
		same(run.lane);
		same(run.n_items);
		return same_items(a->run.items, b->run.items, a->run.n_items);
	case WIRE_RELEASE:
		return same_release(&a->release, &b->release);
	case WIRE_HELLO:
		return same_hello(&a->hello, &b->hello);
	case WIRE_CHECK:
		return same_check(&a->load, &b->load);
	case WIRE_CHECKED:
		return same_checked(&a->checked, &b->checked);
	case WIRE_LOADED:
		return same_loaded(&a->loaded, &b->loaded);
	case WIRE_DONE:
		return same_done(&a->done, &b->done);
	case WIRE_BYE:
		return same_text(a->bye.reason, b->bye.reason);
	case WIRE_MAP:
		same(map.id);
		same(map.size);
		same(map.writable);
		return;
	case WIRE_PING:
	case WIRE_PONG:
		same(ping.nonce);
		return;
	case WIRE_UNMAP:
	case WIRE_UNMAPPED:
		same(unmap.id);
		return;
	case WIRE_UNLOADED:
		same(unloaded.model);
		same(unloaded.memory_bytes);
		same(unloaded.stayed_bytes);
		return;
	case WIRE_PARTIAL:
		same(partial.batch);
		same(partial.item);
		same(partial.n_outputs);
		same(partial.hold);
		same(partial.last);
		same(partial.compute_ns);
		return same_tensors(a->partial.outputs, b->partial.outputs, a->partial.n_outputs);
	case WIRE_CANCEL:
		same(cancel.batch);
		same(cancel.model);
		same(cancel.lane);
		return;
	case WIRE_IMPORT:
		same(import.id);
		same(import.size);
		same(import.n_handle);
		same(import.writable);
		cr_assert_arr_eq(a->import.handle, b->import.handle, a->import.n_handle);
		return;
	case WIRE_IMPORTED:
		same(imported.id);
		cr_assert_str_eq(a->imported.error, b->imported.error);
		return;
	case WIRE_DRAIN:
	case WIRE_READY:
		return;
	}
	cr_assert_fail("type %d", (int)a->type);
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* Numbers of every length are equally likely. */
static uint64_t random_number(uint64_t *state)
{
	uint64_t bits = random_next(state) % 65;

	return bits == 0 ? 0 : random_next(state) >> (64 - bits);
}

int unpack_alone(struct wire_scratch *s, const uint8_t *record, size_t n,
	const struct wire_message **ret_message)
{
	const struct wire_message *m;
	size_t used;
	int r = wire_unpack(s, record, n, &used, &m);

	if (r == 0 && used != n)
		r = -EPROTO;
	if (r == 0)
		*ret_message = m;
	return r;
}

size_t scratch_used(const struct wire_scratch *s)
{
	return (size_t)(s->unpacked.at - s->memory);
}

static struct span random_span(uint64_t *state, uint64_t bit)
{
	return (struct span){random_number(state) | bit, random_number(state), random_number(state),
		random_number(state)};
}

void random_item(struct random_item *r, uint64_t *state)
{
	memset(r->text, 'x', sizeof(r->text));
	r->text[sizeof(r->text) - 1] = '\0';
	r->item = (struct wire_item){r->inputs, random_next(state) % (RANDOM_TENSORS + 1),
		r->outputs, random_next(state) % (RANDOM_TENSORS + 1), r->parameters,
		random_next(state) % (RANDOM_TENSORS + 1), r->targets,
		random_next(state) % (RANDOM_TENSORS + 1),
		r->text + sizeof(r->text) - 1 - random_next(state) % (TRACEPARENT_BYTES + 1),
		r->text + sizeof(r->text) - 1 - random_next(state) % 256, random_number(state),
		r->text + sizeof(r->text) - 1 - random_next(state) % 256, random_next(state) % 4,
		r->text + sizeof(r->text) - 1 - random_next(state) % 256};
	for (uint32_t i = 0; i < RANDOM_TENSORS; i++) {
		uint64_t rank = random_next(state) % (TENSOR_RANK_MAX + 1);

		for (uint64_t j = 0; j < rank; j++)
			r->dims[i][j] = (int64_t)(random_number(state) >> 1);
		r->inputs[i] = (struct wire_tensor){random_next(state) % WIRE_TENSORS_MAX,
			1 + random_next(state) % (DTYPE_MAX_ - 1), (uint32_t)rank, r->dims[i],
			random_span(state, 1)};
		r->outputs[i] = random_next(state) % WIRE_TENSORS_MAX;
		r->parameters[i].key = r->text + sizeof(r->text) - 1 - random_next(state) % 256;
		r->parameters[i].value = r->text + random_next(state) % sizeof(r->text);
		r->targets[i] = (struct wire_target){i, random_span(state, WIRE_REGION_BIT)};
	}
}

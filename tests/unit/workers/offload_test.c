/* offload_test.c: the tensors of a run on a device, with a stand-in for a GPU. */
#include "workers/offload.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"
#include "tests/support/fakecuda/fakecuda.h"

#define ON_DEVICE MODELD_MEMORY_BIT(MODELD_MEMORY_DEVICE)
#define ITEMS	  3
#define BYTES	  1000

struct bed {
	struct device *d;
	struct pinned *pinned;
	struct transfer *t;
	struct offload o;
	struct modeld_error error;
	/* Two inputs, the first in host memory, of ITEMS items; and joined. */
	struct modeld_declaration declared[2];
	struct modeld_tensor items[2 * ITEMS];
	struct modeld_tensor joined[2];
	const struct modeld_tensor *tensors[2];
	unsigned char data[2 * ITEMS][BYTES];
};

static void bed_fill(struct bed *b)
{
	b->declared[1].memory = ON_DEVICE;
	for (size_t i = 0; i < 2 * ITEMS; i++) {
		memset(b->data[i], (int)i + 1, BYTES);
		b->items[i] =
			(struct modeld_tensor){.data = b->data[i], .bytes = BYTES, .shared = 1};
	}
	for (size_t k = 0; k < 2; k++)
		b->joined[k] = (struct modeld_tensor){
			.data = b->data[k], .bytes = ITEMS * BYTES, .shared = 1};
}

static struct bed *bed_new(const char *settings)
{
	struct bed *b = calloc(1, sizeof(*b));
	char text[DEVICE_TEXT_MAX];

	fakecuda_reset(settings);
	cr_assert_eq(device_open(&b->d, "cuda:0", text), 0, "%s", text);
	cr_assert_eq(pinned_new(&b->pinned, b->d), 0);
	cr_assert_eq(transfer_new(&b->t, b->d, DEVICE_PRIORITY_NORMAL), 0);
	b->o.transfer = b->t;
	b->o.pinned = b->pinned;
	bed_fill(b);
	return b;
}

static void bed_free(struct bed *b)
{
	offload_deinit(&b->o);
	transfer_free(b->t);
	pinned_free(b->pinned);
	device_free(b->d);
	free(b);
}

static enum modeld_code begin(struct bed *b)
{
	const struct offload_inputs in = {
		.declared = b->declared,
		.tensors = b->tensors,
		.n = 2,
		.items = b->items,
		.n_items = ITEMS,
	};

	b->tensors[0] = &b->joined[0];
	b->tensors[1] = &b->joined[1];
	return offload_begin(&b->o, &in, &b->error);
}

/* The second input to the device, and from there to `to`. */
static enum modeld_code run(struct bed *b, void *to)
{
	enum modeld_code code = begin(b);

	if (code == MODELD_OK)
		code = offload_out(&b->o, to, b->tensors[1]->data, ITEMS * BYTES, &b->error);
	if (code == MODELD_OK)
		code = offload_finish(&b->o, &b->error);
	return offload_end(&b->o, code, &b->error);
}

Test(offload, what_is_wanted_there_is_there)
{
	struct bed *b = bed_new("");
	unsigned char back[ITEMS * BYTES] = {0};

	cr_assert_not(offload_wants(&b->declared[0]));
	cr_assert(offload_wants(&b->declared[1]));
	cr_assert_eq(run(b, back), MODELD_OK);
	cr_assert_eq(b->tensors[0], &b->joined[0], "the other one stays where it is");
	cr_assert_eq(b->tensors[1]->memory, MODELD_MEMORY_DEVICE);
	cr_assert_eq(b->tensors[1]->bytes, ITEMS * BYTES);
	cr_assert_eq(b->tensors[1]->shared, 0, "a client cannot change it there");
	for (size_t i = 0; i < ITEMS * BYTES; i++)
		cr_assert_eq(back[i], 2 * (i / BYTES) + 2, "%zu: each item's part in its place", i);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(b);
}

/* Of joined items one lies on the device already. */
Test(offload, what_is_there_is_copied_there)
{
	struct bed *b = bed_new("");
	unsigned char back[ITEMS * BYTES] = {0};
	struct modeld_tensor *second = &b->items[3];
	void *there;

	transfer_begin(b->t, CLOCK_NO_DEADLINE);
	cr_assert_eq(transfer_alloc(b->t, BYTES, &there), 0);
	cr_assert_eq(transfer_put(b->t, there, second->data, BYTES, false), 0);
	cr_assert_eq(transfer_finish(b->t), 0);
	second->data = there;
	second->memory = MODELD_MEMORY_DEVICE;
	cr_assert_eq(begin(b), MODELD_OK);
	cr_assert_eq(
		offload_out(&b->o, back, b->tensors[1]->data, ITEMS * BYTES, &b->error), MODELD_OK);
	cr_assert_eq(offload_finish(&b->o, &b->error), MODELD_OK);
	for (size_t i = 0; i < ITEMS * BYTES; i++)
		cr_assert_eq(back[i], 2 * (i / BYTES) + 2, "%zu: each item's part in its place", i);
	cr_assert_eq(
		offload_within(&b->o, there, b->tensors[1]->data, BYTES, &b->error), MODELD_OK);
	cr_assert_eq(offload_out(&b->o, back + 1, there, 1, &b->error), MODELD_OK);
	cr_assert_eq(offload_finish(&b->o, &b->error), MODELD_OK);
	cr_assert_eq(back[1], 2);
	cr_assert_eq(offload_end(&b->o, MODELD_OK, &b->error), MODELD_OK);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(b);
}

Test(offload, one_copy_alone)
{
	static unsigned char large[3 << 20], back[3 << 20];
	struct bed *b = bed_new("");
	struct device_stream *s;
	void *there;

	cr_assert_eq(device_stream_new(b->d, &s), 0);
	cr_assert_eq(device_alloc(s, sizeof(large), &there), 0);
	memset(large, 5, sizeof(large));
	cr_assert_eq(offload_put(&b->o, there, large, sizeof(large), &b->error), MODELD_OK);
	cr_assert_eq(offload_fetch(&b->o, back, there, sizeof(back), &b->error), MODELD_OK);
	cr_assert_arr_eq(back, large, sizeof(back));
	cr_assert_eq(offload_fetch(&b->o, back, there, 0, &b->error), MODELD_OK);
	cr_assert_eq(device_release(s, there), 0);
	device_stream_free(s);
	bed_free(b);
}

Test(offload, one_copy_that_fails)
{
	struct bed *b = bed_new("fail=cudaMemcpyAsync:0:1");
	unsigned char byte = 0;

	cr_assert_eq(offload_put(&b->o, b->data, &byte, 1, &b->error), MODELD_INTERNAL);
	cr_assert_eq(offload_fetch(&b->o, &byte, b->data, 1, &b->error), MODELD_INTERNAL);
	bed_free(b);
}

Test(offload, no_input_is_wanted_there)
{
	struct bed *b = bed_new("");
	void *data = NULL;

	b->declared[1].memory = 0;
	cr_assert_eq(begin(b), MODELD_OK);
	cr_assert_eq(b->tensors[1], &b->joined[1]);
	cr_assert_eq(offload_alloc(&b->o, 100, &data, &b->error), MODELD_OK);
	cr_assert_not_null(data);
	cr_assert_eq(offload_finish(&b->o, &b->error), MODELD_OK);
	cr_assert_eq(offload_end(&b->o, MODELD_OK, &b->error), MODELD_OK);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(b);
}

Test(offload, memory_that_is_exhausted_again_and_again_ends_the_process)
{
	struct bed *b = bed_new("memory_mib=1");
	unsigned char back[ITEMS * BYTES];
	void *data;

	for (int i = 0; i < 15; i++) {
		cr_assert_eq(begin(b), MODELD_OK);
		cr_assert_eq(offload_alloc(&b->o, 2 << 20, &data, &b->error), MODELD_EXHAUSTED);
		cr_assert(strstr(b->error.text, "the device is out of memory"));
		cr_assert_eq(offload_end(&b->o, MODELD_EXHAUSTED, &b->error), MODELD_EXHAUSTED);
	}
	cr_assert_eq(run(b, back), MODELD_OK, "a run that fits in between is well");
	for (int i = 0; i < 15; i++) {
		cr_assert_eq(begin(b), MODELD_OK);
		cr_assert_eq(offload_alloc(&b->o, 2 << 20, &data, &b->error), MODELD_EXHAUSTED);
		cr_assert_eq(offload_end(&b->o, MODELD_EXHAUSTED, &b->error), MODELD_EXHAUSTED);
	}
	cr_assert_eq(begin(b), MODELD_OK);
	cr_assert_eq(offload_alloc(&b->o, 2 << 20, &data, &b->error), MODELD_FATAL);
	cr_assert(strstr(b->error.text, "16 runs in a row"));
	cr_assert_eq(offload_end(&b->o, MODELD_FATAL, &b->error), MODELD_FATAL);
	bed_free(b);
}

Test(offload, an_error_of_a_call_is_the_runs)
{
	struct bed *b = bed_new("fail=cudaMemcpyAsync:1:1");
	unsigned char back[ITEMS * BYTES];

	cr_assert_eq(run(b, back), MODELD_INTERNAL);
	cr_assert(strstr(b->error.text, "cudaErrorInvalidValue (1)"), "%s", b->error.text);
	cr_assert_eq(run(b, back), MODELD_OK);
	bed_free(b);
}

Test(offload, a_lost_context_ends_the_process_wherever_it_is_seen)
{
	static const char *const calls[] = {"cudaMallocAsync:1", "cudaMemcpyAsync:1",
		"cudaMemcpyAsync:2", "cudaEventRecord:1", "cudaEventQuery:1", "cudaEventQuery:3",
		"cudaFreeAsync:1"};
	char settings[64];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned char back[ITEMS * BYTES];
		struct bed *b;

		snprintf(settings, sizeof(settings), "fail=%s:700", calls[i]);
		b = bed_new(settings);
		cr_assert_eq(run(b, back), MODELD_FATAL, "%s", calls[i]);
		cr_assert(strstr(b->error.text, "cudaErrorIllegalAddress"), "%s", b->error.text);
		bed_free(b);
	}
}

static int work(void *arg)
{
	struct bed *b = arg;
	unsigned char back[ITEMS * BYTES];
	enum modeld_code code;

	offload_deinit(&b->o);
	b->o = (struct offload){.transfer = b->t, .pinned = b->pinned};
	code = run(b, back);
	return code == MODELD_OK ? 0 : code == MODELD_EXHAUSTED ? -ENOMEM : -EIO;
}

Test(offload, faults)
{
	struct bed *b = bed_new("");

	FAULT_LOOP(work, b);
	bed_free(b);
}

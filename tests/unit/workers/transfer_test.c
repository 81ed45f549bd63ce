/* transfer_test.c: direct and staged copies, and when which is taken, with a stand-in for a GPU. */
#include "workers/transfer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"
#include "tests/support/fakecuda/fakecuda.h"

#define MIB   ((size_t)1 << 20)
#define LARGE (5 * MIB + 12345)
#define PARTS 3

struct bed {
	struct device *d;
	struct transfer *t;
	void *pinned;
};

static struct bed bed_new(const char *name, const char *settings)
{
	char text[DEVICE_TEXT_MAX];
	struct bed b = {0};

	fakecuda_reset(settings);
	cr_assert_eq(device_open(&b.d, name, text), 0, "%s", text);
	cr_assert_eq(transfer_new(&b.t, b.d, DEVICE_PRIORITY_NORMAL), 0);
	cr_assert_eq(device_host_alloc(b.d, 2 * LARGE, &b.pinned), 0);
	return b;
}

static void bed_free(struct bed *b)
{
	transfer_free(b->t);
	device_host_free(b->d, b->pinned);
	device_free(b->d);
}

static void fill(unsigned char *data, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (unsigned char)((i * 2654435761u + seed) >> 7);
}

/* One input in a part, to the device and back. */
static int there_and_back(struct bed *b, const void *from, void *to, size_t n, bool pinned)
{
	struct transfer_input input = {.bytes = n};
	struct transfer_part part = {.data = from, .bytes = n, .pinned = pinned};
	int r, ended;

	transfer_begin(b->t, CLOCK_NO_DEADLINE);
	r = transfer_in(b->t, &input, 1, &part, 1);
	if (!r)
		r = transfer_out(b->t, to, input.data, n, pinned);
	if (!r)
		r = transfer_finish(b->t);
	ended = transfer_end(b->t);
	return r ? r : ended;
}

static void check_size(struct bed *b, size_t n)
{
	unsigned char *from = malloc(n + 1), *to = calloc(1, n + 1);
	unsigned char *pinned = b->pinned;

	fill(from, n, (unsigned)n);
	cr_assert_eq(there_and_back(b, from, to, n, false), 0);
	cr_assert_eq(memcmp(from, to, n), 0, "staged, %zu", n);
	cr_assert_eq(to[n], 0);
	memcpy(pinned, from, n);
	memset(pinned + LARGE, 0, n);
	cr_assert_eq(there_and_back(b, pinned, pinned + LARGE, n, true), 0);
	cr_assert_eq(memcmp(from, pinned + LARGE, n), 0, "direct, %zu", n);
	free(from);
	free(to);
}

static void check_sizes(const char *device)
{
	static const size_t sizes[] = {0, 1, 4096, 65536, 65537, MIB, MIB + 1, 3 * MIB, LARGE};
	struct bed b = bed_new(device, "");

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_size(&b, sizes[i]);
	cr_assert_eq(fakecuda_used(), 0, "everything was given back");
	bed_free(&b);
}

Test(transfer, sizes)
{
	check_sizes("cuda:0");
}

Test(transfer, on_a_host)
{
	check_sizes("cpu:0");
}

/* Two inputs of several parts: contents, and how many copies it took. */
static void check_parts(const char *settings, size_t part_bytes, bool pinned,
	unsigned batches_wanted, unsigned copies_wanted)
{
	struct bed b = bed_new("cuda:0", settings);
	struct transfer_input inputs[2] = {
		{.bytes = PARTS * part_bytes}, {.bytes = PARTS * part_bytes}};
	struct transfer_part parts[2 * PARTS];
	unsigned char *from = b.pinned, *to = malloc(2 * PARTS * part_bytes);

	fill(from, 2 * PARTS * part_bytes, 1);
	for (size_t i = 0; i < 2 * PARTS; i++)
		parts[i] = (struct transfer_part){.input = i / PARTS,
			.data = from + i * part_bytes,
			.bytes = part_bytes,
			.pinned = pinned};
	transfer_begin(b.t, CLOCK_NO_DEADLINE);
	cr_assert_eq(transfer_in(b.t, inputs, 2, parts, 2 * PARTS), 0);
	cr_assert_eq(fakecuda_calls("cudaMemcpyBatchAsync"), batches_wanted);
	cr_assert_eq(fakecuda_calls("cudaMemcpyAsync"), copies_wanted);
	cr_assert_eq((uintptr_t)inputs[1].data % TRANSFER_ALIGN, 0);
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(transfer_out(b.t, to + i * PARTS * part_bytes, inputs[i].data,
				     PARTS * part_bytes, false),
			0);
	cr_assert_eq(transfer_finish(b.t), 0);
	cr_assert_eq(transfer_end(b.t), 0);
	cr_assert_eq(memcmp(from, to, 2 * PARTS * part_bytes), 0);
	free(to);
	bed_free(&b);
}

Test(transfer, small_parts_are_gathered)
{
	check_parts("", 10, true, 0, 1);
	check_parts("", 10, false, 0, 1);
	check_parts("", 8192, true, 0, 1);
}

Test(transfer, large_parts_are_copied_by_one_call)
{
	check_parts("", 20000, true, 1, 0);
	check_parts("fail=cudaMemcpyBatchAsync:0:801", 20000, true, 1, 2 * PARTS);
}

Test(transfer, large_parts_that_are_staged_go_alone)
{
	check_parts("", 20000, false, 0, 2 * PARTS);
}

/* Of each kind one, and one of nothing. */
Test(transfer, parts_of_all_kinds)
{
	enum { PART = 40000 };
	struct bed b = bed_new("cuda:0", "");
	struct transfer_input input = {.bytes = 4 * PART};
	static unsigned char pageable[PART], to[4 * PART];
	unsigned char *pinned = b.pinned;
	struct transfer_part parts[] = {{.data = pinned, .bytes = PART, .pinned = true},
		{.data = pageable, .bytes = PART}, {.data = pinned, .pinned = true},
		{.bytes = PART, .on_device = true},
		{.data = pinned + PART, .bytes = PART, .pinned = true}};
	void *there;

	fill(pinned, 2 * PART, 1);
	fill(pageable, PART, 2);
	transfer_begin(b.t, CLOCK_NO_DEADLINE);
	cr_assert_eq(transfer_alloc(b.t, PART, &there), 0);
	cr_assert_eq(transfer_put(b.t, there, pageable, PART, false), 0);
	parts[3].data = there;
	cr_assert_eq(transfer_in(b.t, &input, 1, parts, 5), 0);
	cr_expect_eq(fakecuda_calls("cudaMemcpyBatchAsync"), 1, "the two direct ones");
	cr_assert_eq(transfer_out(b.t, to, input.data, sizeof(to), false), 0);
	cr_assert_eq(transfer_finish(b.t), 0);
	cr_assert_eq(transfer_end(b.t), 0);
	cr_expect_eq(memcmp(to, pinned, PART), 0);
	cr_expect_eq(memcmp(to + PART, pageable, PART), 0);
	cr_expect_eq(memcmp(to + 2 * PART, pageable, PART), 0);
	cr_expect_eq(memcmp(to + 3 * PART, pinned + PART, PART), 0);
	bed_free(&b);
}

Test(transfer, the_one_call_can_fail)
{
	struct bed b = bed_new("cuda:0", "fail=cudaMemcpyBatchAsync:1:1");
	struct transfer_input input = {.bytes = 2 * MIB};
	const struct transfer_part parts[] = {{.data = b.pinned, .bytes = MIB, .pinned = true},
		{.data = (char *)b.pinned + MIB, .bytes = MIB, .pinned = true}};

	for (int i = 0; i < 2; i++) {
		transfer_begin(b.t, CLOCK_NO_DEADLINE);
		cr_expect_eq(device_class(transfer_in(b.t, &input, 1, parts, 2)),
			i == 0 ? DEVICE_E_REQUEST : 0);
		cr_expect_eq(transfer_end(b.t), 0);
	}
	cr_expect_eq(fakecuda_used(), 0);
	bed_free(&b);
}

Test(transfer, one_small_input_that_is_pinned_is_not_copied_twice)
{
	struct bed b = bed_new("cuda:0", "");

	cr_assert_eq(there_and_back(&b, b.pinned, (char *)b.pinned + 64, 64, true), 0);
	cr_assert_eq(fakecuda_calls("cudaHostAlloc"), 1, "the bed's");
	bed_free(&b);
}

Test(transfer, no_inputs)
{
	struct bed b = bed_new("cuda:0", "");
	void *data;

	transfer_begin(b.t, CLOCK_NO_DEADLINE);
	cr_assert_eq(transfer_in(b.t, NULL, 0, NULL, 0), 0);
	cr_assert_eq(transfer_alloc(b.t, 100, &data), 0);
	cr_assert_eq(transfer_finish(b.t), 0);
	cr_assert_eq(transfer_end(b.t), 0);
	cr_assert_not_null(transfer_stream(b.t));
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(&b);
}

/* What is in device memory that a run is given, behind a run that had other bytes there. */
static void look_at_memory(struct bed *b, unsigned char *to, size_t n,
	int alloc(struct transfer *t, uint64_t bytes, void **ret_data))
{
	static unsigned char others[LARGE];
	void *data;

	memset(others, 0x5a, n);
	cr_assert_eq(there_and_back(b, others, others, n, false), 0);
	transfer_begin(b->t, CLOCK_NO_DEADLINE);
	cr_assert_eq(alloc(b->t, n, &data), 0);
	cr_assert_eq(transfer_out(b->t, to, data, n, false), 0);
	cr_assert_eq(transfer_finish(b->t), 0);
	cr_assert_eq(transfer_end(b->t), 0);
}

Test(transfer, memory_for_outputs_has_nothing_of_a_run_before)
{
	static const size_t sizes[] = {1, 1000, LARGE};
	static unsigned char found[LARGE], zeroes[LARGE];
	struct bed b = bed_new("cuda:0", "");

	look_at_memory(&b, found, 1000, transfer_alloc);
	cr_assert_neq(found[999], 0, "else this shows nothing");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		look_at_memory(&b, found, sizes[i], transfer_alloc_clear);
		cr_assert_eq(memcmp(found, zeroes, sizes[i]), 0);
	}
	transfer_begin(b.t, CLOCK_NO_DEADLINE);
	cr_assert_eq(transfer_alloc_clear(b.t, 0, &(void *){NULL}), 0);
	cr_assert_eq(transfer_finish(b.t), 0);
	cr_assert_eq(transfer_end(b.t), 0);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(&b);
}

Test(transfer, device_memory_that_is_exhausted_fails_one_run)
{
	struct bed b = bed_new("cuda:0", "memory_mib=4");
	static unsigned char data[5 * 1024 * 1024];

	cr_assert_eq(
		device_class(there_and_back(&b, data, data, sizeof(data), false)), DEVICE_E_MEMORY);
	cr_assert_eq(there_and_back(&b, data, data, 3 * MIB, false), 0);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(&b);
}

Test(transfer, a_device_that_hangs_is_given_up)
{
	struct bed b = bed_new("cuda:0", "stall=1");
	struct transfer_input input = {.bytes = 3 * MIB};
	struct transfer_part part = {.data = b.pinned, .bytes = 3 * MIB};

	transfer_begin(b.t, clock_ns() + NS_PER_MS);
	cr_assert_eq(device_class(transfer_in(b.t, &input, 1, &part, 1)), DEVICE_E_TIMEOUT);
	cr_assert_eq(device_class(transfer_end(b.t)), DEVICE_E_TIMEOUT);
	fakecuda_resume();
	bed_free(&b);
}

/* Whichever copy fails, the run does, nothing of it is left, and the next one is well. */
Test(transfer, each_copy_can_fail)
{
	static unsigned char data[3 * 1024 * 1024];
	char settings[64];
	unsigned n = 1;

	for (bool failed = true; failed; n++) {
		struct bed b;

		snprintf(settings, sizeof(settings), "fail=cudaMemcpyAsync:%u:1", n);
		b = bed_new("cuda:0", settings);
		failed = there_and_back(&b, data, data, sizeof(data), false) != 0;
		if (failed)
			cr_assert_eq(there_and_back(&b, data, data, sizeof(data), false), 0);
		cr_assert_eq(fakecuda_used(), 0);
		bed_free(&b);
	}
	cr_assert_eq(n, 8, "three chunks there and three back");
}

Test(transfer, a_context_can_be_lost_anywhere)
{
	static const char *const calls[] = {"cudaMallocAsync", "cudaMemcpyAsync", "cudaEventRecord",
		"cudaEventQuery", "cudaHostAlloc", "cudaFreeAsync"};
	static unsigned char data[100000];
	char settings[64];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct bed b;

		snprintf(settings, sizeof(settings), "fail=%s:%d:719", calls[i],
			!strcmp(calls[i], "cudaHostAlloc") ? 2 : 1);
		b = bed_new("cuda:0", settings);
		cr_assert_eq(device_class(there_and_back(&b, data, data, sizeof(data), false)),
			DEVICE_E_LOST, "%s", calls[i]);
		bed_free(&b);
	}
}

static int work(void *arg)
{
	static unsigned char data[100000];
	struct bed b = {.d = arg};
	int r = transfer_new(&b.t, b.d, DEVICE_PRIORITY_NORMAL);

	if (!r)
		r = there_and_back(&b, data, data, sizeof(data), false);
	transfer_free(b.t);
	return r;
}

Test(transfer, faults)
{
	struct bed b = bed_new("cuda:0", "");

	FAULT_LOOP(work, b.d);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(&b);
}

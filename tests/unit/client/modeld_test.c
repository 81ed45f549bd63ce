/* modeld_test.c: libmodeld against a fake daemon: memory, calls in any order, and a daemon that lies. */
#include "clients/c/modeld.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "fake_handoff.h"
#include "tests/support/failalloc.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct fake_handoff daemon_;
static struct modeld_error error;

static struct modeld *connected(enum fake_mode mode)
{
	const struct modeld_options options = {.handoff = daemon_.path};
	struct modeld *m = NULL;

	fake_handoff_start(&daemon_, mode);
	return modeld_connect(&m, &options, &error) ? NULL : m;
}

static void stop(void)
{
	if (daemon_.pid > 0)
		fake_handoff_stop(&daemon_);
}

TestSuite(modeld, .fini = stop);

/* A request of one f32 input of two elements at 0 of r, its target at 64. */
struct sample {
	struct modeld_tensor input;
	struct modeld_target target;
	struct modeld_request request;
};

static void sample_init(struct sample *s, struct modeld_region *r, const char *model)
{
	*s = (struct sample){
		.input = {.type = MODELD_F32, .rank = 1, .dims = {2}, .region = r, .bytes = 8},
		.target = {.region = r, .offset = 64, .bytes = 16},
		.request = {.model = model, .n_inputs = 1, .n_targets = 1}};
	s->request.inputs = &s->input;
	s->request.targets = &s->target;
}

static struct modeld_region *allocated(struct modeld *m)
{
	struct modeld_region *r = NULL;

	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 0, "%s", error.text);
	return r;
}

static int own_memfd(size_t bytes, int seals)
{
	int fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* --- Connecting --------------------------------------------------------------------------------- */

Test(modeld, limits)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_limits l;

	cr_assert_eq(modeld_get_limits(m, &l, &error), 0);
	cr_assert(l.user_device_bytes == 1 << 21 && l.user_device_used_bytes == 4096);
	cr_assert_eq(l.total_bytes, 1 << 30);
	cr_assert_eq(l.total_used_bytes, 5000);
	cr_assert_eq(l.user_used_bytes, 4096);
	cr_assert_eq(l.max_inline_bytes, FAKE_INLINE_MAX);
	cr_assert_eq(l.busy_poll_us, FAKE_BUSY_US);
	cr_assert_geq(modeld_descriptor(m), 0);
	modeld_close(m);
	modeld_close(NULL);
}

Test(modeld, the_socket_is_found_by_the_environment)
{
	struct modeld *m = NULL;

	fake_handoff_start(&daemon_, FAKE_GOOD);
	cr_assert_eq(setenv("MODELD_HANDOFF", daemon_.path, 1), 0);
	cr_assert_eq(modeld_connect(&m, NULL, &error), 0);
	modeld_close(m);
}

Test(modeld, nobody_listens)
{
	const struct modeld_options options = {.handoff = "/nonexistent/handoff.sock"};
	static char path[200];
	const struct modeld_options too_long = {.handoff = path};
	struct modeld *m = NULL;

	cr_assert_eq(modeld_connect(&m, &options, &error), MODELD_E_SYSTEM);
	cr_assert_null(m);
	cr_assert(strstr(error.text, "/nonexistent/handoff.sock"), "%s", error.text);
	memset(path, 'x', sizeof(path) - 1);
	cr_assert_eq(modeld_connect(&m, &too_long, &error), MODELD_E_USAGE);
}

Test(modeld, another_protocol)
{
	cr_assert_null(connected(FAKE_OTHER_PROTOCOL));
	cr_assert_eq(error.code, MODELD_E_SYSTEM);
	cr_assert(
		strstr(error.text, "speaks handoff protocol 2, this library 1"), "%s", error.text);
}

Test(modeld, refused_with_a_reason)
{
	cr_assert_null(connected(FAKE_FULL));
	cr_assert_eq(error.code, 8, "%s", error.text);
	cr_assert_str_eq(error.text, "max_connections: 1");
}

Test(modeld, a_daemon_that_never_answers)
{
	const struct modeld_options options = {.handoff = NULL, .timeout_us = 20000};
	struct modeld_options here = options;
	struct modeld *m = NULL;

	fake_handoff_start(&daemon_, FAKE_SILENT);
	here.handoff = daemon_.path;
	cr_assert_eq(modeld_connect(&m, &here, &error), MODELD_E_TIMEOUT);
	cr_assert_null(m);
}

Test(modeld, a_daemon_that_talks_nonsense)
{
	cr_assert_null(connected(FAKE_GARBAGE));
	cr_assert_eq(error.code, MODELD_E_SYSTEM);
	cr_assert(strstr(error.text, "broke the protocol"), "%s", error.text);
}

/* --- Memory ------------------------------------------------------------------------------------- */

Test(modeld, allocate)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = NULL;

	cr_assert_eq(modeld_allocate(m, 5000, &r, &error), 0);
	cr_assert_eq(modeld_region_bytes(r), 8192, "whole pages");
	cr_assert_str_eq(modeld_region_id(r), "01010101010101010101010101010101");
	memset(modeld_region_data(r), 1, 8192);
	cr_assert_eq(modeld_allocate(m, 0, &r, &error), MODELD_E_USAGE);
	modeld_release(r);
	modeld_release(NULL);
	modeld_close(m);
}

Test(modeld, register_own_memory)
{
	struct modeld *m = connected(FAKE_GOOD);
	int fd = own_memfd(4096, SEALS);
	struct modeld_region *r = NULL;
	struct modeld_result *result;
	struct sample s;

	cr_assert_eq(modeld_register(m, fd, 4096, &r, &error), 0, "%s", error.text);
	close(fd);
	sample_init(&s, r, "");
	((float *)modeld_region_data(r))[1] = 5;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
	cr_assert_eq(((const float *)modeld_region_data(r))[17], 5);
	modeld_result_free(result);
	modeld_release(r);
	modeld_close(m);
}

Test(modeld, register_memory_sealed_against_writing)
{
	struct modeld *m = connected(FAKE_GOOD);
	int fd = own_memfd(4096, SEALS | F_SEAL_FUTURE_WRITE);
	struct modeld_region *r = NULL;
	struct modeld_result *result;
	struct sample s;

	cr_assert_eq(modeld_register(m, fd, 4096, &r, &error), 0, "%s", error.text);
	sample_init(&s, r, "");
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "sealed against writing"), "%s", error.text);
	s.request.n_targets = 0;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "inputs are fine");
	modeld_result_free(result);
	close(fd);
	modeld_close(m);
}

Test(modeld, register_what_is_not_so)
{
	struct modeld *m = connected(FAKE_GOOD);
	int fd = own_memfd(4096, SEALS);
	struct modeld_region *r = NULL;

	cr_assert_eq(modeld_register(m, fd, 8192, &r, &error), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "has 4096 bytes, not 8192"), "%s", error.text);
	cr_assert_eq(modeld_register(m, fd, 0, &r, &error), MODELD_E_USAGE);
	cr_assert_eq(modeld_register(m, -1, 4096, &r, &error), MODELD_E_SYSTEM);
	cr_assert_null(r);
	cr_assert_eq(modeld_register(m, fd, 4096, &r, &error), 0, "the connection is as before");
	close(fd);
	modeld_close(m);
}

/* What stands in for memory on a GPU is a memfd, which nothing here may map. */
Test(modeld, memory_on_a_gpu)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_device_memory memory = {
		.fd = own_memfd(4096, SEALS), .bytes = 4096, .gpu = "GPU-1", .data = &m};
	struct modeld_tensor input = {.type = MODELD_U8, .rank = 1, .dims = {4}, .bytes = 4};
	struct modeld_target target = {.offset = 64, .bytes = 4};
	struct modeld_request q = {
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};
	struct modeld_region *r = NULL, *inputs = NULL;
	struct modeld_result *result;

	cr_assert_eq(modeld_register_device(m, &memory, &r, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_region_data(r), memory.data);
	cr_assert_eq(modeld_region_bytes(r), 4096);
	input.region = target.region = r;
	cr_assert_eq(modeld_infer(m, &q, &result, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_result_output(result, 0)->region, r);
	cr_assert_eq((const char *)modeld_result_output(result, 0)->data,
		(const char *)memory.data + 64, "where the caller has it");
	modeld_result_free(result);
	memory.read_only = 1;
	cr_assert_eq(modeld_register_device(m, &memory, &inputs, &error), 0, "%s", error.text);
	target.region = inputs;
	cr_assert_eq(modeld_infer(m, &q, &result, &error), MODELD_E_USAGE);
	modeld_release(inputs);
	modeld_release(r);
	close(memory.fd);
	modeld_close(m);
}

Test(modeld, memory_on_a_gpu_that_is_not_so)
{
	struct modeld *m = connected(FAKE_GOOD);
	const struct modeld_device_memory good = {
		.fd = own_memfd(4096, SEALS), .bytes = 4096, .gpu = "0", .data = &m};
	struct modeld_device_memory memory[] = {good, good, good, good, good};
	struct modeld_region *r = NULL;

	memory[0].bytes = 0;
	memory[1].data = NULL;
	memory[2].gpu = NULL;
	memory[3].gpu = "";
	memory[4].fd = -1;
	for (size_t i = 0; i < 5; i++)
		cr_assert_eq(modeld_register_device(m, &memory[i], &r, &error), MODELD_E_USAGE);
	cr_assert_null(r);
	close(good.fd);
	modeld_close(m);
}

Test(modeld, over_quota_is_an_answer)
{
	struct modeld *m = connected(FAKE_REFUSING);
	struct modeld_region *r = NULL;
	struct modeld_limits l;

	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 8);
	cr_assert_str_eq(error.text, "over quota: user_bytes");
	cr_assert_null(r);
	cr_assert_eq(modeld_get_limits(m, &l, &error), 0, "and not the end");
	modeld_close(m);
}

/* Each of them costs the connection, and no descriptor. */
static void check_liar(enum fake_mode mode, bool own)
{
	unsigned fds = failalloc_open_fds();
	struct modeld *m = connected(mode);
	struct modeld_region *r = NULL;
	struct modeld_limits l;
	int fd = own ? own_memfd(4096, SEALS) : -1;
	int e = own ? modeld_register(m, fd, 4096, &r, &error)
		    : modeld_allocate(m, 4096, &r, &error);

	cr_assert_eq(e, MODELD_E_SYSTEM, "mode %d: %d %s", (int)mode, e, error.text);
	cr_assert_eq(error.code, e);
	cr_assert_null(r);
	cr_assert_eq(modeld_get_limits(m, &l, &error), MODELD_E_SYSTEM, "mode %d", (int)mode);
	modeld_close(m);
	if (own)
		close(fd);
	cr_assert_eq(failalloc_open_fds(), fds, "mode %d", (int)mode);
	fake_handoff_stop(&daemon_);
	daemon_.pid = 0;
}

Test(modeld, lies_about_memory)
{
	static const enum fake_mode allocating[] = {FAKE_NO_DESCRIPTOR, FAKE_TWO_DESCRIPTORS,
		FAKE_UNSEALED, FAKE_SHORT, FAKE_LESS, FAKE_WRONG_ANSWER, FAKE_GONE, FAKE_FUTURE};
	static const enum fake_mode registering[] = {
		FAKE_EXTRA_DESCRIPTOR, FAKE_WRONG_ANSWER, FAKE_WRONG_SIZE, FAKE_GONE, FAKE_FUTURE};

	for (size_t i = 0; i < sizeof(allocating) / sizeof(allocating[0]); i++)
		check_liar(allocating[i], false);
	for (size_t i = 0; i < sizeof(registering) / sizeof(registering[0]); i++)
		check_liar(registering[i], true);
}

/* --- Inference ---------------------------------------------------------------------------------- */

Test(modeld, into_a_target)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	float *data = modeld_region_data(r);
	struct modeld_result *result;
	const struct modeld_tensor *t;
	uint64_t queue, compute, total;
	struct sample s;

	sample_init(&s, r, "");
	data[0] = 1.5f;
	data[1] = -2;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_result_n(result), 1);
	t = modeld_result_output(result, 0);
	cr_assert_null(modeld_result_output(result, 1));
	cr_assert_eq(modeld_result_find(result, "out"), t);
	cr_assert_null(modeld_result_find(result, "other"));
	cr_assert_eq((int)t->type, MODELD_F32);
	cr_assert_eq(t->rank, 1);
	cr_assert_eq(t->dims[0], 2);
	cr_assert_eq(t->region, r);
	cr_assert_eq(t->offset, 64);
	cr_assert_eq(t->bytes, 8);
	cr_assert_eq(t->data, data + 16);
	cr_assert_eq(data[17], -2);
	modeld_result_times(result, &queue, &compute, &total);
	cr_assert_eq(queue, 1);
	cr_assert_eq(compute, 2);
	cr_assert_eq(total, 4);
	modeld_result_free(result);
	modeld_result_free(NULL);
	modeld_close(m);
}

Test(modeld, inline_outputs)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_result *result, *second;
	const struct modeld_tensor *t;
	struct sample s;

	sample_init(&s, r, "two");
	s.request.n_targets = 0;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
	t = modeld_result_find(result, "sum");
	cr_assert_null(t->region);
	cr_assert_eq(*(const float *)t->data, 42);
	t = modeld_result_find(result, "text");
	cr_assert_eq((int)t->type, MODELD_BYTES);
	cr_assert_eq(t->bytes, 11);
	cr_assert_eq((uintptr_t)t->data % 16, 0);
	s.request.model = "none";
	cr_assert_eq(modeld_infer(m, &s.request, &second, &error), 0);
	cr_assert_eq(modeld_result_n(second), 0);
	modeld_close(m);
	cr_assert_arr_eq(t->data, "\1\0\0\0a\2\0\0\0bc", 11, "results outlive the connection");
	modeld_result_free(result);
	modeld_result_free(second);
}

Test(modeld, trace_context)
{
	static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, allocated(m), "traced");
	s.request.traceparent = parent;
	s.request.tracestate = "a=1,b=2";
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 9);
	cr_assert_eq(strncmp(error.text, parent, sizeof(parent) - 1), 0, "%s", error.text);
	cr_assert(strstr(error.text, " a=1,b=2"), "%s", error.text);
	s.request.traceparent = "00-no";
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_USAGE);
	s.request.traceparent = parent;
	s.request.tracestate = "a=1\r\nx: y";
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_USAGE);
	modeld_close(m);
}

Test(modeld, an_output_in_a_region_that_is_made_for_it)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m), *made;
	const struct modeld_tensor *out;
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "room");
	memcpy(modeld_region_data(r), "8 bytes", 8);
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 9, "only where it is asked for");
	s.request.make_room = 1;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
	out = modeld_result_output(result, 0);
	cr_assert_neq(out->region, r);
	cr_assert_eq(out->offset, 64);
	cr_assert_str_eq(out->data, "8 bytes");
	made = modeld_result_region(result);
	cr_assert_eq(made, out->region);
	cr_assert_null(modeld_result_region(result), "it was taken");
	modeld_result_free(result);
	cr_assert_str_eq((const char *)modeld_region_data(made) + 64, "8 bytes");
	/* It is as good as any other. */
	s.request.model = "";
	s.target = (struct modeld_target){.region = made, .offset = 128, .bytes = 8};
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_result_output(result, 0)->region, made);
	modeld_result_free(result);
	modeld_release(made);
	modeld_close(m);
}

Test(modeld, a_region_that_is_not_taken_goes_with_its_result)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_result *result, *kept;
	struct sample s;

	sample_init(&s, allocated(m), "room");
	s.request.make_room = 1;
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
		modeld_result_free(result);
	}
	cr_assert_eq(modeld_infer(m, &s.request, &kept, &error), 0);
	modeld_close(m);
	cr_assert_null(modeld_result_region(kept), "regions go with their connection");
	modeld_result_free(kept);
}

static int n_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	cr_assert(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "/memfd:") != NULL;
	(void)fclose(maps);
	return n;
}

/* Also with a call that is one too many to be kept for others. */
Test(modeld, a_region_that_nobody_wants_any_more_goes_with_its_call)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_call *made, *calls[100];
	struct modeld_result *result;
	int before = n_mapped();
	struct sample s;

	sample_init(&s, r, "room");
	s.request.make_room = 1;
	cr_assert_eq(modeld_submit(m, &s.request, &made, &error), 0);
	s.request.model = "";
	for (size_t i = 0; i < 100; i++)
		cr_assert_eq(modeld_submit(m, &s.request, &calls[i], &error), 0);
	for (size_t i = 0; i < 100; i++) {
		cr_assert_eq(modeld_wait(calls[i], UINT64_MAX, &result, &error), 0);
		modeld_result_free(result);
	}
	cr_assert_gt(n_mapped(), before);
	modeld_cancel(made);
	cr_assert_eq(n_mapped(), before);
	modeld_close(m);
}

Test(modeld, a_region_that_nobody_asked_for_ends_the_connection)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, allocated(m), "room-unasked");
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_SYSTEM);
	cr_assert(strstr(error.text, "broke the protocol"), "%s", error.text);
	modeld_close(m);
}

Test(modeld, the_daemons_errors_concern_one_call)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_result *result = NULL;
	struct sample s;

	sample_init(&s, r, "error");
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 9);
	cr_assert_eq(error.code, 9);
	cr_assert_str_eq(error.text, "no luck");
	cr_assert_null(result);
	s.request.model = "";
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
	modeld_result_free(result);
	modeld_close(m);
}

Test(modeld, answers_in_any_order)
{
	enum { N = 130 }; /* more than there are buckets */
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_call *calls[N], *last;
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "hold");
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(modeld_submit(m, &s.request, &calls[i], &error), 0);
	cr_assert_eq(modeld_wait(calls[0], 0, &result, &error), MODELD_E_TIMEOUT);
	cr_assert_eq(modeld_wait(calls[0], 1000, &result, &error), MODELD_E_TIMEOUT);
	s.request.model = "release";
	cr_assert_eq(modeld_submit(m, &s.request, &last, &error), 0);
	for (size_t i = 0; i < N; i++) {
		cr_assert_eq(modeld_wait(calls[i], UINT64_MAX, &result, &error), 0);
		cr_assert_eq(modeld_result_n(result), 0);
		modeld_result_free(result);
	}
	cr_assert_eq(modeld_wait(last, 0, &result, &error), 0, "it came before the others");
	cr_assert_eq(modeld_result_n(result), 1);
	modeld_result_free(result);
	modeld_close(m);
}

Test(modeld, the_descriptor_tells)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct pollfd p = {.fd = modeld_descriptor(m), .events = POLLIN};
	struct modeld_call *call;
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "");
	cr_assert_eq(poll(&p, 1, 0), 0);
	cr_assert_eq(modeld_submit(m, &s.request, &call, &error), 0);
	cr_assert_eq(poll(&p, 1, -1), 1);
	cr_assert_eq(modeld_wait(call, 0, &result, &error), 0);
	modeld_result_free(result);
	modeld_close(m);
}

Test(modeld, busy_polling)
{
	static const uint32_t settings[] = {1, 1000000, UINT32_MAX};

	fake_handoff_start(&daemon_, FAKE_GOOD);
	for (size_t i = 0; i < 3; i++) {
		const struct modeld_options options = {
			.handoff = daemon_.path, .busy_poll_us = settings[i]};
		struct modeld_result *result;
		struct modeld *m = NULL;
		struct sample s;

		cr_assert_eq(modeld_connect(&m, &options, &error), 0);
		sample_init(&s, allocated(m), "");
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
		modeld_result_free(result);
		modeld_close(m);
	}
}

Test(modeld, an_answer_that_comes_twice_is_dropped)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "twice");
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
		modeld_result_free(result);
	}
	modeld_close(m);
}

Test(modeld, forged_answers_end_the_connection)
{
	static const char *const models[] = {"forge-region", "forge-offset", "forge-length",
		"forge-shape", "forge-dtype", "wrong", "fd", "more", "empty", "room-none",
		"room-outside", "room-unsealed"};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		unsigned fds = failalloc_open_fds();
		struct modeld *m = connected(FAKE_GOOD);
		struct modeld_region *r = allocated(m), *other = NULL;
		struct modeld_result *result = NULL;
		struct sample s;

		sample_init(&s, r, models[i]);
		s.request.make_room = 1;
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_SYSTEM, "%s",
			models[i]);
		cr_assert(strstr(error.text, "broke the protocol"), "%s", error.text);
		cr_assert_null(result);
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), MODELD_E_SYSTEM);
		cr_assert_eq(modeld_allocate(m, 1, &other, &error), MODELD_E_SYSTEM);
		modeld_release(r);
		modeld_close(m);
		cr_assert_eq(failalloc_open_fds(), fds, "%s", models[i]);
		stop();
		daemon_.pid = 0;
	}
}

Test(modeld, the_daemon_dies)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_call *held, *calls[2];
	struct modeld_result *result = NULL;
	struct sample s;

	sample_init(&s, r, "hold");
	cr_assert_eq(modeld_submit(m, &s.request, &held, &error), 0);
	cr_assert_eq(modeld_submit(m, &s.request, &calls[0], &error), 0);
	s.request.model = "die";
	cr_assert_eq(modeld_submit(m, &s.request, &calls[1], &error), 0);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(modeld_wait(calls[i], UINT64_MAX, &result, &error), MODELD_E_SYSTEM);
		cr_assert(strstr(error.text, "closed by the daemon"), "%s", error.text);
	}
	modeld_cancel(held);
	cr_assert_eq(modeld_submit(m, &s.request, &held, &error), MODELD_E_SYSTEM);
	((float *)modeld_region_data(r))[0] = 1;
	modeld_close(m);
}

Test(modeld, cancel)
{
	static const char *const models[] = {"hold", "hold-quiet", ""};
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_call *call;
	struct modeld_result *result;
	struct sample s;

	for (size_t i = 0; i < 3; i++) {
		sample_init(&s, r, models[i]);
		cr_assert_eq(modeld_submit(m, &s.request, &call, &error), 0);
		modeld_cancel(call);
	}
	modeld_cancel(NULL);
	sample_init(&s, r, "");
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
	modeld_result_free(result);
	modeld_close(m);
}

Test(modeld, a_region_released_under_a_call)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *in = allocated(m), *out = allocated(m);
	struct modeld_call *call;
	struct modeld_result *result = NULL;
	struct sample s;

	sample_init(&s, in, "");
	s.target.region = out;
	cr_assert_eq(modeld_submit(m, &s.request, &call, &error), 0);
	modeld_release(out);
	cr_assert_eq(modeld_wait(call, UINT64_MAX, &result, &error), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "released"), "%s", error.text);
	cr_assert_null(result);
	modeld_close(m);
}

Test(modeld, a_region_released_behind_an_answer)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *in = allocated(m), *out = allocated(m);
	struct modeld_call *call;
	struct modeld_result *result = NULL;
	struct sample s;

	sample_init(&s, in, "");
	s.target.region = out;
	cr_assert_eq(modeld_submit(m, &s.request, &call, &error), 0);
	s.target.region = in;
	cr_assert_eq(
		modeld_infer(m, &s.request, &result, &error), 0, "which takes both answers in");
	modeld_result_free(result);
	result = NULL;
	modeld_release(out);
	cr_assert_eq(modeld_wait(call, 0, &result, &error), MODELD_E_USAGE);
	cr_assert_null(result);
	cr_assert_eq(
		modeld_infer(m, &s.request, &result, &error), 0, "the next call is not marked");
	modeld_result_free(result);
	modeld_close(m);
}

/* More than the socket holds, to a daemon whose answers nobody reads meanwhile. */
Test(modeld, a_full_socket_is_waited_for)
{
	enum { N = 2000 };
	static struct modeld_call *calls[N];
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "two");
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(modeld_submit(m, &s.request, &calls[i], &error), 0, "%s", error.text);
	for (size_t i = 0; i < N; i++) {
		cr_assert_eq(modeld_wait(calls[i], UINT64_MAX, &result, &error), 0);
		modeld_result_free(result);
	}
	modeld_close(m);
}

Test(modeld, requests_that_make_no_sense)
{
	static char name[130 * 1024];
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_tensor many[MODELD_TENSORS_MAX + 1];
	struct modeld_call *call = NULL;
	struct sample s;

#define EXPECT_USAGE(change)                                                                       \
	do {                                                                                       \
		sample_init(&s, r, "");                                                            \
		change;                                                                            \
		cr_assert_eq(                                                                      \
			modeld_submit(m, &s.request, &call, &error), MODELD_E_USAGE, #change);     \
		cr_assert_null(call);                                                              \
		cr_assert_neq(error.text[0], 0);                                                   \
	} while (0)
	EXPECT_USAGE(s.input.region = NULL);
	EXPECT_USAGE(s.target.region = NULL);
	EXPECT_USAGE(s.input.offset = 4096 - 7);
	EXPECT_USAGE(s.input.offset = UINT64_MAX);
	EXPECT_USAGE(s.target.bytes = 4096 - 63);
	EXPECT_USAGE(s.target.bytes = UINT64_MAX);
	EXPECT_USAGE(s.input.bytes = 4);
	EXPECT_USAGE(s.input.type = (enum modeld_type)0);
	EXPECT_USAGE(s.input.type = (enum modeld_type)15);
	EXPECT_USAGE(s.input.rank = MODELD_RANK_MAX + 1);
	EXPECT_USAGE(s.input.dims[0] = -1);
	EXPECT_USAGE(s.input.dims[0] = INT64_MAX);
	EXPECT_USAGE(s.request.inputs = many; s.request.n_inputs = MODELD_TENSORS_MAX + 1);
	EXPECT_USAGE(s.request.n_targets = MODELD_TENSORS_MAX + 1);
	memset(name, 'x', sizeof(name) - 1);
	EXPECT_USAGE(s.request.model = name);
	cr_assert_eq(modeld_submit(m, (sample_init(&s, r, ""), &s.request), &call, &error), 0);
	modeld_close(m);
}

Test(modeld, regions_of_another_connection_are_refused)
{
	struct modeld *m = connected(FAKE_GOOD), *other = NULL;
	struct fake_handoff second;
	struct modeld_options options = {0};
	struct modeld_call *call;
	struct sample s;

	fake_handoff_start(&second, FAKE_GOOD);
	options.handoff = second.path;
	cr_assert_eq(modeld_connect(&other, &options, &error), 0);
	sample_init(&s, allocated(other), "");
	cr_assert_eq(modeld_submit(m, &s.request, &call, &error), MODELD_E_USAGE);
	modeld_close(other);
	modeld_close(m);
	fake_handoff_stop(&second);
}

Test(modeld, as_many_tensors_as_allowed)
{
	static struct modeld_tensor inputs[MODELD_TENSORS_MAX];
	static struct modeld_target targets[MODELD_TENSORS_MAX];
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, allocated(m), "");
	for (size_t i = 0; i < MODELD_TENSORS_MAX; i++) {
		inputs[i] = s.input;
		targets[i] = s.target;
	}
	s.request.inputs = inputs;
	s.request.n_inputs = MODELD_TENSORS_MAX;
	s.request.targets = targets;
	s.request.n_targets = MODELD_TENSORS_MAX;
	cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_result_n(result), 1);
	modeld_result_free(result);
	modeld_close(m);
}

/* --- Costs and faults --------------------------------------------------------------------------- */

Test(modeld, nothing_is_allocated_in_the_steady_state)
{
	struct modeld *m = connected(FAKE_GOOD);
	struct modeld_region *r = allocated(m);
	struct modeld_result *result;
	struct sample s;

	sample_init(&s, r, "");
	for (size_t i = 0; i < 10; i++) {
		s.request.n_targets = i % 2;
		if (i == 2)
			failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
		cr_assert_eq(modeld_infer(m, &s.request, &result, &error), 0);
		modeld_result_free(result);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	modeld_close(m);
}

static int one_of_everything(void *arg)
{
	const struct modeld_options options = {.handoff = daemon_.path};
	struct modeld *m = NULL;
	struct modeld_region *r = NULL, *own = NULL;
	struct modeld_result *result = NULL;
	struct modeld_call *call = NULL;
	struct modeld_error e = {0};
	struct sample s;
	int fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int code = fd < 0 || ftruncate(fd, 4096) || fcntl(fd, F_ADD_SEALS, SEALS);

	if (!code)
		code = modeld_connect(&m, &options, &e);
	if (!code)
		code = modeld_allocate(m, 4096, &r, &e);
	if (!code)
		code = modeld_register(m, fd, 4096, &own, &e);
	if (!code) {
		sample_init(&s, r, "");
		s.target.region = own;
		code = modeld_infer(m, &s.request, &result, &e);
	}
	if (!code) {
		modeld_result_free(result);
		result = NULL;
		s.request.model = "room";
		s.request.make_room = 1;
		code = modeld_infer(m, &s.request, &result, &e);
	}
	if (!code) {
		s.request.model = "hold";
		code = modeld_submit(m, &s.request, &call, &e);
	}
	if (!code)
		modeld_cancel(call);
	cr_assert(!code || e.code == code || failalloc_failed() > 0);
	cr_assert_eq(m == NULL || r == NULL || own == NULL || result == NULL || call == NULL,
		code != 0, "outputs are there on success only");
	modeld_result_free(result);
	modeld_release(own);
	modeld_release(r);
	modeld_close(m);
	close_fd(&fd);
	return code;
}

Test(modeld, fault_loop)
{
	fake_handoff_start(&daemon_, FAKE_GOOD);
	FAULT_LOOP(one_of_everything, NULL);
}

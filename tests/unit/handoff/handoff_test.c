/* Tests of the handoff as its clients see it, over real sockets, on a fake dispatch. */
#include "handoff/handoff.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/peer.h"
#include "base/seqpacket.h"
#include "dispatch/demand.h"
#include "fake_peer.h"
#include "tests/support/failalloc.h"

#define PAGE 4096u

static struct bench b;
static unsigned fds_before;
static uint64_t seq;

static void setup(void)
{
	bench_warm_up();
	fds_before = failalloc_open_fds();
	bench_init(&b);
	cr_assert_eq(bench_open(&b), 0);
}

static void teardown(void)
{
	bench_close(&b, true);
	cr_expect_eq(failalloc_settled_fds(fds_before), fds_before);
}

TestSuite(handoff, .init = setup, .fini = teardown);

static int join(void)
{
	int fd = bench_connect(&b);

	cr_assert_geq(fd, 0);
	return fd;
}

/* --- Asking: each returns the answer, which free_answer() frees ------------------------------- */

static int came; /* the descriptor with the last answer; -1: none */

static Envelope *next(int fd)
{
	return bench_receive(&b, fd, &came);
}

static Envelope *ask(int fd, Envelope *e, const int *fds, size_t n_fds)
{
	Envelope *answer;

	e->seq = ++seq;
	cr_assert(bench_send(fd, e, fds, n_fds));
	answer = next(fd);
	cr_assert(answer, "the connection has ended");
	cr_assert_eq(answer->seq, seq);
	return answer;
}

static void free_answer(Envelope *e)
{
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

#define BODY(kind, field, value)                                                                   \
	{                                                                                          \
		.base = PROTOBUF_C_MESSAGE_INIT(&modeld__handoff__envelope__descriptor),           \
		.body_case = MODELD__HANDOFF__ENVELOPE__BODY_##kind, .field = (value)              \
	}

static Envelope *ask_limits(int fd)
{
	Modeld__Handoff__GetLimits m = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = BODY(GET_LIMITS, get_limits, &m);

	return ask(fd, &e, NULL, 0);
}

static uint32_t used_regions(int fd)
{
	Envelope *answer = ask_limits(fd);
	uint32_t n = answer->limits->user_used_regions;

	free_answer(answer);
	return n;
}

static Envelope *ask_register(int fd, uint64_t size, const int *fds, size_t n_fds)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = BODY(REGISTER, register_, &m);

	m.size = size;
	return ask(fd, &e, fds, n_fds);
}

static Envelope *ask_allocate(int fd, uint64_t size)
{
	Modeld__Handoff__Allocate m = MODELD__HANDOFF__ALLOCATE__INIT;
	Envelope e = BODY(ALLOCATE, allocate, &m);

	m.size = size;
	return ask(fd, &e, NULL, 0);
}

static Envelope *ask_unregister(int fd, const uint8_t *token, size_t n)
{
	Modeld__Handoff__Unregister m = MODELD__HANDOFF__UNREGISTER__INIT;
	Envelope e = BODY(UNREGISTER, unregister, &m);

	m.region.data = (uint8_t *)token;
	m.region.len = n;
	return ask(fd, &e, NULL, 0);
}

static Envelope *ask_cancel(int fd, uint64_t of)
{
	Modeld__Handoff__Cancel m = MODELD__HANDOFF__CANCEL__INIT;
	Envelope e = BODY(CANCEL, cancel, &m);

	m.of = of;
	return ask(fd, &e, NULL, 0);
}

/* Allocate a page; its token and number. */
static uint64_t allocate(int fd, uint8_t *token)
{
	Envelope *answer = ask_allocate(fd, 1);
	uint64_t number;

	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED);
	cr_assert_eq(answer->registered->region.len, 16);
	cr_assert_eq(answer->registered->size, PAGE);
	cr_assert_geq(came, 0);
	close_fd(&came);
	if (token)
		memcpy(token, answer->registered->region.data, 16);
	number = answer->registered->number;
	free_answer(answer);
	return number;
}

/* An Infer that can be changed before it is sent: 4 bytes of x. */
static int64_t dims[20] = {4};
static Modeld__Handoff__Tensor tensors[2], *inputs[2] = {&tensors[0], &tensors[1]};
static Modeld__Handoff__Target targets_[2], *targets[2] = {&targets_[0], &targets_[1]};
static Modeld__Handoff__Infer infer;

static void infer_init(uint64_t region)
{
	modeld__handoff__infer__init(&infer);
	for (int i = 0; i < 2; i++) {
		modeld__handoff__tensor__init(&tensors[i]);
		modeld__handoff__target__init(&targets_[i]);
		tensors[i].dtype = DTYPE_U8;
		tensors[i].dims = dims;
		tensors[i].n_dims = 1;
		tensors[i].length = 4;
		tensors[i].region = targets_[i].region = region;
		targets_[i].offset = 64;
		targets_[i].length = 4;
	}
	infer.model = (char *)"m";
	infer.inputs = inputs;
	infer.n_inputs = 1;
	infer.targets = targets;
}

static uint64_t send_infer(int fd)
{
	Envelope e = BODY(INFER, infer, &infer);

	e.seq = ++seq;
	cr_assert(bench_send(fd, &e, NULL, 0));
	bench_turn(&b);
	return seq;
}

static void expect_refusal(int fd, enum grpc_status code, const char *why)
{
	send_infer(fd);
	bench_expect_error(next(fd), code, why);
	cr_expect_eq(fake.n_requests, 0);
}

/* --- Regions ------------------------------------------------------------------------------------ */

Test(handoff, limits)
{
	int fd = join();
	Envelope *answer = ask_limits(fd);

	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_LIMITS);
	cr_expect_eq(answer->limits->protocol, 1);
	cr_expect_eq(answer->limits->total_bytes, 1 << 20);
	cr_expect_eq(answer->limits->user_regions, 4);
	cr_expect_eq(answer->limits->max_inline_bytes, HANDOFF_INLINE_MAX);
	cr_expect_eq(answer->limits->max_requests, 3);
	cr_expect_eq(answer->limits->busy_poll_us, 7);
	free_answer(answer);
	cr_expect_eq(handoff_counters(b.h).connections, 1);
	close(fd);
}

Test(handoff, register_and_unregister)
{
	int fd = join();
	int memory = fake_memfd(PAGE, SEALED, 0);
	unsigned n_disposed;
	Envelope *answer = ask_register(fd, PAGE, &memory, 1);

	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED);
	cr_expect_eq(answer->registered->number, 1);
	cr_expect_eq(used_regions(fd), 1);
	bench_expect_error(ask_register(fd, PAGE, &memory, 1), GRPC_ALREADY_EXISTS, "already");
	free_answer(ask_unregister(fd, answer->registered->region.data, 16));
	cr_expect_eq(used_regions(fd), 1, "charged until it is gone");
	n_disposed = fake.n_disposed;
	fake_regions_gone();
	cr_expect_eq(fake.n_disposed, n_disposed + 1, "closing large memory takes long");
	cr_expect_eq(used_regions(fd), 0);
	bench_expect_error(ask_unregister(fd, answer->registered->region.data, 16), GRPC_NOT_FOUND,
		"no region");
	free_answer(answer);
	close(memory);
	close(fd);
}

Test(handoff, wrong_numbers_of_descriptors)
{
	int fd = join();
	int memory = fake_memfd(PAGE, SEALED, 0);
	const int two[2] = {memory, memory};
	Modeld__Handoff__GetLimits m = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = BODY(GET_LIMITS, get_limits, &m);

	bench_expect_error(ask_register(fd, PAGE, NULL, 0), GRPC_INVALID_ARGUMENT, "exactly one");
	bench_expect_error(ask_register(fd, PAGE, two, 2), GRPC_INVALID_ARGUMENT, "not 2");
	bench_expect_error(ask(fd, &e, two, 1), GRPC_INVALID_ARGUMENT, "takes none");
	close(memory);
	close(fd);
}

Test(handoff, unfit_memory_is_an_answer)
{
	int fd = join();
	int memory = fake_memfd(PAGE, 0, 0);

	bench_expect_error(ask_register(fd, PAGE, &memory, 1), GRPC_INVALID_ARGUMENT, "not sealed");
	close(memory);
	cr_expect_eq(used_regions(fd), 0);
	close(fd);
}

Test(handoff, quotas)
{
	int fd = join();

	bench_expect_error(ask_allocate(fd, 0), GRPC_INVALID_ARGUMENT, "cannot have 0 bytes");
	bench_expect_error(ask_allocate(fd, UINT64_MAX), GRPC_INVALID_ARGUMENT, "cannot have");
	bench_expect_error(ask_allocate(fd, 2 << 20), GRPC_RESOURCE_EXHAUSTED, "user_bytes");
	for (int i = 0; i < 4; i++)
		cr_expect_eq(allocate(fd, NULL), i + 1);
	bench_expect_error(ask_allocate(fd, 1), GRPC_RESOURCE_EXHAUSTED, "user_regions");
	cr_expect_eq(handoff_counters(b.h).region_bytes, 4 * PAGE);
	close(fd);
}

static const char *hex(const uint8_t *token)
{
	static char text[33];

	for (int i = 0; i < 16; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", token[i]);
	return text;
}

Test(handoff, who_finds_a_region)
{
	const struct peer own = {.uid = getuid()}, other = {.uid = getuid() + 1},
			  near = {.uid = -1, .loopback = true}, far = {.uid = -1};
	struct region *region = NULL;
	uint8_t token[16];
	int fd = join();

	allocate(fd, token);
	cr_expect_eq(handoff_find(b.h, &other, hex(token), &region), -ENOENT);
	cr_expect_eq(handoff_find(b.h, &far, hex(token), &region), -ENOENT);
	cr_expect_eq(handoff_find(b.h, &own, "", &region), -ENOENT);
	cr_expect_eq(handoff_find(b.h, &own, "zz", &region), -ENOENT);
	cr_expect_null(region);
	cr_assert_eq(handoff_find(b.h, &own, hex(token), &region), 0);
	region_unref(region);
	region = NULL;
	cr_expect_eq(handoff_find(b.h, &near, hex(token), &region), -ENOENT);
	b.settings.tokens_over_tcp = true;
	cr_assert_eq(handoff_find(b.h, &near, hex(token), &region), 0);
	region_unref(region);
	free_answer(ask_unregister(fd, token, 16));
	cr_expect_eq(handoff_find(b.h, &own, hex(token), &region), -ENOENT);
	token[0] ^= 1;
	cr_expect_eq(handoff_find(b.h, &own, hex(token), &region), -ENOENT);
	close(fd);
}

Test(handoff, regions_of_other_connections_are_unknown)
{
	uint8_t token[16];
	int a = join(), c = join();

	infer_init(allocate(a, token));
	bench_expect_error(ask_unregister(c, token, 16), GRPC_NOT_FOUND, "no region");
	expect_refusal(c, GRPC_NOT_FOUND, "region 1 is not known on this connection");
	close(a);
	close(c);
}

/* --- Requests ----------------------------------------------------------------------------------- */

Test(handoff, an_inference)
{
	int fd = join();
	Envelope *answer;
	struct request *r;

	infer_init(allocate(fd, NULL));
	infer.n_targets = 1;
	send_infer(fd);
	r = fake_first_request();
	cr_assert(r);
	cr_expect_eq(r->input.length, 4);
	cr_expect_eq(r->input.dims[0], 4);
	cr_expect_eq(r->n_targets, 1);
	fake_answer(r, GRPC_OK, 2, 4);
	answer = next(fd);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	cr_assert_eq(answer->inferred->n_outputs, 2);
	cr_expect_str_eq(answer->inferred->outputs[0]->name, "y");
	cr_expect_eq(answer->inferred->outputs[0]->region, 1);
	cr_expect_eq(answer->inferred->outputs[0]->offset, 64);
	cr_expect_eq(answer->inferred->outputs[0]->data.len, 0);
	cr_expect_str_eq(answer->inferred->outputs[1]->name, "z");
	cr_expect_eq(answer->inferred->outputs[1]->region, 0);
	cr_expect_eq(answer->inferred->outputs[1]->data.len, 4);
	cr_expect_eq(answer->inferred->queue_ns, 30);
	free_answer(answer);
	cr_expect_eq(handoff_counters(b.h).tensor_bytes_handed, 8);
	cr_expect_eq(handoff_counters(b.h).requests_total, 1);
	close(fd);
}

Test(handoff, inline_outputs_have_a_limit)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	send_infer(fd);
	fake_answer(fake_first_request(), GRPC_OK, 2, HANDOFF_INLINE_MAX / 2 + 1);
	bench_expect_error(next(fd), GRPC_FAILED_PRECONDITION, "max_inline_bytes, 65536");
	send_infer(fd);
	fake_answer(fake_first_request(), GRPC_OK, 2, HANDOFF_INLINE_MAX / 2);
	free_answer(next(fd));
	close(fd);
}

Test(handoff, requests_that_are_wrong)
{
	char *none[2] = {(char *)"none", (char *)"y"};
	int fd = join();
	uint64_t region = allocate(fd, NULL);

	infer_init(region);
	infer.model = (char *)"none";
	expect_refusal(fd, GRPC_NOT_FOUND, "model 'none' not found");
	infer_init(region);
	infer.model = (char *)"";
	expect_refusal(fd, GRPC_NOT_FOUND, "[models] default");
	infer_init(region);
	tensors[0].name = none[0];
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "no input 'none'");
	infer_init(region);
	infer.n_inputs = 2;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "given twice");
	infer_init(region);
	tensors[0].n_dims = 17;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "rank 17 exceeds 16");
	infer_init(region);
	infer.n_targets = 2;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "two targets");
	infer_init(region);
	infer.outputs = none;
	infer.n_outputs = 1;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "no output 'none'");
	none[0] = none[1];
	infer.n_outputs = 2;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "wanted twice");
	infer_init(region);
	fake.refusal = GRPC_UNAVAILABLE;
	expect_refusal(fd, GRPC_UNAVAILABLE, "refused by dispatch");
	fake.undeclared = true;
	expect_refusal(fd, GRPC_UNAVAILABLE, "refused by dispatch");
	close(fd);
}

Test(handoff, failures_are_passed_on)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	send_infer(fd);
	fake_answer(fake_first_request(), GRPC_INTERNAL, 0, 0);
	bench_expect_error(next(fd), GRPC_INTERNAL, "it failed");
	close(fd);
}

Test(handoff, too_many_requests)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	for (int i = 0; i < 4; i++)
		send_infer(fd);
	bench_expect_error(next(fd), GRPC_RESOURCE_EXHAUSTED, "max_requests");
	close(fd);
}

Test(handoff, a_deadline_that_passed_while_it_ran)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	infer.timeout_us = 1;
	send_infer(fd);
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	bench_expect_error(next(fd), GRPC_DEADLINE_EXCEEDED, "while model 'm' was running");
	infer.timeout_us = UINT64_MAX;
	send_infer(fd);
	cr_expect_eq(fake_first_request()->deadline_ns, UINT64_MAX);
	close(fd);
}

static void load(bool done)
{
	fake.holds = true;
	fake.undeclared = !done;
	if (done)
		fake_end_holds();
}

Test(handoff, waits_for_its_model)
{
	int fd = join();
	Envelope *answer;

	infer_init(allocate(fd, NULL));
	infer.timeout_us = UINT64_C(3600000000);
	load(false);
	send_infer(fd);
	/* Others overwrite what it came in. */
	free_answer(ask_limits(fd));
	cr_assert_null(fake_first_request());
	load(true);
	cr_assert(fake_first_request());
	cr_expect(fake_first_request()->input.region, "filled only now");
	cr_expect(fake_first_request()->deadline_ns < clock_ns() + UINT64_C(3600000000000));
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	answer = next(fd);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	free_answer(answer);
	close(fd);
}

/* Wait until the model is to be loaded for it. */
static int demand_it(void)
{
	int fd = join();

	fake.absent = true;
	fake.demand_error = 0;
	infer_init(allocate(fd, NULL));
	send_infer(fd);
	free_answer(ask_limits(fd));
	cr_assert_not(list_empty(&fake.demands));
	return fd;
}

Test(handoff, has_its_model_loaded)
{
	int fd = demand_it();
	Envelope *answer;

	fake.absent = false;
	fake_end_demands(GRPC_OK, "");
	cr_assert(fake_first_request());
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	answer = next(fd);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	free_answer(answer);
	close(fd);
}

Test(handoff, its_model_cannot_be_loaded)
{
	int fd = demand_it();

	fake_end_demands(GRPC_UNAVAILABLE, "it is broken");
	bench_expect_error(next(fd), GRPC_UNAVAILABLE, "it is broken");
	send_infer(fd);
	free_answer(ask_limits(fd));
	fake_end_demands(GRPC_OK, "");
	bench_expect_error(next(fd), GRPC_NOT_FOUND, "model 'm' not found");
	cr_expect_eq(fake.n_requests, 0);
	fake.demand_error = DEMAND_E_FULL;
	send_infer(fd);
	bench_expect_error(next(fd), GRPC_RESOURCE_EXHAUSTED, DEMAND_FULL_TEXT);
	close(fd);
}

Test(handoff, its_model_does_not_come)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	load(false);
	send_infer(fd);
	fake.refusal = GRPC_UNAVAILABLE;
	fake_end_holds();
	bench_expect_error(next(fd), GRPC_UNAVAILABLE, "refused by dispatch");
	cr_expect_eq(fake.n_requests, 0);
	close(fd);
}

Test(handoff, given_up_while_it_waits_for_its_model)
{
	int fd = join();
	uint64_t of;

	infer_init(allocate(fd, NULL));
	load(false);
	of = send_infer(fd);
	bench_expect_error(ask_cancel(fd, of), GRPC_CANCELLED, "cancelled");
	cr_expect_eq(fake.n_requests, 0);
	send_infer(fd);
	cr_expect_eq(fake.n_requests, 1);
	close(fd);
	bench_turn(&b);
	cr_expect_eq(fake.n_requests, 0);
	cr_expect(list_empty(&fake.held));
}

Test(handoff, cancelling)
{
	int fd = join();
	uint64_t of;

	infer_init(allocate(fd, NULL));
	of = send_infer(fd);
	bench_expect_error(ask_cancel(fd, of), GRPC_CANCELLED, "cancelled");
	cr_expect_eq(fake.n_requests, 0);
	bench_expect_error(ask_cancel(fd, of), GRPC_CANCELLED, "cancelled");
	close(fd);
}

Test(handoff, cancelling_what_runs_takes_until_it_ends)
{
	int fd = join();
	Modeld__Handoff__Cancel m = MODELD__HANDOFF__CANCEL__INIT;
	Envelope e = BODY(CANCEL, cancel, &m);
	Envelope *answer;

	infer_init(allocate(fd, NULL));
	m.of = send_infer(fd);
	fake_run(fake_first_request());
	e.seq = 1000;
	cr_assert(bench_send(fd, &e, NULL, 0));
	bench_turn(&b);
	cr_expect(fake_first_request()->withdrawn);
	bench_expect_error(ask_cancel(fd, m.of), GRPC_INVALID_ARGUMENT, "already");
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	answer = next(fd);
	cr_assert_eq(answer->seq, 1000);
	bench_expect_error(answer, GRPC_CANCELLED, "cancelled");
	close(fd);
}

/* --- Bad peers and deaths --------------------------------------------------------------------- */

static void expect_end(int fd)
{
	Envelope *answer = next(fd);

	cr_expect_null(answer, "the connection goes on");
	close(fd);
}

Test(handoff, garbage_ends_the_connection)
{
	static const uint8_t garbage[] = {0xff, 0xff, 0xff};
	static uint8_t large[HANDOFF_MESSAGE_MAX + 1];
	Modeld__Handoff__Unregistered m = MODELD__HANDOFF__UNREGISTERED__INIT;
	Envelope e = BODY(UNREGISTERED, unregistered, &m);
	int good = join();
	int fd = join();

	cr_assert_eq(seqpacket_send(fd, garbage, sizeof(garbage), NULL, 0, 1), 0);
	expect_end(fd);
	fd = join();
	cr_assert(bench_send(fd, &e, NULL, 0));
	expect_end(fd);
	fd = join();
	cr_assert_eq(seqpacket_set_send_buffer(fd, sizeof(large)), 0);
	cr_assert_eq(seqpacket_send(fd, large, sizeof(large), NULL, 0, 1), 0);
	expect_end(fd);
	free_answer(ask_limits(good));
	close(good);
}

Test(handoff, dtypes_that_there_are_not)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	tensors[0].dtype = DTYPE_INVALID;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "there is no dtype 0");
	tensors[0].dtype = DTYPE_MAX_;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "there is no dtype 15");
	tensors[0].dtype = UINT32_MAX;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "there is no dtype 4294967295");
	close(fd);
}

Test(handoff, more_tensors_than_allowed_cost_the_request_alone)
{
	static Modeld__Handoff__Tensor *many[HANDOFF_TENSORS_MAX + 1];
	static Modeld__Handoff__Target *many_targets[HANDOFF_TENSORS_MAX + 1];
	static char *many_names[HANDOFF_TENSORS_MAX + 1];
	int fd = join();

	infer_init(allocate(fd, NULL));
	for (size_t i = 0; i <= HANDOFF_TENSORS_MAX; i++) {
		many[i] = &tensors[0];
		many_targets[i] = &targets_[0];
		many_names[i] = (char *)"";
	}
	infer.inputs = many;
	infer.n_inputs = HANDOFF_TENSORS_MAX;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "given twice");
	infer.n_inputs++;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "the limit of each is 1024");
	infer.n_inputs = 1;
	infer.targets = many_targets;
	infer.n_targets = HANDOFF_TENSORS_MAX + 1;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "the limit of each is 1024");
	infer.n_targets = 0;
	infer.outputs = many_names;
	infer.n_outputs = HANDOFF_TENSORS_MAX + 1;
	expect_refusal(fd, GRPC_INVALID_ARGUMENT, "the limit of each is 1024");
	close(fd);
}

Test(handoff, many_small_fields_end_the_connection)
{
	static uint8_t record[HANDOFF_MESSAGE_MAX - 64];
	size_t n = 0;
	int fd = join();

	/* An Infer of empty inputs: two bytes each, a struct each when unpacked. */
	record[n++] = 6 << 3 | 2;
	record[n++] = 0x80 | (uint8_t)((sizeof(record) - 4) & 0x7f);
	record[n++] = 0x80 | (uint8_t)((sizeof(record) - 4) >> 7 & 0x7f);
	record[n++] = (uint8_t)((sizeof(record) - 4) >> 14);
	while (n + 1 < sizeof(record)) {
		record[n++] = 2 << 3 | 2;
		record[n++] = 0;
	}
	cr_assert_eq(seqpacket_send(fd, record, n, NULL, 0, 1), 0);
	expect_end(fd);
}

Test(handoff, a_client_that_never_reads)
{
	int fd = join();
	Modeld__Handoff__GetLimits m = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = BODY(GET_LIMITS, get_limits, &m);

	b.settings.max_output_bytes = 4096;
	while (bench_send(fd, &e, NULL, 0))
		bench_turn(&b);
	for (int i = 0; i < 10; i++)
		bench_turn(&b);
	cr_expect_eq(handoff_counters(b.h).connections, 0);
	close(fd);
}

Test(handoff, too_many_connections)
{
	int fds[9];

	for (int i = 0; i < 8; i++)
		fds[i] = join();
	expect_end(join());
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

Test(handoff, dying_with_everything_in_flight)
{
	int fd = join();
	Modeld__Handoff__Allocate m = MODELD__HANDOFF__ALLOCATE__INIT;
	Envelope e = BODY(ALLOCATE, allocate, &m);

	infer_init(allocate(fd, NULL));
	infer.n_targets = 1;
	send_infer(fd);
	fake_run(fake_first_request());
	send_infer(fd);
	m.size = 64 * PAGE;
	cr_assert(bench_send(fd, &e, NULL, 0));
	close(fd);
	while (handoff_counters(b.h).connections > 0)
		bench_turn(&b);
	cr_expect_eq(fake.n_cancelled, 2);
	cr_expect_eq(fake.n_requests, 1, "what runs still has its memory");
	fake_regions_gone();
	cr_expect_geq(handoff_counters(b.h).regions, 1);
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	fake_regions_gone();
	while (handoff_counters(b.h).regions > 0)
		bench_turn(&b);
}

Test(handoff, draining_finishes_what_is_in_flight)
{
	int fd = join(), idle = join();

	infer_init(allocate(fd, NULL));
	send_infer(fd);
	handoff_drain(b.h);
	expect_end(idle);
	cr_expect_eq(seqpacket_send(fd, "x", 1, NULL, 0, 1), -EPIPE, "it can send no more");
	cr_expect_eq(b.drained, 0);
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	free_answer(next(fd));
	expect_end(fd);
	cr_expect_eq(b.drained, 0, "a region is not gone yet");
}

/* What could be sent is served, and only then comes the end. */
Test(handoff, draining_serves_what_was_sent_before)
{
	Modeld__Handoff__GetLimits limits = MODELD__HANDOFF__GET_LIMITS__INIT;
	Modeld__Handoff__Allocate a = MODELD__HANDOFF__ALLOCATE__INIT;
	Envelope ask_for_limits = BODY(GET_LIMITS, get_limits, &limits);
	Envelope ask_for_memory = BODY(ALLOCATE, allocate, &a), run = BODY(INFER, infer, &infer);
	int fd = join();
	Envelope *answer;

	infer_init(allocate(fd, NULL));
	a.size = PAGE;
	run.seq = ++seq;
	cr_assert(bench_send(fd, &run, NULL, 0));
	ask_for_memory.seq = ++seq;
	cr_assert(bench_send(fd, &ask_for_memory, NULL, 0));
	ask_for_limits.seq = ++seq;
	cr_assert(bench_send(fd, &ask_for_limits, NULL, 0));
	handoff_drain(b.h);
	cr_expect_eq(seqpacket_send(fd, "x", 1, NULL, 0, 1), -EPIPE);
	for (int i = 0; i < 2; i++) {
		answer = next(fd);
		cr_assert(answer);
		cr_expect(answer->body_case == MODELD__HANDOFF__ENVELOPE__BODY_LIMITS ||
			  answer->body_case == MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED);
		close_fd(&came);
		free_answer(answer);
	}
	cr_assert_eq(fake.n_requests, 1);
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	answer = next(fd);
	cr_assert(answer);
	cr_expect_eq(answer->seq, run.seq);
	cr_expect_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	free_answer(answer);
	expect_end(fd);
}

/* A client whose connection was not accepted yet. */
Test(handoff, draining_serves_who_has_just_connected)
{
	Modeld__Handoff__GetLimits limits = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = BODY(GET_LIMITS, get_limits, &limits), *answer;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, b.path, strlen(b.path));
	cr_assert_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_assert(bench_send(fd, &e, NULL, 0));
	handoff_drain(b.h);
	answer = next(fd);
	cr_assert(answer, "it was not served");
	free_answer(answer);
	expect_end(fd);
}

/* More than is read in one turn. */
Test(handoff, draining_serves_each_of_many_records)
{
	Modeld__Handoff__GetLimits limits = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = BODY(GET_LIMITS, get_limits, &limits);
	int fd = join();

	free_answer(ask_limits(fd));
	for (int i = 0; i < 50; i++) {
		e.seq = ++seq;
		cr_assert(bench_send(fd, &e, NULL, 0));
	}
	handoff_drain(b.h);
	for (int i = 0; i < 50; i++) {
		Envelope *answer = next(fd);

		cr_assert(answer);
		free_answer(answer);
	}
	expect_end(fd);
}

Test(handoff, who_goes_while_he_is_waited_for_is_not_waited_for)
{
	int fd = join();

	infer_init(allocate(fd, NULL));
	send_infer(fd);
	handoff_drain(b.h);
	for (int i = 0; i < 5; i++)
		bench_turn(&b);
	cr_expect_eq(handoff_counters(b.h).connections, 1);
	close(fd);
	while (fake.n_cancelled == 0)
		bench_turn(&b);
	cr_expect_eq(fake.n_requests, 0);
}

/* Who was invited is served until those are gone whose requests it may still answer. */
Test(handoff, who_was_invited_goes_last)
{
	int fd = join(), invited = -1, late = -1;

	cr_assert_eq(handoff_invite(b.h, &invited), 0);
	infer_init(allocate(fd, NULL));
	send_infer(fd);
	cr_expect_eq(used_regions(invited), 1, "it is the same user");
	handoff_drain(b.h);
	handoff_dismiss(b.h);
	cr_expect_eq(used_regions(invited), 1, "it is served");
	free_answer(ask_allocate(invited, PAGE));
	close(came);
	fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	free_answer(next(fd));
	expect_end(fd);
	expect_end(invited);
	cr_expect_eq(handoff_invite(b.h, &late), -ESHUTDOWN);
}

Test(handoff, who_was_invited_stays_as_long_as_calls_come)
{
	int invited = -1;

	cr_assert_eq(handoff_invite(b.h, &invited), 0);
	handoff_drain(b.h);
	for (unsigned i = 0; i < 5; i++)
		bench_turn(&b);
	cr_expect_eq(used_regions(invited), 0);
	cr_expect_eq(b.drained, 0);
	handoff_dismiss(b.h);
	expect_end(invited);
}

Test(handoff, who_is_invited_counts_as_a_connection)
{
	int fds[3] = {-1, -1, -1};

	b.settings.max_connections = 2;
	cr_assert_eq(handoff_invite(b.h, &fds[0]), 0);
	cr_assert_eq(handoff_invite(b.h, &fds[1]), 0);
	cr_expect_eq(handoff_invite(b.h, &fds[2]), -EUSERS);
	cr_expect_eq(fds[2], -1);
	close(fds[0]);
	close(fds[1]);
}

Test(handoff, a_live_socket_is_not_taken)
{
	static const struct handoff_events events = {0};
	struct handoff *other;
	char text[256];

	cr_assert_eq(handoff_new(&other, &b.loop, &b.settings, &fake, &events, NULL), 0);
	cr_expect_eq(handoff_listen(other, text, sizeof(text)), -EADDRINUSE);
	cr_expect(strstr(text, "bind"), "got: %s", text);
	handoff_free(other);
}

Test(handoff, unknown_group)
{
	static const struct handoff_events events = {0};
	struct handoff_settings settings = b.settings;
	struct handoff *other;
	char text[256];
	char path[128];

	snprintf(path, sizeof(path), "%s2", b.path);
	settings.socket = path;
	settings.unix_group = "no-such-group";
	cr_assert_eq(handoff_new(&other, &b.loop, &settings, &fake, &events, NULL), 0);
	cr_expect_eq(handoff_listen(other, text, sizeof(text)), -ENOENT);
	cr_expect(strstr(text, "unix_group"), "got: %s", text);
	handoff_free(other);
	cr_expect(access(path, F_OK), "its file is left");
}

Test(handoff, mode_of_the_socket)
{
	struct stat st;

	cr_assert_eq(stat(b.path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
}

/* Tests of answers whose outputs find no room at their targets: in the answer, in a region made for them, or sizes. */
#include "handoff/inference_private.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "fake_peer.h"
#include "tests/support/failalloc.h"

#define PAGE  4096u
#define LARGE (HANDOFF_INLINE_MAX + 1000u)

static struct bench b;
static unsigned fds_before;
static int client, came;
static uint64_t seq;

static Envelope *next(void)
{
	return bench_receive(&b, client, &came);
}

static void free_answer(Envelope *e)
{
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

/* A region of a page, number 1. */
static void enroll(void)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT, *answer;
	int memory = fake_memfd(PAGE, SEALED, 0);

	m.size = PAGE;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &m;
	cr_assert(bench_send(client, &e, &memory, 1));
	answer = next();
	cr_assert(answer);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED);
	free_answer(answer);
	close(memory);
}

static void setup(void)
{
	bench_warm_up();
	fds_before = failalloc_open_fds();
	bench_init(&b);
	cr_assert_eq(bench_open(&b), 0);
	client = bench_connect(&b);
	cr_assert_geq(client, 0);
	enroll();
}

static void teardown(void)
{
	close_fd(&client);
	bench_close(&b, true);
	cr_expect_eq(failalloc_settled_fds(fds_before), fds_before);
}

TestSuite(answer, .init = setup, .fini = teardown);

/* Four bytes of x; y goes to 4 bytes at 64, z has no target. */
static struct request *send_infer(bool make_room)
{
	Modeld__Handoff__Target to = MODELD__HANDOFF__TARGET__INIT, *targets[] = {&to};
	struct bench_infer i;

	bench_infer_init(&i);
	to.region = 1;
	to.length = 4;
	to.offset = 64;
	i.m.targets = targets;
	i.m.n_targets = 1;
	i.m.make_room = make_room;
	i.e.seq = ++seq;
	cr_assert(bench_send(client, &i.e, NULL, 0));
	bench_turn(&b);
	cr_assert(fake_first_request());
	return fake_first_request();
}

static uint64_t send_cancel(uint64_t of)
{
	seq++;
	cr_assert(bench_send_cancel(client, seq, of));
	return seq;
}

static bool is_pattern(const uint8_t *data, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (data[i] != i % 251)
			return false;
	}
	return true;
}

Test(answer, a_small_output_that_does_not_fit_its_target_comes_inline)
{
	Envelope *answer;

	fake_answer(send_infer(false), GRPC_OK, 1, 5);
	answer = next();
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	cr_expect_eq(answer->inferred->outputs[0]->region, 0);
	cr_assert_eq(answer->inferred->outputs[0]->data.len, 5);
	cr_expect(is_pattern(answer->inferred->outputs[0]->data.data, 5));
	cr_expect_eq(answer->inferred->n_room, 0);
	free_answer(answer);
}

Test(answer, an_error_tells_the_sizes_in_fields)
{
	Envelope *answer;

	fake_answer(send_infer(false), GRPC_OK, 2, LARGE);
	answer = next();
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(answer->error->code, GRPC_FAILED_PRECONDITION);
	cr_assert_eq(answer->error->n_outputs, 2);
	for (int i = 0; i < 2; i++) {
		const Modeld__Handoff__Tensor *t = answer->error->outputs[i];

		cr_expect_str_eq(t->name, i ? "z" : "y");
		cr_expect_eq(t->length, LARGE);
		cr_expect_eq(t->dims[0], LARGE);
		cr_expect_eq(t->data.len, 0);
	}
	free_answer(answer);
}

Test(answer, a_region_is_made_for_outputs_and_is_the_clients)
{
	Envelope *answer;
	uint8_t *data;

	fake_answer(send_infer(true), GRPC_OK, 2, LARGE);
	answer = next();
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	cr_assert_eq(answer->inferred->n_room, 1);
	cr_assert_geq(came, 0, "no descriptor");
	cr_expect_eq(answer->inferred->room[0]->number, 2);
	cr_expect_eq(answer->inferred->room[0]->region.len, HANDOFF_TOKEN_BYTES);
	cr_expect_eq(answer->inferred->room[0]->size % PAGE, 0);
	data = mmap(
		NULL, answer->inferred->room[0]->size, PROT_READ | PROT_WRITE, MAP_SHARED, came, 0);
	cr_assert_neq(data, MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		const Modeld__Handoff__Tensor *t = answer->inferred->outputs[i];

		cr_expect_eq(t->region, 2);
		cr_expect_eq(t->offset % 64, 0);
		cr_assert_eq(t->length, LARGE);
		cr_assert_leq(t->offset + t->length, answer->inferred->room[0]->size);
		cr_expect(is_pattern(data + t->offset, t->length));
	}
	munmap(data, answer->inferred->room[0]->size);
	close_fd(&came);
	free_answer(answer);
	cr_expect_eq(fake.n_leased, 0, "the worker's memory is free again");
	cr_expect_eq(handoff_counters(b.h).regions, 2);
	cr_expect_eq(handoff_counters(b.h).tensor_bytes_handed, 4 + 2 * LARGE);
}

Test(answer, what_fits_its_target_stays_there)
{
	Envelope *answer;

	fake_answer(send_infer(true), GRPC_OK, 1, 4);
	answer = next();
	cr_expect_eq(answer->inferred->outputs[0]->region, 1);
	cr_expect_eq(answer->inferred->n_room, 0);
	free_answer(answer);
}

Test(answer, the_region_is_charged_to_the_user)
{
	b.settings.user_regions = 1;
	fake_answer(send_infer(true), GRPC_OK, 1, LARGE);
	bench_expect_error(next(), GRPC_RESOURCE_EXHAUSTED, "user_regions");
	b.settings.user_regions = 4;
	b.settings.user_bytes = 4 * PAGE;
	fake_answer(send_infer(true), GRPC_OK, 1, LARGE);
	bench_expect_error(next(), GRPC_RESOURCE_EXHAUSTED, "user_bytes");
	cr_expect_eq(fake.n_leased, 0);
	cr_expect_eq(handoff_counters(b.h).regions, 1);
}

/* While a thread copies, or has done so and the loop does not know yet. */
Test(answer, cancelling_while_outputs_are_copied)
{
	uint64_t of, cancel;
	Envelope *answer;

	fake_answer(send_infer(true), GRPC_OK, 1, LARGE);
	of = seq;
	cr_expect_eq(fake.n_leased, 1);
	cancel = send_cancel(of);
	answer = next();
	cr_assert(answer);
	/* The answer may have been on its way already. */
	if (answer->seq == of) {
		close_fd(&came);
		free_answer(answer);
		answer = next();
	}
	cr_expect_eq(answer->seq, cancel);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(answer->error->code, GRPC_CANCELLED);
	free_answer(answer);
	cr_expect_eq(fake.n_leased, 0);
}

Test(answer, a_client_that_goes_while_outputs_are_copied)
{
	fake_answer(send_infer(true), GRPC_OK, 1, LARGE);
	cr_expect_eq(fake.n_leased, 1);
	close_fd(&client);
	while (handoff_counters(b.h).connections > 0 || fake.n_leased > 0)
		bench_turn(&b);
}

Test(answer, copies_in_flight_are_finished_while_it_drains)
{
	Envelope *answer;

	fake_answer(send_infer(true), GRPC_OK, 1, LARGE);
	handoff_drain(b.h);
	answer = next();
	cr_assert(answer);
	cr_expect_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	close_fd(&came);
	free_answer(answer);
}

static int ask_for_room(void *arg)
{
	int64_t dims[] = {4};
	Modeld__Handoff__Tensor t = MODELD__HANDOFF__TENSOR__INIT, *inputs[] = {&t};
	Modeld__Handoff__Register r = MODELD__HANDOFF__REGISTER__INIT;
	Modeld__Handoff__Infer m = MODELD__HANDOFF__INFER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT, *answer = NULL;
	_cleanup_(close_fd) int memory = -1;
	_cleanup_(close_fd) int fd = -1;
	bool ok = false;

	bench_init(&b);
	memory = fake_memfd(PAGE, SEALED, 0);
	if (memory >= 0 && bench_open(&b) == 0)
		fd = bench_connect(&b);
	r.size = PAGE;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &r;
	if (fd >= 0 && bench_send(fd, &e, &memory, 1))
		answer = bench_receive(&b, fd, &came);
	t.dtype = DTYPE_U8;
	t.region = 1;
	t.length = 4;
	t.dims = dims;
	t.n_dims = 1;
	m.model = (char *)"m";
	m.inputs = inputs;
	m.n_inputs = 1;
	m.make_room = true;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFER;
	e.infer = &m;
	if (answer && bench_send(fd, &e, NULL, 0)) {
		free_answer(answer);
		bench_turn(&b);
		if (fake_first_request())
			fake_answer(fake_first_request(), GRPC_OK, 2, LARGE);
		answer = bench_receive(&b, fd, &came);
		ok = answer && answer->body_case == MODELD__HANDOFF__ENVELOPE__BODY_INFERRED;
		close_fd(&came);
	}
	if (answer)
		free_answer(answer);
	close_fd(&fd);
	bench_close(&b, true);
	return ok ? 0 : -1;
}

Test(answer_faults, making_room)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	FAULT_LOOP(ask_for_room, NULL);
}

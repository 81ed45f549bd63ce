/* Tests of answers in part: their order, with and without regions to be made, and what ends them. */
#include "handoff/inference_private.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_peer.h"
#include "proto/handoff_message.h"
#include "tests/support/failalloc.h"

#define SMALL 8u
#define LARGE (HANDOFF_INLINE_MAX + 1000u)

static struct bench b;
static unsigned fds_before;
static int client, came;
static uint64_t seq;

static void free_answer(Envelope *e)
{
	close_fd(&came);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

static Envelope *next(void)
{
	return bench_receive(&b, client, &came);
}

static void setup(void)
{
	bench_warm_up();
	fds_before = failalloc_open_fds();
	bench_init(&b);
	b.settings.user_regions = 8;
	b.settings.shm_total_bytes = b.settings.user_bytes = 8 << 20;
	cr_assert_eq(bench_open(&b), 0);
	client = bench_connect(&b);
	cr_assert_geq(client, 0);
}

static void teardown(void)
{
	close_fd(&client);
	bench_close(&b, true);
	cr_expect_eq(failalloc_settled_fds(fds_before), fds_before);
}

TestSuite(parts, .init = setup, .fini = teardown);

/* Of a model without inputs. */
static bool send_infer(bool partial, bool make_room)
{
	Modeld__Handoff__Infer m = MODELD__HANDOFF__INFER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	m.model = (char *)"m";
	m.partial = partial;
	m.make_room = make_room;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFER;
	e.infer = &m;
	e.seq = ++seq;
	if (!bench_send(client, &e, NULL, 0))
		return false;
	bench_turn(&b);
	return true;
}

/* A worker has it. */
static struct request *begin(bool make_room)
{
	struct request *r;

	cr_assert(send_infer(true, make_room));
	r = fake_first_request();
	cr_assert(r && r->partial);
	fake_run(r);
	return r;
}

static uint64_t send_cancel(uint64_t of)
{
	seq++;
	cr_assert(bench_send_cancel(client, seq, of));
	bench_turn(&b);
	return seq;
}

/* The first byte of y; -1: there is no y. */
static int first_byte(const Envelope *answer)
{
	const Modeld__Handoff__Tensor *t;
	const uint8_t *data;
	size_t size;
	int byte;

	if (answer->inferred->n_outputs == 0)
		return -1;
	t = answer->inferred->outputs[0];
	if (answer->inferred->n_room == 0)
		return t->data.data[0];
	cr_assert_geq(came, 0);
	size = answer->inferred->room[0]->size;
	data = mmap(NULL, size, PROT_READ, MAP_SHARED, came, 0);
	cr_assert_neq(data, MAP_FAILED);
	byte = data[t->offset];
	munmap((void *)data, size);
	return byte;
}

static void expect_answer(int mark, bool room, bool more)
{
	Envelope *answer = next();

	cr_assert(answer, "the connection has ended");
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_INFERRED);
	cr_expect_eq(first_byte(answer), mark);
	cr_expect_eq(answer->inferred->n_room, room);
	cr_expect_eq(answer->inferred->more, more);
	free_answer(answer);
}

/* Until what was copied went out, or nothing is copied any more. */
static void turn_until_read(unsigned n_leased)
{
	while (fake.n_leased > n_leased)
		bench_turn(&b);
}

Test(parts, in_their_order)
{
	struct request *r = begin(false);

	for (uint8_t k = 1; k <= 3; k++)
		fake_part(r, 1, SMALL, k);
	fake_answer(r, GRPC_OK, 1, SMALL);
	for (uint8_t k = 1; k <= 3; k++)
		expect_answer(k, false, true);
	expect_answer(0, false, false);
}

Test(parts, only_for_who_asks)
{
	cr_assert(send_infer(false, false));
	cr_expect_not(fake_first_request()->partial);
}

Test(parts, the_last_may_have_no_outputs)
{
	struct request *r = begin(false);

	fake_part(r, 2, SMALL, 1);
	fake_answer(r, GRPC_OK, 0, 0);
	expect_answer(1, false, true);
	expect_answer(-1, false, false);
}

Test(parts, small_ones_wait_for_the_copy_of_a_large_one)
{
	struct request *r = begin(true);

	fake_part(r, 1, LARGE, 1);
	fake_part(r, 1, SMALL, 2);
	fake_part(r, 2, LARGE, 3);
	fake_answer(r, GRPC_OK, 1, SMALL);
	expect_answer(1, true, true);
	expect_answer(2, false, true);
	expect_answer(3, true, true);
	expect_answer(0, false, false);
	cr_expect_eq(fake.n_leased, 0, "the worker's memory is free again");
	cr_expect_eq(handoff_counters(b.h).regions, 2);
}

Test(parts, large_ones_one_by_one)
{
	struct request *r = begin(true);

	for (uint8_t k = 1; k <= 3; k++)
		fake_part(r, 2, LARGE, k);
	fake_answer(r, GRPC_OK, 1, LARGE);
	for (uint8_t k = 1; k <= 3; k++)
		expect_answer(k, true, true);
	expect_answer(0, true, false);
	cr_expect_eq(handoff_counters(b.h).tensor_bytes_handed, 7 * LARGE);
}

Test(parts, an_error_comes_behind_them)
{
	struct request *r = begin(true);

	fake_part(r, 1, LARGE, 1);
	fake_part(r, 1, SMALL, 2);
	fake_answer(r, GRPC_INTERNAL, 0, 0);
	expect_answer(1, true, true);
	expect_answer(2, false, true);
	bench_expect_error(next(), GRPC_INTERNAL, "it failed");
}

/* The error, whatever the request still does, waits for its end: a worker has its memory until then. */
static void expect_failure_at_the_end(struct request *r, enum grpc_status code, const char *why)
{
	cr_expect(r->withdrawn);
	fake_part(r, 1, SMALL, 9);
	fake_answer(r, GRPC_OK, 1, SMALL);
	bench_expect_error(next(), code, why);
	cr_expect_eq(fake.n_leased, 0);
}

Test(parts, too_large_without_room)
{
	struct request *r = begin(false);

	fake_part(r, 1, SMALL, 1);
	fake_part(r, 1, LARGE, 2);
	expect_answer(1, false, true);
	expect_failure_at_the_end(r, GRPC_FAILED_PRECONDITION, "max_inline_bytes");
}

Test(parts, too_large_at_last_behind_those_that_wait)
{
	struct request *r = begin(true);

	b.settings.user_regions = 1;
	fake_part(r, 1, LARGE, 1);
	fake_answer(r, GRPC_OK, 1, LARGE);
	expect_answer(1, true, true);
	bench_expect_error(next(), GRPC_RESOURCE_EXHAUSTED, "user_regions");
}

Test(parts, no_region_for_one_of_them)
{
	struct request *r = begin(true);

	b.settings.user_regions = 1;
	fake_part(r, 1, LARGE, 1);
	fake_part(r, 1, LARGE, 2);
	fake_part(r, 1, SMALL, 3);
	expect_answer(1, true, true);
	expect_failure_at_the_end(r, GRPC_RESOURCE_EXHAUSTED, "user_regions");
}

Test(parts, more_than_may_wait_for_a_copy)
{
	struct request *r = begin(true);

	fake_part(r, 1, LARGE, 1);
	for (uint32_t k = 0; k < b.settings.max_unread_answers; k++)
		fake_part(r, 1, SMALL, 2);
	turn_until_read(0);
	expect_failure_at_the_end(r, GRPC_RESOURCE_EXHAUSTED, "max_unread_answers");
}

/* guest_answer.c says so of one that was on its way. */
Test(parts, none_comes_behind_one_that_could_not_be_sent)
{
	struct request *r = begin(true);
	struct inference *i = r->data;

	fake_part(r, 1, LARGE, 1);
	fake_answer(r, GRPC_OK, 1, LARGE);
	i->parts.refused = true;
	bench_expect_error(next(), GRPC_RESOURCE_EXHAUSTED, "have not been read");
	cr_expect_eq(fake.n_leased, 0);
}

Test(parts, output_memory_beyond_its_share)
{
	struct request *r = begin(true);

	fake_part(r, 1, LARGE, 1);
	fake.over_share = true;
	fake_part(r, 1, SMALL, 2);
	turn_until_read(0);
	expect_failure_at_the_end(r, GRPC_RESOURCE_EXHAUSTED, "output_arena_bytes");
}

/* One inference of a client that does not read fails; the other one, and the connection, go on. */
Test(parts, a_client_that_does_not_read)
{
	struct request *r = begin(false), *other;
	Envelope *answer;
	uint64_t of = seq;
	unsigned n = 0;

	while (!r->withdrawn) {
		fake_part(r, 1, HANDOFF_INLINE_MAX, (uint8_t)(n++ % 100));
		bench_turn(&b);
		cr_assert_lt(n, 100);
	}
	cr_assert(send_infer(true, false));
	fake_answer(r, GRPC_OK, 0, 0);
	other = fake_first_request();
	cr_assert(other);
	fake_answer(other, GRPC_OK, 1, SMALL);
	for (unsigned k = 0; k < n - 1; k++)
		expect_answer((int)(k % 100), false, true);
	answer = next();
	cr_expect_eq(answer->seq, of);
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(answer->error->code, GRPC_RESOURCE_EXHAUSTED);
	cr_expect(strstr(answer->error->message, "max_unread_answers"));
	free_answer(answer);
	expect_answer(0, false, false);
}

Test(parts, more_bytes_than_may_wait)
{
	struct request *r = begin(false);
	unsigned n = 0;

	b.settings.max_unread_answers = 1000;
	while (!r->withdrawn) {
		fake_part(r, 1, HANDOFF_INLINE_MAX, 1);
		bench_turn(&b);
		cr_assert_lt(++n, 100);
	}
	fake_answer(r, GRPC_OK, 0, 0);
	for (unsigned k = 0; k < n - 1; k++)
		expect_answer(1, false, true);
	bench_expect_error(next(), GRPC_RESOURCE_EXHAUSTED, "max_output_bytes");
}

Test(parts, what_was_read_does_not_count)
{
	struct request *r = begin(false);

	for (uint32_t k = 0; k < 3 * b.settings.max_unread_answers; k++) {
		fake_part(r, 1, HANDOFF_INLINE_MAX, 1);
		expect_answer(1, false, true);
	}
	fake_answer(r, GRPC_OK, 1, SMALL);
	expect_answer(0, false, false);
}

Test(parts, cancelled_between_them)
{
	struct request *r = begin(false);
	uint64_t cancel;
	Envelope *answer;

	fake_part(r, 1, SMALL, 1);
	expect_answer(1, false, true);
	cancel = send_cancel(seq);
	cr_expect(r->withdrawn);
	fake_part(r, 1, SMALL, 2);
	fake_answer(r, GRPC_OK, 1, SMALL);
	answer = next();
	cr_expect_eq(answer->seq, cancel, "nothing of it comes behind the Cancel");
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(answer->error->code, GRPC_CANCELLED);
	free_answer(answer);
}

/* The copy may be over, and its answer on the way, when the Cancel comes. */
Test(parts, cancelled_while_one_is_copied)
{
	struct request *r = begin(true);
	uint64_t of = seq, cancel;
	Envelope *answer;

	fake_part(r, 1, LARGE, 1);
	fake_part(r, 1, SMALL, 2);
	cancel = send_cancel(of);
	fake_answer(r, GRPC_OK, 1, LARGE);
	while ((answer = next()) && answer->seq == of)
		free_answer(answer);
	cr_assert(answer);
	cr_expect_eq(answer->seq, cancel);
	cr_expect_eq(answer->error->code, GRPC_CANCELLED);
	free_answer(answer);
	cr_expect_eq(fake.n_leased, 0);
}

Test(parts, the_client_goes_between_them)
{
	struct request *r = begin(true);

	fake_part(r, 1, SMALL, 1);
	fake_part(r, 1, LARGE, 2);
	fake_part(r, 1, SMALL, 3);
	close_fd(&client);
	while (handoff_counters(b.h).connections > 0 || fake.n_leased > 0)
		bench_turn(&b);
	fake_answer(r, GRPC_OK, 1, SMALL);
}

Test(parts, behind_its_deadline)
{
	struct request *r = begin(false);
	struct inference *i = r->data;

	fake_part(r, 1, SMALL, 1);
	i->deadline_ns = 1;
	fake_part(r, 1, SMALL, 2);
	fake_answer(r, GRPC_OK, 0, 0);
	expect_answer(1, false, true);
	bench_expect_error(next(), GRPC_DEADLINE_EXCEEDED, "deadline passed");
}

Test(parts, are_finished_while_it_drains)
{
	struct request *r = begin(true);

	fake_part(r, 1, LARGE, 1);
	handoff_drain(b.h);
	fake_part(r, 1, SMALL, 2);
	fake_answer(r, GRPC_OK, 0, 0);
	expect_answer(1, true, true);
	expect_answer(2, false, true);
	expect_answer(-1, false, false);
}

/* --- Faults ----------------------------------------------------------------------------------- */

/* True: the stream came to its end. */
static bool read_all(void)
{
	Envelope *answer;
	bool more = true;

	while (more) {
		answer = next();
		if (!answer || answer->body_case != MODELD__HANDOFF__ENVELOPE__BODY_INFERRED) {
			if (answer)
				free_answer(answer);
			return false;
		}
		more = answer->inferred->more;
		free_answer(answer);
	}
	return true;
}

static int stream(void *arg)
{
	struct request *r;
	bool ok = false;

	(void)arg;
	client = -1;
	bench_init(&b);
	if (bench_open(&b) == 0)
		client = bench_connect(&b);
	if (client >= 0 && send_infer(true, true) && (r = fake_first_request())) {
		fake_run(r);
		fake_part(r, 1, SMALL, 1);
		fake_part(r, 1, LARGE, 2);
		fake_part(r, 2, SMALL, 3);
		fake_answer(r, GRPC_OK, 1, SMALL);
		ok = read_all();
	}
	close_fd(&client);
	bench_close(&b, true);
	return ok ? 0 : -1;
}

Test(parts_faults, a_stream)
{
	bench_warm_up();
	FAULT_LOOP(stream, NULL);
}

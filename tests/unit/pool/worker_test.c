/* worker_test.c: the life of one worker, edge by edge, with a real process. */
#include "pool/worker.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

Test(worker, echoes_a_batch)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(worker_get_state(w), WORKER_READY);
	cr_assert_str_eq(worker_name(w), "cpu:0/0");
	cr_assert_eq(worker_free_slots(w), 2);
	cr_assert_eq(pool_model_ready(b.pm[0]), 1);
	cr_assert_str_eq(pool_model_detail(b.pm[0]), "");
	cr_assert_eq(pool_model_loaded(b.pm[0])->n_outputs, 2);
	b.keep_leases = true;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
	cr_assert_eq(worker_free_slots(w), 1);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_eq(b.events[0].length, 1000);
	cr_assert_eq(memcmp(b.events[0].data, segment_data(b.arena, &b.input), 1000), 0);
	cr_assert_eq(worker_free_slots(w), 2);
	cr_assert_eq(worker_batches_done(w), 1);
	bed_drain_end(&b);
}

/* --- Loss: whatever is not as it should be ---------------------------------------------------- */

struct fault {
	const char *word; /* script of the first process, or name of the model that is run */
	const char *text; /* part of worker_last_exit() */
	enum worker_verdict verdict;
};

static void lose_at_start(const struct fault *f)
{
	char script[64];
	struct bed b;
	struct worker *w;

	snprintf(script, sizeof(script), "%s,good", f->word);
	bed_init(&b, script, "echo");
	bed_start(&b);
	w = bed_worker(&b, 0);
	/* Where it was being loaded then, it is tried elsewhere first. */
	bed_wait(&b, worker_restarts(w) == 1 && worker_get_state(w) == WORKER_READY &&
			     pool_model_ready(b.pm[0]) == 1);
	cr_assert_eq(b.n_started, 1);
	cr_assert(strstr(worker_last_exit(w), f->text), "%s: %s", f->word, worker_last_exit(w));
	cr_assert_eq(w->verdict, f->verdict, "%s: %d", f->word, w->verdict);
	cr_assert_eq(worker_ends(w, f->verdict), 1, "%s", f->word);
	cr_assert_eq(worker_generation(w), 2);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].what, 'd');
	bed_drain_end(&b);
}

Test(worker, bad_messages_end_it)
{
	static const struct fault faults[] = {
		{"exit77", "exit status 77", WORKER_UNUSABLE},
		{"exit78", "exit status 78", WORKER_UNUSABLE},
		{"exit0", "exit status 0: the model, or a library, ended the process",
			WORKER_CRASHED},
		{"parting78", "exit status 78: it 'lacks' numpy ?", WORKER_UNUSABLE},
		{"parting0", "exit status 0: it 'lacks' numpy ?", WORKER_CRASHED},
		{"parting-not", "message 'hello' is not allowed after bye", WORKER_MISBEHAVED},
		{"exit-ready", "exit status 42", WORKER_CRASHED},
		{"garbage", "malformed", WORKER_MISBEHAVED},
		{"pong-first", "message 'pong' is not allowed spawned", WORKER_MISBEHAVED},
		{"bad-protocol", "protocol 99, expected 4", WORKER_MISBEHAVED},
		{"region", "not of a kind that a worker has", WORKER_MISBEHAVED},
		{"large-segment", "larger than [worker] output_arena_bytes", WORKER_MISBEHAVED},
		{"wrong-size", "refused: it has not that size", WORKER_MISBEHAVED},
		{"unsealed", "refused: it is not sealed", WORKER_MISBEHAVED},
		{"no-slots", "0 slots, expected 1 to 2", WORKER_MISBEHAVED},
		{"many-slots", "3 slots, expected 1 to 2", WORKER_MISBEHAVED},
		{"no-fd", "map: no descriptor came along", WORKER_MISBEHAVED},
		{"map-twice", "its id is in use", WORKER_MISBEHAVED},
		{"unmap-unknown", "there is no segment 0x63", WORKER_MISBEHAVED},
		{"hello-twice", "message 'hello' is not allowed loading", WORKER_MISBEHAVED},
		{"ready-twice", "ready: for the second time", WORKER_MISBEHAVED},
		{"wrong-model", "model 8 was not to be loaded", WORKER_MISBEHAVED},
		{"fd-with-ready", "message 'ready' with a descriptor", WORKER_MISBEHAVED},
		{"bye-early", "message 'bye' is not allowed ready", WORKER_MISBEHAVED},
		{"pong", "nonce 0 was not asked for", WORKER_MISBEHAVED},
		{"unmapped", "memory 0x8000000000000001 was not to be unmapped", WORKER_MISBEHAVED},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		lose_at_start(&faults[i]);
}

static void lose_by_answer(const struct fault *f)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", f->word);
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, b.n_events == 2 && worker_get_state(w) == WORKER_READY);
	/* The first may have been taken for good; what comes behind it is lost then. */
	cr_assert_eq(b.events[0].what, 's');
	cr_assert_eq(b.events[0].tag, 1);
	cr_assert_eq(b.events[1].what, 's');
	cr_assert_eq(b.events[1].tag, 2);
	cr_assert(strstr(worker_last_exit(w), f->text), "%s: %s", f->word, worker_last_exit(w));
	cr_assert_eq(w->verdict, f->verdict);
	bed_end(&b);
}

Test(worker, bad_answers_end_it)
{
	static const struct fault faults[] = {
		{"w-batch", "batch 1001 is not in flight", WORKER_MISBEHAVED},
		{"w-order", "batch 2 comes before batch 1", WORKER_MISBEHAVED},
		{"w-results", "a wrong number of results", WORKER_MISBEHAVED},
		{"w-none", "a wrong number of outputs", WORKER_MISBEHAVED},
		{"w-error", "a wrong number of outputs", WORKER_MISBEHAVED},
		{"w-index", "an output index out of range", WORKER_MISBEHAVED},
		{"w-unwanted", "not wanted", WORKER_MISBEHAVED},
		{"w-dtype", "dtype is not as declared", WORKER_MISBEHAVED},
		{"w-length", "size does not fit its shape", WORKER_MISBEHAVED},
		{"w-outside", "not inside the worker's output memory", WORKER_MISBEHAVED},
		{"w-arena", "not inside the worker's output memory", WORKER_MISBEHAVED},
		{"w-no-hold", "outputs without a hold", WORKER_MISBEHAVED},
		{"w-hold-for-nothing", "a hold without outputs", WORKER_MISBEHAVED},
		{"w-part", "an answer in part, and is not declared decoupled", WORKER_MISBEHAVED},
		{"p-item", "an answer of an item that it has not", WORKER_MISBEHAVED},
		{"p-batch", "partial: batch 1001 is not in flight", WORKER_MISBEHAVED},
		{"p-empty", "a hold without outputs", WORKER_MISBEHAVED},
		{"p-no-hold", "an answer in part that holds nothing", WORKER_MISBEHAVED},
		{"p-unwanted", "not wanted", WORKER_MISBEHAVED},
		{"crash", "signal 9 (Killed)", WORKER_CRASHED},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		lose_by_answer(&faults[i]);
}

/* What came before the lie was taken for good. */
static void lose_later(const struct fault *f)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", f->word);
	b.settings.max_holds = 100;
	bed_up(&b);
	w = bed_worker(&b, 0);
	b.keep_leases = true;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, worker_restarts(w) == 1 && worker_get_state(w) == WORKER_READY);
	cr_assert_neq(b.events[0].what, 's');
	cr_assert_eq(b.events[b.n_events - 1].what, 's');
	cr_assert(strstr(worker_last_exit(w), f->text), "%s: %s", f->word, worker_last_exit(w));
	cr_assert_eq(w->verdict, f->verdict);
	bed_end(&b);
}

Test(worker, answers_that_are_bad_only_after_others)
{
	static const struct fault faults[] = {
		{"w-old-hold", "a hold that does not come next", WORKER_MISBEHAVED},
		{"p-late", "partial: batch 1 is not in flight", WORKER_MISBEHAVED},
		{"e-again", "an answer of an item that had its last", WORKER_MISBEHAVED},
		{"e-twice", "a result of an item that had its last", WORKER_MISBEHAVED},
		{"e-error", "a result of an item that had its last", WORKER_MISBEHAVED},
		{"p-many", "a hold more than [worker] max_holds", WORKER_MISBEHAVED},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		lose_later(&faults[i]);
}

/* The shape is the model's affair: it may not keep what it declares. */
Test(worker, another_shape_than_declared_is_an_answer)
{
	struct bed b;

	bed_init(&b, "good", "w-rank");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_eq(b.events[0].code, 0);
	cr_assert_eq(worker_restarts(bed_worker(&b, 0)), 0);
	bed_drain_end(&b);
}

Test(worker, last_words_count)
{
	struct bed b;

	bed_init(&b, "good", "last");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_eq(b.events[1].what, 's');
	cr_assert_eq(b.events[1].tag, 2);
	bed_end(&b);
}

Test(worker, error_is_an_answer)
{
	struct bed b;

	bed_init(&b, "good", "error");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_eq(b.events[0].code, 13);
	cr_assert_eq(worker_restarts(bed_worker(&b, 0)), 0);
	bed_drain_end(&b);
}

Test(worker, what_it_says_is_utf8)
{
	struct bed b;

	bed_init(&b, "good", "mumbles");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_str_eq(b.events[0].message, "? told");
	cr_assert_eq(worker_restarts(bed_worker(&b, 0)), 0);
	bed_drain_end(&b);
}

/* --- Time ------------------------------------------------------------------------------------- */

static void lose_by_time(struct bed *b, const char *text, enum worker_verdict verdict)
{
	struct worker *w = bed_worker(b, 0);

	bed_wait(b, worker_restarts(w) > 0);
	cr_assert(strstr(worker_last_exit(w), text), "%s", worker_last_exit(w));
	cr_assert_eq(w->verdict, verdict);
	bed_end(b);
}

static const struct flight *first_flight(const struct worker *w)
{
	return list_entry(w->in_flight.next, struct flight, node);
}

/* Whatever is loaded, a batch has a time of its own, and so has the load. */
Test(worker, a_batch_beside_a_load)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold noload echo");
	b.settings.breaker_crashes = 1;
	bed_up(&b);
	w = bed_worker(&b, 0);
	for (uint32_t i = 1; i < 3; i++) {
		pool_blame(b.pm[i], w);
		bed_wait(&b, b.pm[i]->holdings[0].state == HOLDING_NONE);
		pool_breaker(b.pm[i], 0)->state = BREAKER_PROBATION;
		b.pm[i]->holdings[0].failed = false;
		worker_want(w, b.pm[i]);
	}
	worker_load_next(w);
	cr_assert_eq(b.pm[1]->holdings[0].state, HOLDING_LOADING);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(w->n_busy, 1);
	cr_assert_eq(lane_front(first_flight(w)->lane), first_flight(w));
	cr_assert_lt(worker_deadline(w), CLOCK_NO_DEADLINE);
	/* It fails in an orderly manner: the breaker closes, and the next load is sent. */
	bed_wait(&b, b.pm[2]->holdings[0].state == HOLDING_LOADING);
	cr_assert_eq(w->n_in_flight, 1);
	bed_end(&b);
}

/* --- Lanes ------------------------------------------------------------------------------------ */

/* The fake worker says that it has as many as it is asked for. */
Test(worker, batches_go_to_the_lane_that_is_done_first)
{
	struct bed b;
	struct holding *h;
	struct worker *w;

	bed_init(&b, "good", "hold");
	b.settings.slots = 8;
	b.models[0].instances = 3;
	bed_up(&b);
	w = bed_worker(&b, 0);
	h = &b.pm[0]->holdings[0];
	cr_assert_eq(h->n_lanes, 3);
	for (int i = 1; i <= 4; i++) {
		cr_assert_eq(worker_lane_backlog(w, b.pm[0], 0).n, i > 3);
		cr_assert_eq(bed_run(&b, 0, 0, i, 10), 0);
	}
	cr_assert_eq(w->n_busy, 3);
	cr_assert_eq(h->lanes[0].backlog.n, 2);
	cr_assert_eq(h->lanes[1].backlog.n, 1);
	cr_assert_eq(h->lanes[2].backlog.n, 1);
	cr_assert_eq(h->lanes[0].backlog.expect_ns, 2000);
	cr_assert_eq(w->backlog.n, 4);
	cr_assert_eq(w->backlog.expect_ns, 4000);
	/* The account of a process that is gone is closed. */
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, b.n_events == 4);
	cr_assert_eq(w->backlog.n, 0);
	cr_assert_eq(worker_backlog_ns(w, clock_ns()), 0);
	bed_end(&b);
}

Test(worker, a_crash_while_several_lanes_run_is_nobodys)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "crash hold");
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, b.n_events == 2 && worker_get_state(w) == WORKER_READY);
	cr_assert_eq(b.events[0].what, 's');
	cr_assert_eq(b.events[1].what, 's');
	cr_assert_eq(pool_breaker(b.pm[0], 0)->crashes, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 3, 10), 0);
	bed_wait(&b, b.n_events == 3 && worker_get_state(w) == WORKER_READY);
	cr_assert_eq(pool_breaker(b.pm[0], 0)->crashes, 1, "alone it was it");
	cr_assert_eq(pool_breaker(b.pm[1], 0)->crashes, 0);
	bed_end(&b);
}

Test(worker, silent_from_the_start)
{
	struct bed b;

	bed_init(&b, "no-hello", "echo");
	b.settings.start_timeout_ms = 20;
	bed_start(&b);
	lose_by_time(&b, "no hello within start_timeout_ms = 20", WORKER_UNUSABLE);
}

Test(worker, load_takes_too_long)
{
	struct bed b;

	bed_init(&b, "good", "hangload");
	b.settings.load_timeout_ms = 20;
	bed_start(&b);
	lose_by_time(
		&b, "loading model 'hangload' took longer than load_timeout_ms = 20", WORKER_HUNG);
}

Test(worker, batch_runs_too_long)
{
	struct bed b;

	bed_init(&b, "good", "hang echo");
	b.models[0].run_timeout_ms = 20;
	b.settings.slots = 4;
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 3, 10), 0);
	bed_wait(&b, b.n_events == 3);
	cr_assert_eq(b.events[0].what, 'g', "it was one request");
	cr_assert_eq(b.events[1].what, 'i', "another model's");
	cr_assert_eq(b.events[2].what, 'i', "behind it");
	lose_by_time(&b, "batch of model 'hang' ran longer than run_timeout_ms = 20", WORKER_HUNG);
}

/* This process stood still, so that the answer lies in the socket when the limit is found to have passed. */
Test(worker, what_was_said_while_nobody_listened_counts)
{
	struct bed b;
	struct worker *w;
	struct pollfd answer = {.events = POLLIN};

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	pool_flush(b.pool);
	cr_assert_eq(uv_fileno((uv_handle_t *)w->channel, &answer.fd), 0);
	cr_assert_eq(poll(&answer, 1, -1), 1);
	list_entry(w->busy.next, struct pool_lane, node)->backlog.since_ns -= 20 * NS_PER_S;
	w->ping_ns = w->heard_ns -= 10 * NS_PER_S;
	w->nonce = 0;
	worker_tick(w, clock_ns());
	cr_assert_eq(worker_get_state(w), WORKER_READY);
	cr_assert_eq(b.n_events, 1);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_geq(b.n_credit, 1, "its slot is free");
	w->ping_ns = 0;
	bed_drain_end(&b);
}

Test(worker, misses_its_heartbeat)
{
	struct bed b;

	bed_init(&b, "deaf", "echo");
	b.settings.heartbeat_interval_ms = 5;
	b.settings.heartbeat_timeout_ms = 20;
	bed_up(&b);
	lose_by_time(&b, "missed heartbeat for 20 ms", WORKER_HUNG);
}

Test(worker, answers_its_heartbeat)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	b.settings.heartbeat_interval_ms = 2;
	bed_up(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, w->nonce >= 3 && w->ping_ns == 0);
	cr_assert_eq(worker_get_state(w), WORKER_READY);
	bed_drain_end(&b);
}

/* --- Slots ------------------------------------------------------------------------------------ */

Test(worker, takes_as_many_as_it_has_slots)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold echo more");
	bed_start(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 9, 10), WORKER_E_BUSY); /* not ready */
	bed_wait(&b, b.n_started == 1);
	w = bed_worker(&b, 0);
	pool_model_retire(b.pm[2]);
	cr_assert_eq(bed_run(&b, 0, 2, 9, 10), WORKER_E_BUSY); /* a model that goes */
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	cr_assert_eq(worker_free_slots(w), 0);
	cr_assert_eq(worker_in_flight(w), 2);
	cr_assert_eq(bed_run(&b, 0, 1, 9, 10), WORKER_E_BUSY);
	b.n_credit = 0;
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.events[0].tag, 1);
	cr_assert_eq(b.events[0].code, 13);
	cr_assert_eq(b.events[1].tag, 2);
	bed_wait(&b, b.n_credit > 0);
	cr_assert_eq(worker_free_slots(w), 2);
	bed_drain_end(&b);
}

/* With the flush, and nothing but that: the worker holds it for ever else. */
Test(worker, is_told_of_a_batch_that_nobody_waits_for)
{
	struct bed b;

	bed_init(&b, "good", "echo hold");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), 0);
	worker_cancel(bed_worker(&b, 0), (void *)(intptr_t)9);
	worker_cancel(bed_worker(&b, 0), (void *)(intptr_t)1);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].tag, 1);
	cr_assert_eq(b.events[0].code, 1);
	worker_cancel(bed_worker(&b, 0), (void *)(intptr_t)1);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.events[1].code, 0);
	bed_drain_end(&b);
}

/* Its batches are on their way back. */
Test(worker, is_told_nothing_once_it_is_lost)
{
	struct bed b;

	bed_init(&b, "good", "hold");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	worker_lose(bed_worker(&b, 0), WORKER_MISBEHAVED, "told so");
	worker_cancel(bed_worker(&b, 0), (void *)(intptr_t)1);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].tag, 1);
	bed_end(&b);
}

Test(worker, may_accept_fewer_slots)
{
	struct bed b;

	bed_init(&b, "one-slot", "hold");
	bed_up(&b);
	cr_assert_eq(worker_slots(bed_worker(&b, 0)), 1);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), WORKER_E_BUSY);
	bed_end(&b);
}

Test(worker, says_what_holds_it)
{
	struct bed b;

	bed_init(&b, "sandboxed", "echo");
	bed_up(&b);
	cr_assert_str_eq(worker_sandbox(bed_worker(&b, 0)), "on: files");
	cr_assert(b.pool->sandbox_lacks, "it was said");
	bed_end(&b);
}

Test(worker, slot_is_free_inside_on_done)
{
	struct bed b;

	bed_init(&b, "one-slot", "echo");
	bed_up(&b);
	b.run_again = 10;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 11);
	cr_assert_eq(b.events[10].tag, 11);
	bed_drain_end(&b);
}

Test(worker, refuses_what_no_message_can_hold)
{
	static char value[WIRE_TEXT_MAX];
	struct wire_pair pairs[WIRE_PAIRS_MAX];
	struct wire_item item = {.parameters = pairs, .n_parameters = WIRE_PAIRS_MAX};
	struct bed b;

	memset(value, 'v', sizeof(value) - 1);
	for (size_t i = 0; i < WIRE_PAIRS_MAX; i++)
		pairs[i] = (struct wire_pair){"key", value};
	bed_init(&b, "good", "echo");
	bed_up(&b);
	cr_assert_eq(worker_run(bed_worker(&b, 0),
			     &(struct pool_batch){.model = b.pm[0], .items = &item, .n_items = 1}),
		WORKER_E_LARGE);
	cr_assert_eq(worker_free_slots(bed_worker(&b, 0)), 2);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	bed_drain_end(&b);
}

/* --- Outputs ---------------------------------------------------------------------------------- */

Test(worker, outputs_are_released_ahead_of_the_next_batch)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	for (int i = 1; i <= 100; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, i, 30000), 0);
		bed_wait(&b, b.n_events == (size_t)i);
		cr_assert_eq(b.events[i - 1].code, 0);
	}
	/* Those that are held are not: the worker's 64 KiB are soon used up. */
	b.keep_leases = true;
	for (int i = 101; i <= 103; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, i, 30000), 0);
		bed_wait(&b, b.n_events == (size_t)i);
	}
	cr_assert_eq(b.events[102].code, 8);
	for (size_t i = 0; i < b.n_leases; i++)
		output_lease_unref(b.leases[i]);
	b.n_leases = 0;
	b.keep_leases = false;
	bed_drain_end(&b);
}

Test(worker, answers_in_part_come_in_their_order_and_are_held_one_by_one)
{
	struct bed b;

	bed_init(&b, "good", "parts3 parts0");
	bed_up(&b);
	cr_assert(pool_model_loaded(b.pm[0])->decoupled);
	b.keep_leases = true;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 100), 0);
	bed_wait(&b, b.n_events == 4);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(b.events[i].what, 'p');
		cr_assert_eq(b.events[i].length, 100);
		cr_assert_eq(memcmp(b.events[i].data, segment_data(b.arena, &b.input), 100), 0);
	}
	cr_assert_eq(b.events[3].what, 'd');
	cr_assert_eq(b.events[3].length, 0);
	cr_assert_eq(b.n_leases, 3);
	cr_assert_neq(b.leases[0], b.leases[1]);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 100), 0);
	bed_wait(&b, b.n_events == 5);
	cr_assert_eq(b.events[4].what, 'd');
	cr_assert_eq(b.events[4].code, 0);
	bed_drain_end(&b);
}

Test(worker, an_answer_ahead_of_its_batch)
{
	struct bed b;

	bed_init(&b, "good", "e-good");
	bed_up(&b);
	cr_assert_not(pool_model_loaded(b.pm[0])->decoupled);
	for (size_t i = 1; i <= 3; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, 1, 100), 0);
		bed_wait(&b, b.n_events == 2 * i);
		cr_assert_eq(b.events[2 * i - 2].what, 'e');
		cr_assert_eq(b.events[2 * i - 2].length, 100);
		cr_assert_eq(b.events[2 * i - 1].what, 'd');
		cr_assert_eq(b.events[2 * i - 1].code, 0);
		cr_assert_eq(b.events[2 * i - 1].length, 0);
	}
	bed_drain_end(&b);
}

/* However many there are: what was read is released while they come. */
Test(worker, answers_in_part_without_end)
{
	struct bed b;

	bed_init(&b, "good", "parts9");
	bed_up(&b);
	for (size_t i = 1; i <= 100; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
		bed_wait(&b, b.n_events == 10 * i);
	}
	bed_drain_end(&b);
}

Test(worker, a_worker_that_is_lost_between_answers)
{
	struct bed b;

	bed_init(&b, "good", "parts-crash");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 4);
	cr_assert_eq(b.events[2].what, 'p');
	cr_assert_eq(b.events[3].what, 's');
	bed_end(&b);
}

/* The end of its channel is heard of first. */
Test(worker, says_why_it_was_lost_when_its_batches_come_back)
{
	struct bed b;
	siginfo_t info;
	int pid;

	bed_init(&b, "good", "hold");
	bed_up(&b);
	pid = worker_pid(bed_worker(&b, 0));
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	pool_flush(b.pool);
	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 's');
	cr_expect_str_eq(b.events[0].message, "cpu:0/0 (signal 9 (Killed))");
	bed_end(&b);
}

Test(worker, says_why_the_model_was_lost_before_where_nothing_is_known_yet)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	/* As if its channel had ended, while its process goes on. */
	w->state = WORKER_LOST;
	cr_expect_str_eq(worker_loss(w), "cpu:0/0");
	w->suspect = b.pm[0];
	cr_assert_not(breaker_crash(pool_breaker(b.pm[0], 0), w, "exit status 3", clock_ns()));
	cr_expect_str_eq(worker_loss(w), "cpu:0/0 (the time before: exit status 3)");
	w->suspect = NULL;
	w->state = WORKER_READY;
	bed_drain_end(&b);
}

/* What is expected of batches, and so who waits for what, goes by it. */
Test(worker, what_a_batch_took_is_no_longer_than_it_was_away)
{
	uint64_t before = clock_ns();
	struct bed b;

	bed_init(&b, "good", "echo boasts e-boasts");
	bed_up(&b);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(bed_run(&b, 0, i, i, 10), 0);
		bed_wait(&b, b.n_events == (i < 2 ? i + 1 : 4));
	}
	cr_expect_eq(b.events[0].compute_ns, 5);
	for (size_t i = 1; i < 4; i++)
		cr_expect_lt(b.events[i].compute_ns, clock_ns() - before);
	cr_expect_eq(b.events[2].what, 'e');
	bed_drain_end(&b);
}

Test(worker, lease_outlives_the_process)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	b.keep_leases = true;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 5000), 0);
	bed_wait(&b, b.n_events == 1);
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, worker_restarts(w) == 1 && worker_get_state(w) == WORKER_READY);
	cr_assert_str_eq(worker_last_exit(w), "signal 9 (Killed)");
	cr_assert_eq(memcmp(b.events[0].data, segment_data(b.arena, &b.input), 5000), 0);
	output_lease_unref(output_lease_ref(b.leases[0]));
	output_lease_unref(b.leases[0]);
	b.n_leases = 0;
	cr_assert_eq(b.pool->outputs.n_leases, 0);
	bed_drain_end(&b);
}

/* --- The end ---------------------------------------------------------------------------------- */

Test(worker, drains_what_is_in_flight)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	b.inside = true;
	pool_drain(b.pool);
	b.inside = false;
	cr_assert_eq(worker_get_state(w), WORKER_DRAINING);
	cr_assert_eq(bed_run(&b, 0, 1, 3, 10), WORKER_E_BUSY);
	bed_wait(&b, b.n_drained == 1);
	cr_assert_eq(b.n_events, 2);
	cr_assert_eq(b.events[1].what, 'd');
	cr_assert_eq(w->verdict, WORKER_CLEAN);
	cr_assert_str_eq(worker_last_exit(w), "exit status 0");
	cr_assert_eq(worker_restart_at_ns(w), 0);
	bed_free(&b);
}

static void end_badly(const char *script, const char *text, enum worker_verdict verdict)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, script, "echo");
	b.settings.drain_timeout_ms = 50;
	if (strcmp(script, "no-drain") && strcmp(script, "no-exit"))
		b.settings.drain_timeout_ms = 20000;
	bed_up(&b);
	w = bed_worker(&b, 0);
	pool_drain(b.pool);
	cr_assert_eq(worker_get_state(w), WORKER_STOPPING);
	bed_wait(&b, b.n_drained == 1);
	cr_assert(strstr(worker_last_exit(w), text), "%s: %s", script, worker_last_exit(w));
	cr_assert_eq(w->verdict, verdict, "%s", script);
	bed_free(&b);
}

Test(worker, clean_takes_bye_and_exit_0)
{
	end_badly("no-drain", "did not end within drain_timeout_ms = 50", WORKER_HUNG);
	end_badly("no-exit", "did not end within drain_timeout_ms = 50", WORKER_HUNG);
	end_badly("no-bye", "exit status 0: the model, or a library, ended the process",
		WORKER_CRASHED);
	end_badly("bye-exit3", "exit status 3", WORKER_CRASHED);
	end_badly("bye-twice", "bye: for the second time", WORKER_MISBEHAVED);
}

Test(worker, drain_ends_a_batch_that_hangs)
{
	struct bed b;

	bed_init(&b, "good", "hang");
	b.settings.drain_timeout_ms = 30;
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	pool_drain(b.pool);
	bed_wait(&b, b.n_drained == 1);
	cr_assert_eq(b.n_events, 1);
	cr_assert_eq(b.events[0].what, 's');
	bed_free(&b);
}

Test(worker, drain_does_not_wait_for_a_load)
{
	struct bed b;

	bed_init(&b, "good", "hangload");
	bed_start(&b);
	bed_wait(&b, worker_get_state(bed_worker(&b, 0)) == WORKER_LOADING);
	pool_drain(b.pool);
	cr_assert_eq(worker_get_state(bed_worker(&b, 0)), WORKER_LOST);
	bed_wait(&b, b.n_drained == 1);
	bed_free(&b);
}

Test(worker, kill_hands_batches_back)
{
	struct bed b;

	bed_init(&b, "good", "hold");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	b.inside = true;
	pool_kill(b.pool);
	b.inside = false;
	cr_assert_eq(b.n_events, 0);
	bed_wait(&b, b.n_drained == 1);
	cr_assert_eq(b.n_events, 2);
	cr_assert_eq(b.events[0].tag, 1);
	cr_assert_eq(b.events[0].what, 's');
	cr_assert_eq(b.events[1].what, 's');
	bed_free(&b);
}

Test(worker, surroundings_of_the_program)
{
	struct bed b;

	bed_init(&b, "surroundings", "echo");
	b.places[0].device = "cuda:3";
	signal(SIGPIPE, SIG_IGN);
	bed_up(&b);
	cr_assert_eq(worker_get_state(bed_worker(&b, 0)), WORKER_READY, "%s",
		worker_last_exit(bed_worker(&b, 0)));
	bed_drain_end(&b);
}

/* Its record is full when a batch is to be sent there, so that what was released is what shows that it is lost. */
static void fill_record(struct worker *w)
{
	const struct wire_message m = {.type = WIRE_PING, .ping = {.nonce = UINT64_MAX}};
	struct wire_scratch *scratch;
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_scratch_new(&scratch), 0);
	cr_assert_eq(wire_pack(scratch, &m, &data, &n), 0);
	for (size_t i = 0; i < WIRE_MESSAGE_MAX / n; i++)
		worker_send(w, &m);
	wire_scratch_free(scratch);
}

Test(worker, lost_while_it_is_told_what_was_released)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	b.keep_leases = true;
	for (size_t i = 1; i <= 20; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
		bed_wait(&b, b.n_events == i);
	}
	b.keep_leases = false;
	while (b.n_leases > 0)
		output_lease_unref(b.leases[--b.n_leases]);
	fill_record(w);
	failalloc_arm_error(FAIL_SYSCALLS, FAIL_PERSISTENT, 1, EIO);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 1000), 0);
	failalloc_disarm();
	cr_expect_eq(worker_get_state(w), WORKER_LOST);
	cr_expect_eq(w->n_busy, 0);
	cr_expect(list_empty(&w->busy));
	bed_wait(&b, b.n_events == 21);
	cr_expect_eq(b.events[20].what, 'i', "it was not sent");
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	cr_assert_eq(bed_run(&b, 0, 0, 3, 1000), 0);
	bed_wait(&b, b.n_events == 22);
	cr_expect_eq(b.events[21].what, 'd');
	bed_drain_end(&b);
}

/* It goes again, and is none of its losses; nor is its model to blame. */
Test(worker, lost_when_a_batch_cannot_be_sent)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	fill_record(w);
	failalloc_arm_error(FAIL_SYSCALLS, FAIL_PERSISTENT, 1, EIO);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
	failalloc_disarm();
	cr_expect_eq(worker_get_state(w), WORKER_LOST);
	cr_expect_null(w->suspect);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'i');
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 1000), 0);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(b.events[1].what, 'd');
	bed_drain_end(&b);
}

static void lose(struct worker *w, struct pool_model *m)
{
	(void)m;
	worker_lose(w, WORKER_HUNG, "does not read");
}

/* A model that has answered is loaded elsewhere: who is told of that may be found not to read, and be the same. */
Test(worker, lost_by_what_follows_from_an_answer)
{
	struct bed b;
	struct worker *w;
	const struct worker_events *before;
	struct worker_events events;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	w = bed_worker(&b, 0);
	before = b.pool->worker_events;
	events = *before;
	events.on_answered = lose;
	b.pool->worker_events = &events;
	cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
	bed_wait(&b, b.n_events == 1);
	b.pool->worker_events = before;
	cr_expect_eq(b.events[0].what, 'd', "the answer came");
	cr_expect_eq(b.events[0].length, 1000);
	bed_wait(&b, worker_get_state(w) == WORKER_READY && worker_generation(w) == 2);
	cr_assert_eq(bed_run(&b, 0, 0, 2, 1000), 0);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(b.events[1].what, 'd');
	bed_drain_end(&b);
}

Test(worker, steady_load_allocates_nothing)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	for (size_t i = 1; i <= 100; i++) {
		/* The first few make room, once. */
		if (i == 10)
			failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
		cr_assert_eq(bed_run(&b, 0, 0, 1, 1000), 0);
		bed_wait(&b, b.n_events == i);
		pool_flush(b.pool);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	cr_assert_eq(worker_batches_done(bed_worker(&b, 0)), 100);
	bed_drain_end(&b);
}

/* Tests of request.c: states, references, what a service fills in. */
#include "dispatch/request.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static struct answer answer;

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(request, .init = setup, .fini = teardown);

static struct request *make(struct version *m)
{
	struct request *r;

	cr_assert_eq(request_new(&r, m, &bed.origin, bed_on_done, &answer), 0);
	return r;
}

Test(request, has_the_inputs_of_the_declaration)
{
	struct request *r = make(bed.gamma);

	cr_expect_not_null(request_input(r, 0));
	cr_expect_not_null(request_input(r, 1));
	cr_expect_null(request_input(r, 2));
	cr_expect_null(request_input(r, 1)->lease);
	cr_expect_eq(request_status(r), GRPC_OK);
	cr_expect_str_eq(request_message(r), "");
	cr_expect_null(request_unref(r));
	cr_expect_null(request_unref(NULL));
}

Test(request, keeps_the_times_of_its_origin)
{
	const struct origin origin = {.client = bed.client, .deadline_ns = 77, .received_ns = 55};
	struct request *r = NULL;

	cr_assert_eq(request_new(&r, bed.alpha, &origin, bed_on_done, NULL), 0);
	cr_expect_eq(r->deadline_ns, 77);
	cr_expect_eq(r->times.received_ns, 55);
	cr_expect_eq(r->client, bed.client);
	request_unref(r);
}

Test(request, blocks_are_used_again_and_clean)
{
	struct request *r = make(bed.gamma), *again;

	request_input(r, 0)->rank = 7;
	cr_assert_eq(request_want_output(r, 0), 0);
	cr_assert_eq(request_add_parameter(r, "k", "v"), 0);
	request_set_id(r, "first", 5);
	request_unref(r);
	cr_expect_eq(bed.gamma->spare_requests.n, 1);
	again = make(bed.gamma);
	cr_expect_eq(again, r);
	cr_expect_eq(request_input(again, 0)->rank, 0);
	cr_expect_eq(again->item.n_outputs, 0);
	cr_expect_eq(again->item.n_parameters, 0);
	cr_expect_null(again->item.id);
	cr_expect_eq(again->times.received_ns, 0);
	request_unref(again);
}

Test(request, a_block_from_before_the_declaration_is_not_kept)
{
	const struct wire_loaded *loaded = bed.pool->loaded[2];
	struct request *r;

	bed.pool->loaded[2] = NULL;
	r = make(bed.gamma);
	cr_expect_null(request_input(r, 0));
	bed.pool->loaded[2] = loaded;
	request_unref(r);
	cr_expect_eq(bed.gamma->spare_requests.n, 0);
}

Test(request, an_id_is_for_a_model_that_can_read_it)
{
	char long_id[WIRE_NAME_MAX + 1];
	struct request *r = make(bed.gamma);

	memset(long_id, 'x', sizeof(long_id));
	request_set_id(r, "", 0);
	request_set_id(r, "a\0b", 3);
	request_set_id(r, long_id, sizeof(long_id));
	request_set_id(r, "\xff", 1);
	cr_expect_null(r->item.id);
	request_set_id(r, "seven", 4);
	request_set_id(r, "eight!", 5);
	cr_expect_str_eq(r->item.id, "eight");
	request_unref(r);
}

Test(request, wanted_outputs)
{
	struct request *r = make(bed.gamma);

	cr_expect_eq(request_want_output(r, 1), 0);
	cr_expect_eq(request_want_output(r, 1), -EEXIST);
	cr_expect_eq(request_want_output(r, 2), -EINVAL);
	cr_expect_eq(request_want_output(r, 0), 0);
	cr_expect_eq(r->item.n_outputs, 2);
	cr_expect_eq(r->outputs[0], 1);
	request_unref(r);
}

Test(request, parameters_are_copied_and_bounded)
{
	struct request *r = make(bed.gamma);
	char key[WIRE_NAME_MAX + 2], value[WIRE_TEXT_MAX + 2];

	memset(key, 'k', sizeof(key));
	memset(value, 'v', sizeof(value));
	key[WIRE_NAME_MAX + 1] = 0;
	value[WIRE_TEXT_MAX + 1] = 0;
	cr_expect_eq(request_add_parameter(r, key, ""), -E2BIG);
	cr_expect_eq(request_add_parameter(r, "", value), -E2BIG);
	cr_expect_eq(request_add_parameter(r, "k", "v\xff"), -EINVAL);
	cr_expect_eq(request_add_parameter(r, "\xc3", "v"), -EINVAL);
	cr_expect_eq(r->item.n_parameters, 0);
	key[WIRE_NAME_MAX] = 0;
	value[WIRE_TEXT_MAX] = 0;
	for (unsigned i = 0; i < WIRE_PAIRS_MAX; i++)
		cr_assert_eq(request_add_parameter(r, key, value), 0);
	cr_expect_eq(request_add_parameter(r, "k", "v"), -E2BIG);
	key[0] = 'x';
	cr_expect_eq(r->parameters[63].key[0], 'k');
	request_unref(r);
}

Test(request, refusals_keep_the_last_reason)
{
	struct request *r = make(bed.alpha);

	cr_expect_eq(request_refuse(r, GRPC_NOT_FOUND, "no %s", "such"), DISPATCH_E_REFUSED);
	cr_expect_eq(request_refuse(r, GRPC_INTERNAL, "%d", 2), DISPATCH_E_REFUSED);
	cr_expect_eq(request_status(r), GRPC_INTERNAL);
	cr_expect_str_eq(request_message(r), "2");
	request_unref(r);
}

Test(request, discarded_it_gives_its_leases_back)
{
	struct request *r = bed_request(&bed, bed.alpha, bed.client, 1, 0, &answer);

	request_discard(r);
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(r->state, REQUEST_DONE);
	request_unref(r);
}

Test(request, unreferenced_while_new_it_gives_its_leases_back)
{
	request_unref(bed_request(&bed, bed.alpha, bed.client, 1, 0, &answer));
	cr_expect_eq(client_bytes(bed.client), 0);
}

/* --- The table ------------------------------------------------------------------------------- */

static const bool allowed[REQUEST_STATES_][REQUEST_STATES_] = {
	/*            NEW EARLY QUEUED SENT LEAVING DONE */
	/* NEW */ {0, 1, 1, 0, 0, 1},
	/* EARLY */ {0, 0, 0, 0, 0, 1},
	/* QUEUED */ {0, 0, 0, 1, 1, 1},
	/* SENT */ {0, 0, 1, 0, 0, 1},
	/* LEAVING */ {0, 0, 0, 0, 0, 1},
	/* DONE */ {0, 0, 0, 0, 0, 0},
};

Test(request, allowed_moves)
{
	struct request *r = make(bed.alpha);

	for (int from = 0; from < REQUEST_STATES_; from++) {
		for (int to = 0; to < REQUEST_STATES_; to++) {
			if (!allowed[from][to])
				continue;
			r->state = (enum request_state)from;
			request_set_state(r, (enum request_state)to);
			cr_expect_eq(r->state, to);
			r->version->n_requests += to == REQUEST_DONE;
		}
	}
	r->state = REQUEST_NEW;
	request_unref(r);
}

Test(request, nothing_leaves_done, .signal = SIGABRT)
{
	struct request *r = make(bed.alpha);

	request_set_state(r, REQUEST_DONE);
	request_set_state(r, REQUEST_QUEUED);
}

Test(request, leaving_does_not_come_back, .signal = SIGABRT)
{
	struct request *r = make(bed.alpha);

	r->state = REQUEST_LEAVING;
	request_set_state(r, REQUEST_QUEUED);
}

/* --- Cancelling in each state ------------------------------------------------------------------- */

Test(request, cancelled_while_new)
{
	struct request *r = bed_request(&bed, bed.alpha, bed.client, 1, 0, &answer);

	request_cancel(r);
	request_cancel(r);
	cr_expect_eq(r->state, REQUEST_DONE);
	cr_expect_eq(client_bytes(bed.client), 0);
	request_unref(r);
}

Test(request, cancelled_while_queued)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answer);

	request_cancel(r);
	cr_expect_eq(r->state, REQUEST_DONE);
	cr_expect_eq(version_queue_depth(bed.alpha), 0);
	cr_expect_eq(client_requests(bed.client), 0);
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(dispatch_load(bed.d), 0);
	request_unref(r);
	bed_turn(&bed);
	cr_expect_eq(answer.n, 0);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
}

Test(request, cancelled_while_sent_it_finishes_into_the_void)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answer);

	bed_turn(&bed);
	request_cancel(r);
	cr_expect_eq(r->state, REQUEST_SENT);
	request_unref(r);
	cr_expect_eq(client_bytes(bed.client), 64, "the worker still reads it");
	cr_expect_eq(client_requests(bed.client), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answer.n, 0);
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(client_requests(bed.client), 0);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 0);
	cr_expect_eq(version_figures(bed.alpha)->failures[VERSION_CANCELED], 1);
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 0, "nobody gave it a deadline");
}

Test(request, what_was_received_before_is_part_of_it)
{
	const struct version_figures *f = version_figures(bed.alpha);
	struct request *r = bed_request(&bed, bed.alpha, bed.client, 1, 0, &answer);

	r->times.received_ns = 1;
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(f->stages[VERSION_RECEIVE].sum, r->times.submitted_ns - 1);
	cr_expect_eq(f->total.sum, f->stages[VERSION_RECEIVE].sum + f->stages[VERSION_QUEUE].sum +
					   f->stages[VERSION_SEND].sum +
					   f->stages[VERSION_COMPUTE].sum);
	request_unref(r);
}

static void cancel_other(struct answer *a)
{
	request_cancel(a->other);
}

/* In its own callback it is DONE already. */
Test(request, cancelled_when_done)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answer);

	answer.hook = cancel_other;
	answer.other = r;
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answer.n, 1);
	request_cancel(r);
	cr_expect_eq(answer.n, 1);
	request_unref(r);
}

Test(request, charges_are_back_before_anybody_is_told)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answer);

	bed_turn(&bed);
	cr_expect_eq(client_requests(bed.client), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(client_requests(bed.client), 0);
	cr_expect_eq(r->refs, 1);
	request_unref(r);
}

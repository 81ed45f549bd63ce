/* modeld_connection_test.c: a connection of libmodeld's that is lost, and a daemon that stands still. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "clients/c/modeld.h"
#include "fake_handoff.h"
#include "infer_once.h"
#include "tests/support/failalloc.h"

static struct fake_handoff fake;
static struct modeld *m;
static struct modeld_region *r;
static struct modeld_error error;
static struct modeld_tensor input;
static struct modeld_target target;
static struct modeld_request request;

static void use(struct modeld_region *region)
{
	input = (struct modeld_tensor){
		.type = MODELD_F32, .rank = 1, .dims = {2}, .region = region, .bytes = 8};
	target = (struct modeld_target){.region = region, .offset = 64, .bytes = 16};
	request = (struct modeld_request){
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};
}

static void set_up(void)
{
	fake_handoff_start(&fake, FAKE_GOOD);
	const struct modeld_options options = {.handoff = fake.path};

	cr_assert_eq(modeld_connect(&m, &options, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 0, "%s", error.text);
	use(r);
}

static void tear_down(void)
{
	modeld_close(m);
	(void)kill(fake.pid, SIGCONT);
	fake_handoff_stop(&fake);
}

TestSuite(modeld_connection, .init = set_up, .fini = tear_down, .timeout = 60);

static int infer(const char *model)
{
	return infer_once(m, &request, model, &error);
}

/* The model `last` has answered: the connection ends now. */
static void wait_for_the_end(void)
{
	struct pollfd p = {.fd = modeld_descriptor(m), .events = POLLIN};

	cr_assert_eq(poll(&p, 1, -1), 1);
}

/* --- Lost ----------------------------------------------------------------------------------------- */

Test(modeld_connection, what_was_in_flight_fails_and_the_next_connects_anew)
{
	struct modeld_region *fresh = NULL;

	cr_assert_eq(infer("drop"), MODELD_E_SYSTEM);
	cr_assert(strstr(error.text, "closed by the daemon"), "%s", error.text);
	cr_assert_eq(infer(""), MODELD_E_STALE, "%d %s", error.code, error.text);
	cr_assert(
		strstr(error.text, "input 0: its region went with a connection"), "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &fresh, &error), 0, "%s", error.text);
	use(fresh);
	cr_assert_eq(infer(""), 0, "%s", error.text);
	target.region = r;
	cr_assert_eq(infer(""), MODELD_E_STALE);
	memset(modeld_region_data(r), 1, 4096); /* it is still mapped */
	cr_assert_eq(modeld_region_busy(r), 0);
	modeld_release(r);
}

Test(modeld_connection, a_loss_that_nobody_noticed_costs_no_question)
{
	struct modeld_region *fresh = NULL;
	struct modeld_limits limits;

	cr_assert_eq(infer("last"), 0, "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &fresh, &error), 0, "%s", error.text);
	use(fresh);
	cr_assert_eq(infer("last"), 0, "%s", error.text);
	wait_for_the_end();
	cr_assert_eq(infer(""), MODELD_E_STALE, "%d %s", error.code, error.text);
	use(r);
	cr_assert_eq(infer(""), MODELD_E_STALE);
	cr_assert_eq(modeld_get_limits(m, &limits, &error), 0, "%s", error.text);
	modeld_release(fresh);
}

Test(modeld_connection, a_request_without_memory_is_sent_over_the_next)
{
	cr_assert_eq(infer("last"), 0, "%s", error.text);
	request.n_inputs = request.n_targets = 0;
	wait_for_the_end();
	cr_assert_eq(infer("none"), 0, "%s", error.text);
}

/* What it took is answered, what it did not take is sent over the next connection. */
Test(modeld_connection, a_daemon_that_goes_costs_no_request)
{
	struct modeld_call *held = NULL, *late = NULL;
	struct modeld_result *result = NULL;

	request.model = "hold";
	cr_assert_eq(modeld_submit(m, &request, &held, &error), 0, "%s", error.text);
	request.n_inputs = request.n_targets = 0;
	cr_assert_eq(infer("leave"), 0, "%s", error.text);
	request.model = "none";
	cr_assert_eq(modeld_submit(m, &request, &late, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_wait(held, UINT64_MAX, &result, &error), 0, "%s", error.text);
	modeld_result_free(result);
	cr_assert_eq(modeld_wait(late, UINT64_MAX, &result, &error), 0, "%s", error.text);
	modeld_result_free(result);
}

/* Cancelled while nothing is taken any more: it waits for the answer, however long that takes. */
Test(modeld_connection, a_daemon_that_goes_is_not_asked_to_cancel)
{
	struct modeld_call *held = NULL;

	request.model = "hold";
	cr_assert_eq(modeld_submit(m, &request, &held, &error), 0, "%s", error.text);
	request.n_inputs = request.n_targets = 0;
	cr_assert_eq(infer("leave"), 0, "%s", error.text);
	modeld_cancel(held);
}

Test(modeld_connection, nobody_there_to_connect_to)
{
	siginfo_t end;

	cr_assert_eq(infer("die"), MODELD_E_SYSTEM);
	cr_assert_eq(waitid(P_PID, (id_t)fake.pid, &end, WEXITED | WNOWAIT), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(infer(""), MODELD_E_SYSTEM);
		cr_assert(strstr(error.text, "cannot connect to"), "%s", error.text);
		cr_assert(strstr(error.text, fake.path), "%s", error.text);
	}
	modeld_release(r);
}

Test(modeld_connection, descriptors_and_results_of_before)
{
	unsigned fds = failalloc_open_fds();
	struct modeld_result *result = NULL;
	struct modeld_limits limits;

	request.model = "room";
	request.make_room = 1;
	cr_assert_eq(modeld_infer(m, &request, &result, &error), 0, "%s", error.text);
	cr_assert_eq(infer("drop"), MODELD_E_SYSTEM);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(modeld_get_limits(m, &limits, &error), 0, "%s", error.text);
		cr_assert_geq(modeld_descriptor(m), 0);
		request.n_inputs = request.n_targets = 0;
		cr_assert_eq(infer("drop"), MODELD_E_SYSTEM);
	}
	modeld_release(modeld_result_region(result));
	modeld_result_free(result);
	cr_assert_eq(failalloc_open_fds(), fds);
}

/* A connection that is lost, and the next. */
static int lose_and_go_on(void *arg)
{
	const struct modeld_options options = {.handoff = fake.path};
	struct modeld *own = NULL;
	struct modeld_region *region = NULL;
	struct modeld_result *result = NULL;
	struct modeld_error e = {0};
	int code = modeld_connect(&own, &options, &e);

	request.n_inputs = request.n_targets = 0;
	request.model = "drop";
	if (!code) {
		cr_assert_neq(modeld_infer(own, &request, &result, &e), 0);
		e.code = 0;
	}
	if (!code)
		code = modeld_allocate(own, 4096, &region, &e);
	cr_assert_eq(code, e.code);
	modeld_close(own);
	return code;
}

Test(modeld_connection, fault_loop)
{
	modeld_close(m);
	m = NULL;
	FAULT_LOOP(lose_and_go_on, NULL);
}

/* --- Standing still ------------------------------------------------------------------------------- */

/* What takes so long ends after `ms`, and not much later: the daemon never answers. */
static void check_took(uint64_t begin_ns, uint64_t ms)
{
	uint64_t took_ms = (clock_ns() - begin_ns) / (NS_PER_S / 1000);

	cr_assert_geq(took_ms, ms);
	cr_assert_lt(took_ms, 20000);
}

static void go_on(void)
{
	cr_assert_eq(kill(fake.pid, SIGCONT), 0);
}

static void wait_until_not_busy(void)
{
	struct pollfd p = {.fd = modeld_descriptor(m), .events = POLLIN};

	while (modeld_region_busy(r))
		(void)poll(&p, 1, -1);
}

/* Connect anew, with half a second for everything that is asked. */
static void connect_briefly(void)
{
	const struct modeld_options options = {.handoff = fake.path, .timeout_us = 500000};

	modeld_close(m);
	m = NULL;
	cr_assert_eq(modeld_connect(&m, &options, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 0, "%s", error.text);
	use(r);
}

Test(modeld_connection, a_timeout_holds_where_the_daemon_stands_still)
{
	uint64_t begin = clock_ns();

	request.timeout_us = 50000;
	cr_assert_eq(infer("stand"), MODELD_E_TIMEOUT, "%d %s", error.code, error.text);
	cr_assert(strstr(error.text, "within the request's 50000 us"), "%s", error.text);
	check_took(begin, 50);
	cr_assert_neq(modeld_region_busy(r), 0);
	/* Where it may still write nobody else is let; other parts are free. */
	cr_assert_eq(infer(""), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "target 0: a request that ran out of time"), "%s", error.text);
	target.offset = 80;
	input.offset = 72;
	cr_assert_eq(infer(""), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "input 0: a request that ran out of time"), "%s", error.text);
	input.offset = 0;
	cr_assert_eq(infer(""), MODELD_E_TIMEOUT);
	go_on();
	wait_until_not_busy();
	request.timeout_us = 0;
	target.offset = 64;
	cr_assert_eq(infer(""), 0, "%s", error.text);
}

Test(modeld_connection, memory_of_a_request_that_ran_out_of_time_may_be_released)
{
	struct modeld_region *fresh = NULL;

	request.timeout_us = 1000;
	cr_assert_eq(infer("hold"), MODELD_E_TIMEOUT);
	modeld_release(r);
	cr_assert_eq(modeld_allocate(m, 4096, &fresh, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_region_busy(fresh), 0);
	use(fresh);
	cr_assert_eq(infer("release"), 0, "%s", error.text);
	cr_assert_eq(infer(""), 0, "%s", error.text);
}

Test(modeld_connection, a_region_that_comes_too_late_goes_back)
{
	request.timeout_us = 1000;
	request.make_room = 1;
	cr_assert_eq(infer("stand"), MODELD_E_TIMEOUT);
	target.offset = 512;
	cr_assert_eq(infer("room"), MODELD_E_TIMEOUT);
	go_on();
	wait_until_not_busy();
	request.timeout_us = 0;
	cr_assert_eq(infer(""), 0, "%s", error.text);
}

Test(modeld_connection, one_that_never_answers_again_is_given_up)
{
	struct modeld_limits limits;
	struct modeld_call *call;
	uint64_t begin;
	int e = -1;

	connect_briefly();
	request.model = "stand";
	cr_assert_eq(modeld_submit(m, &request, &call, &error), 0);
	begin = clock_ns();
	modeld_cancel(call);
	check_took(begin, 500);
	/* Connecting anew takes no longer either. */
	begin = clock_ns();
	cr_assert_eq(modeld_get_limits(m, &limits, &error), MODELD_E_TIMEOUT);
	check_took(begin, 500);
	modeld_release(r);
	go_on();
	for (int i = 0; i < 100 && e; i++)
		e = modeld_get_limits(m, &limits, &error);
	cr_assert_eq(e, 0, "%s", error.text);
}

Test(modeld_connection, a_call_that_runs_for_long_is_waited_for_by_cancel)
{
	struct modeld_call *call;
	uint64_t begin;

	connect_briefly();
	request.model = "hold-long";
	cr_assert_eq(modeld_submit(m, &request, &call, &error), 0);
	begin = clock_ns();
	modeld_cancel(call);
	check_took(begin, 1000);
	cr_assert_eq(infer(""), 0, "the connection is as before: %s", error.text);
}

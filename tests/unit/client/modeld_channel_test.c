/* modeld_channel_test.c: libmodeld and a server of gRPC that takes no more calls, or refuses one; the handoff socket stays. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "clients/c/modeld_private.h"
#include "fake_grpc.h"
#include "fake_handoff.h"
#include "infer_once.h"
#include "tests/support/failalloc.h"

static struct fake_handoff handoff;
static struct fake_grpc server;
static struct modeld_options options;
static struct modeld *m;
static struct modeld_region *r;
static struct modeld_error error;
static struct modeld_tensor input;
static struct modeld_request request;

static void set_up(void)
{
	fake_handoff_start(&handoff, FAKE_GOOD);
	fake_grpc_start(&server, 0);
	options = (struct modeld_options){
		.handoff = handoff.path, .address = server.address, .grpc = 1};
	cr_assert_eq(modeld_connect(&m, &options, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 0, "%s", error.text);
	input = (struct modeld_tensor){
		.type = MODELD_F32, .rank = 1, .dims = {2}, .region = r, .bytes = 8};
	request = (struct modeld_request){.inputs = &input, .n_inputs = 1};
}

static void tear_down(void)
{
	modeld_close(m);
	fake_handoff_stop(&handoff);
	fake_grpc_stop(&server);
}

TestSuite(modeld_channel, .init = set_up, .fini = tear_down, .timeout = 60);

static int infer(const char *model)
{
	return infer_once(m, &request, model, &error);
}

static struct modeld_call *submit(const char *model)
{
	struct modeld_call *call = NULL;

	request.model = model;
	cr_assert_eq(modeld_submit(m, &request, &call, &error), 0, "%s", error.text);
	return call;
}

/* The code. */
static int end_of(struct modeld_call *call)
{
	struct modeld_result *result = NULL;
	int e = modeld_wait(call, UINT64_MAX, &result, &error);

	modeld_result_free(result);
	return e;
}

static void check_readable(int ready)
{
	struct pollfd p = {.fd = modeld_descriptor(m), .events = POLLIN};

	cr_assert_eq(poll(&p, 1, ready ? -1 : 0), ready);
}

Test(modeld_channel, what_is_refused_is_sent_once_more)
{
	cr_assert_eq(infer("refuse1"), 0, "%s", error.text);
	cr_assert_eq(infer("refuse"), 14, "%d %s", error.code, error.text);
	cr_assert(strstr(error.text, "REFUSED_STREAM"), "%s", error.text);
	cr_assert_eq(infer(""), 0, "%s", error.text);
}

Test(modeld_channel, what_a_goaway_disowns_is_sent_over_another_connection)
{
	cr_assert_eq(infer("goaway1"), 0, "%s", error.text);
	cr_assert_eq(infer("goaway0"), 14, "%d %s", error.code, error.text);
	cr_assert_eq(infer(""), 0, "%s", error.text);
}

Test(modeld_channel, many_at_once_are_refused)
{
	struct modeld_call *calls[50];

	calls[0] = submit("goaway1");
	for (size_t i = 1; i < 50; i++)
		calls[i] = submit("");
	for (size_t i = 50; i-- > 0;)
		cr_assert_eq(end_of(calls[i]), 0, "%zu: %s", i, error.text);
}

/* Nothing waits for what is still open where no more calls are taken, and it does end there. */
Test(modeld_channel, old_calls_end_where_they_are)
{
	struct modeld_call *old = submit("going"), *other;
	struct modeld_result *result = NULL;
	int before = modeld_descriptor(m);

	while (modeld_descriptor(m) == before)
		cr_assert_eq(infer(""), 0, "%s", error.text);
	cr_assert_eq(modeld_wait(old, 0, &result, &error), MODELD_E_TIMEOUT);
	other = submit("release");
	check_readable(1);
	cr_assert_eq(end_of(old), 0, "%s", error.text);
	cr_assert_eq(end_of(other), 0, "%s", error.text);
	cr_assert_eq(infer(""), 0, "%s", error.text);
	check_readable(0);
}

/* A child has copies of all descriptors: what is closed here is not closed there. */
Test(modeld_channel, what_has_ended_is_watched_no_more_where_a_child_has_it)
{
	struct modeld_call *old = submit("going");
	int before = modeld_descriptor(m), ends[2];
	pid_t child;
	char byte;

	while (modeld_descriptor(m) == before)
		cr_assert_eq(infer(""), 0, "%s", error.text);
	cr_assert_eq(infer("bye"), 0, "%s", error.text);
	cr_assert_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) < 0);
	}
	check_readable(1);
	cr_assert_eq(infer(""), 0, "%s", error.text);
	check_readable(0);
	cr_assert_eq(infer("release"), 0, "%s", error.text);
	cr_assert_eq(end_of(old), 0, "%s", error.text);
	close(ends[1]);
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(modeld_channel, a_server_that_went_meanwhile_costs_no_call)
{
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(infer("bye"), 0, "%s", error.text);
		check_readable(1);
		cr_assert_eq(infer(""), 0, "%s", error.text);
	}
}

Test(modeld_channel, what_is_cancelled_is_not_sent_again)
{
	modeld_cancel(submit("goaway1"));
	modeld_cancel(submit("refuse"));
	cr_assert_eq(infer("goaway1"), 0, "%s", error.text);
}

Test(modeld_channel, what_is_refused_has_its_time)
{
	request.timeout_us = 60000000;
	request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	request.tracestate = "a=1";
	cr_assert_eq(infer("refuse1"), 0, "%s", error.text);
	request.timeout_us = UINT64_MAX;
	cr_assert_eq(infer("goaway1"), 0, "%s", error.text);
}

static void use_one_that_leaves(void)
{
	struct pollfd gone = {0};

	tear_down();
	fake_handoff_start(&handoff, FAKE_LEAVING);
	fake_grpc_start(&server, 0);
	options.handoff = handoff.path;
	options.address = server.address;
	cr_assert_eq(modeld_connect(&m, &options, &error), 0, "%s", error.text);
	cr_assert_eq(modeld_allocate(m, 4096, &r, &error), 0, "%s", error.text);
	input.region = r;
	/* It goes when it has answered. */
	gone.fd = m->fd;
	cr_assert_eq(poll(&gone, 1, 10000), 1);
}

/* Who goes has gone from the handoff socket, too, and what it refuses has lost its memory. */
Test(modeld_channel, memory_that_went_with_the_daemon)
{
	use_one_that_leaves();
	cr_assert_eq(infer("goaway1"), MODELD_E_STALE, "%d %s", error.code, error.text);
	cr_assert_eq(infer(""), MODELD_E_STALE, "%d %s", error.code, error.text);
}

/* It has taken the call, and found no region any more. */
Test(modeld_channel, memory_that_went_before_the_call_was_looked_at)
{
	cr_assert_eq(infer("unknown"), 5, "%s", error.text);
	use_one_that_leaves();
	cr_assert_eq(infer("unknown"), MODELD_E_STALE, "%d %s", error.code, error.text);
}

static int refused_call(void *arg)
{
	struct modeld *fresh = NULL;
	struct modeld_region *region = NULL;
	struct modeld_result *result = NULL;
	struct modeld_error e = {0};
	int code = modeld_connect(&fresh, &options, &e);

	if (!code)
		code = modeld_allocate(fresh, 4096, &region, &e);
	if (!code) {
		input.region = region;
		request.model = "bye";
		code = modeld_infer(fresh, &request, &result, &e);
	}
	modeld_result_free(result);
	result = NULL;
	if (!code) {
		request.model = "";
		code = modeld_infer(fresh, &request, &result, &e);
	}
	cr_assert_eq(code, e.code);
	modeld_result_free(result);
	modeld_close(fresh);
	return code;
}

Test(modeld_channel, fault_loop)
{
	modeld_close(m);
	m = NULL;
	FAULT_LOOP(refused_call, NULL);
}

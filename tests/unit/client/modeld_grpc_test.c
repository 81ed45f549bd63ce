/* modeld_grpc_test.c: libmodeld's calls by gRPC, against a fake daemon of two processes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/modeld.h"
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
static struct modeld_target target;
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
	target = (struct modeld_target){.region = r, .offset = 64, .bytes = 16};
	request = (struct modeld_request){
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};
}

static void tear_down(void)
{
	modeld_close(m);
	fake_handoff_stop(&handoff);
	fake_grpc_stop(&server);
}

TestSuite(modeld_grpc, .init = set_up, .fini = tear_down);

static int infer(const char *model)
{
	return infer_once(m, &request, model, &error);
}

Test(modeld_grpc, into_a_target)
{
	struct modeld_result *result;
	const struct modeld_tensor *t;
	uint64_t queue, compute, total;

	cr_assert_eq(modeld_infer(m, &request, &result, &error), 0, "%s", error.text);
	t = modeld_result_output(result, 0);
	cr_assert_eq(t->region, r);
	cr_assert_eq(t->offset, 64);
	cr_assert_eq(t->bytes, 8);
	cr_assert_eq(t->data, (char *)modeld_region_data(r) + 64);
	cr_assert_eq(t->dims[0], 2);
	cr_assert_eq((int)t->type, MODELD_F32);
	modeld_result_times(result, &queue, &compute, &total);
	cr_assert_eq(queue, 3000);
	cr_assert_eq(compute, 0);
	modeld_result_free(result);
}

Test(modeld_grpc, inline_output)
{
	struct modeld_result *result;
	const struct modeld_tensor *t;

	request.n_targets = 0;
	cr_assert_eq(modeld_infer(m, &request, &result, &error), 0, "%s", error.text);
	t = modeld_result_output(result, 0);
	cr_assert_null(t->region);
	cr_assert_eq(t->bytes, 8);
	cr_assert_eq(((const float *)t->data)[0], 1.0f);
	modeld_result_free(result);
}

Test(modeld_grpc, errors_and_forged_answers_concern_one_call)
{
	static const char *const forged[] = {"other", "size", "dtype", "offset", "garbage"};

	cr_assert_eq(infer("error"), 5);
	cr_assert_str_eq(error.text, "no such model");
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
		cr_assert_eq(infer(forged[i]), MODELD_E_SYSTEM, "%s", forged[i]);
	request.n_targets = 0;
	cr_assert_eq(infer("ref"), MODELD_E_SYSTEM, "a reference that nobody asked for");
	cr_assert_eq(infer("rank"), MODELD_E_SYSTEM);
	cr_assert_eq(infer("nothing"), MODELD_E_SYSTEM);
	cr_assert_eq(infer("twice"), 0);
	cr_assert_eq(infer(""), 0);
}

Test(modeld_grpc, requests_that_grpc_cannot_carry)
{
	const struct modeld_tensor two[] = {input, input};

	request.inputs = two;
	request.n_inputs = 2;
	cr_assert_eq(infer(""), MODELD_E_USAGE);
	cr_assert(strstr(error.text, "one input and at most one target, not 2 and 1"), "%s",
		error.text);
	request.n_inputs = 0;
	cr_assert_eq(infer(""), MODELD_E_USAGE);
	request.inputs = &input;
	request.n_inputs = 1;
	input.rank = 2;
	input.dims[0] = 0;
	input.dims[1] = (int64_t)INT32_MAX + 1;
	input.bytes = 0;
	cr_assert_eq(infer(""), MODELD_E_USAGE);
}

Test(modeld_grpc, several_at_once_and_timeouts)
{
	struct modeld_call *never, *calls[20];
	struct modeld_result *result;

	request.model = "never";
	request.timeout_us = 60000000;
	cr_assert_eq(modeld_submit(m, &request, &never, &error), 0);
	request.model = "";
	request.timeout_us = UINT64_MAX;
	for (size_t i = 0; i < 20; i++)
		cr_assert_eq(modeld_submit(m, &request, &calls[i], &error), 0);
	for (size_t i = 20; i-- > 0;) {
		cr_assert_eq(modeld_wait(calls[i], UINT64_MAX, &result, &error), 0);
		modeld_result_free(result);
	}
	cr_assert_eq(modeld_wait(never, 0, &result, &error), MODELD_E_TIMEOUT);
	cr_assert_eq(modeld_wait(never, 1000, &result, &error), MODELD_E_TIMEOUT);
}

Test(modeld_grpc, cancel_and_release)
{
	struct modeld_call *call;
	struct modeld_result *result = NULL;

	request.model = "";
	cr_assert_eq(modeld_submit(m, &request, &call, &error), 0);
	modeld_cancel(call);
	cr_assert_eq(modeld_submit(m, &request, &call, &error), 0);
	modeld_release(r);
	cr_assert_eq(
		modeld_wait(call, UINT64_MAX, &result, &error), MODELD_E_USAGE, "%s", error.text);
	cr_assert_null(result);
}

Test(modeld_grpc, the_daemon_dies)
{
	cr_assert_eq(infer("die"), MODELD_E_SYSTEM);
	cr_assert(strstr(error.text, "connection lost"), "%s", error.text);
	cr_assert_eq(infer(""), MODELD_E_SYSTEM);
}

Test(modeld_grpc, the_socket_beside_the_handoff_socket)
{
	struct modeld *other = NULL;

	modeld_close(m); /* the fakes serve one connection at a time */
	m = NULL;
	options.address = NULL;
	cr_assert_eq(modeld_connect(&other, &options, &error), MODELD_E_SYSTEM);
	cr_assert(strstr(error.text, handoff.dir), "%s", error.text);
	cr_assert(strstr(error.text, "/modeld.sock"), "%s", error.text);
	options.address = "nonsense";
	cr_assert_eq(modeld_connect(&other, &options, &error), MODELD_E_USAGE);
	cr_assert_null(other);
}

static int one_call(void *arg)
{
	struct modeld *fresh = NULL;
	struct modeld_region *region = NULL;
	struct modeld_result *result = NULL;
	struct modeld_error e = {0};
	int code;

	options.busy_poll_us = 100;
	code = modeld_connect(&fresh, &options, &e);
	if (!code)
		code = modeld_allocate(fresh, 4096, &region, &e);
	if (!code) {
		input.region = target.region = region;
		code = modeld_infer(fresh, &request, &result, &e);
	}
	cr_assert_eq(code, e.code);
	modeld_result_free(result);
	modeld_close(fresh);
	return code;
}

Test(modeld_grpc, fault_loop)
{
	modeld_close(m);
	m = NULL;
	FAULT_LOOP(one_call, NULL);
}

/* Tests of model_handles.c: who holds which models, and until when. */
#include "services/model_handles.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "service_fixture.h"
#include "tests/support/failalloc.h"

static uv_loop_t loop;
static struct model_handles_settings settings;
static struct model_handles h;
static struct lifecycle lifecycle;
static char tokens[8][MODEL_HANDLE_DIGITS + 1];
static int connections[2];

static void setup(void)
{
	cr_assert_eq(uv_loop_init(&loop), 0);
	settings = (struct model_handles_settings){
		.max_handles = 2, .max_sessions = 2, .session_ttl_ms = 3600000};
	double_lifecycle_init(&lifecycle);
	cr_assert_eq(model_handles_init(&h, &loop, &settings), 0);
	h.lifecycle = &lifecycle;
}

static void teardown(void)
{
	model_handles_close(&h);
	model_handles_close(&h);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
	cr_expect_eq(lifecycle.n_references, 0);
}

TestSuite(model_handles, .init = setup, .fini = teardown);

static int add(size_t i, const void *connection, const char *session)
{
	return model_handles_add(&h, "m", connection, session, tokens[i]);
}

Test(model_handles, are_given_back_once)
{
	uint32_t left;

	cr_assert_eq(add(0, &connections[0], ""), 0);
	cr_assert_eq(add(1, &connections[1], ""), 0);
	cr_expect_eq(strlen(tokens[0]), MODEL_HANDLE_DIGITS);
	cr_expect_str_neq(tokens[0], tokens[1]);
	cr_expect_eq(lifecycle.n_references, 2);
	cr_expect(model_handles_release(&h, tokens[0], &left));
	cr_expect_eq(left, 1);
	cr_expect_not(model_handles_release(&h, tokens[0], &left));
	cr_expect_not(model_handles_release(&h, "", &left));
	tokens[1][3] ^= 1;
	cr_expect_not(model_handles_release(&h, tokens[1], &left));
	tokens[1][3] ^= 1;
	cr_expect(model_handles_release(&h, tokens[1], &left));
	cr_expect_eq(left, 0);
	cr_expect(list_empty(&h.owners));
}

Test(model_handles, go_with_their_connection)
{
	cr_assert_eq(add(0, &connections[0], ""), 0);
	cr_assert_eq(add(1, &connections[0], ""), 0);
	cr_assert_eq(add(2, &connections[0], "s"), 0);
	cr_assert_eq(add(3, &connections[1], ""), 0);
	model_handles_forget(&h, &connections[0]);
	cr_expect_eq(lifecycle.n_references, 2);
	model_handles_forget(&h, &connections[0]);
	model_handles_forget(&h, &connections[1]);
	cr_expect_eq(lifecycle.n_references, 1, "that of the session stays");
}

Test(model_handles, no_more_than_may_be)
{
	uint32_t left;

	cr_assert_eq(add(0, &connections[0], ""), 0);
	cr_assert_eq(add(1, &connections[0], ""), 0);
	cr_expect_eq(add(2, &connections[0], ""), MODEL_HANDLES_E_FULL);
	cr_expect_eq(add(2, &connections[1], ""), 0);
	cr_expect_eq(add(3, &connections[0], "a"), 0);
	cr_expect_eq(add(4, &connections[0], "b"), 0);
	cr_expect_eq(add(5, &connections[0], "c"), MODEL_HANDLES_E_SESSIONS);
	cr_expect_eq(add(5, &connections[1], "a"), 0);
	cr_expect_eq(add(6, &connections[1], "a"), MODEL_HANDLES_E_FULL);
	cr_expect(model_handles_release(&h, tokens[0], &left));
	cr_expect_eq(add(0, &connections[0], ""), 0);
}

/* In real time. */
Test(model_handles, of_a_session_that_nobody_names)
{
	settings.session_ttl_ms = 20;
	cr_assert_eq(add(0, &connections[0], "a"), 0);
	cr_assert_eq(add(1, &connections[0], "b"), 0);
	cr_assert_eq(add(2, &connections[0], ""), 0);
	while (lifecycle.n_references > 1)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(h.n_sessions, 0);
	cr_assert_eq(add(0, &connections[0], "a"), 0);
	cr_expect_eq(h.n_sessions, 1);
}

static int fault(void *arg)
{
	struct model_handles faulty;
	char token[MODEL_HANDLE_DIGITS + 1];
	int r = model_handles_init(&faulty, &loop, &settings);

	(void)arg;
	if (!r) {
		faulty.lifecycle = &lifecycle;
		r = model_handles_add(&faulty, "m", &connections[0], "", token);
		if (r)
			cr_assert(list_empty(&faulty.owners));
		if (!r)
			r = model_handles_add(&faulty, "m", &connections[0], "s", token);
		model_handles_close(&faulty);
	}
	uv_run(&loop, UV_RUN_NOWAIT);
	cr_assert_eq(lifecycle.n_references, 0);
	return r;
}

Test(model_handles, faults)
{
	FAULT_LOOP_KINDS(fault, NULL, FAIL_ALLOCATIONS);
}

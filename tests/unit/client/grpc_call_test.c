/* grpc_call_test.c: calls: requests in pieces and of any size, replies of every sort, cancellation. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "clients/c/grpc_client.h"
#include "fake_grpc.h"

#define BIG (5u << 20)

static struct fake_grpc server;
static struct grpc_client *c;
static struct buf reply;

static void set_up(void)
{
	char text[256];

	fake_grpc_start(&server, 0);
	cr_assert_eq(grpc_client_new(&c, server.address, NS_PER_S * 10, text, sizeof(text)), 0,
		"%s", text);
	buf_init(&reply, 64u << 20);
}

static void tear_down(void)
{
	c = grpc_client_free(c);
	buf_deinit(&reply);
	fake_grpc_stop(&server);
}

TestSuite(grpc_call, .init = set_up, .fini = tear_down);

static void on_message(void *data, const uint8_t *message, size_t n)
{
	buf_reset(&reply);
	cr_assert_eq(buf_append(&reply, message, n), 0);
}

static struct grpc_call *begin(const char *path, const struct grpc_piece *pieces, size_t n)
{
	const struct grpc_call_options o = {.path = path,
		.pieces = pieces,
		.n_pieces = n,
		.timeout_ns = 60 * NS_PER_S,
		.max_message_bytes = 4u << 20,
		.on_message = on_message};
	struct grpc_call *k = NULL;

	cr_assert_eq(grpc_call_new(&k, c, &o), 0);
	return k;
}

Test(grpc_call, trace_context)
{
	const struct grpc_call_options o = {.path = "/t/trace",
		.timeout_ns = 60 * NS_PER_S,
		.traceparent = "a parent",
		.tracestate = "a=1",
		.max_message_bytes = 4u << 20,
		.on_message = on_message};
	struct grpc_call *k;

	cr_assert_eq(grpc_call_new(&k, c, &o), 0);
	cr_assert_eq(grpc_client_run(c, k, clock_add(clock_ns(), 60 * NS_PER_S)), 0);
	cr_assert_eq(grpc_call_status(k), 9);
	cr_assert_str_eq(grpc_call_message(k), "a parent a=1");
	grpc_call_free(k);
}

/* The call's status; message: a part of its text. */
static enum grpc_status status_of(const char *path, const char *message)
{
	const struct grpc_piece piece = {"hello", 5};
	struct grpc_call *k = begin(path, &piece, 1);
	enum grpc_status status;

	cr_assert_not(grpc_call_done(k));
	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert(grpc_call_done(k));
	status = grpc_call_status(k);
	cr_assert(strstr(grpc_call_message(k), message), "%s: '%s'", path, grpc_call_message(k));
	grpc_call_free(k);
	return status;
}

Test(grpc_call, endings)
{
	cr_assert_eq((int)status_of("/t/echo", ""), GRPC_OK);
	cr_assert_eq((int)status_of("/t/none", ""), GRPC_OK);
	cr_assert_eq((int)status_of("/t/error", "no luck, sorry"), GRPC_FAILED_PRECONDITION);
	cr_assert_eq((int)status_of("/t/reset", "reset the call"), GRPC_RESOURCE_EXHAUSTED);
	cr_assert_eq((int)status_of("/t/refuse", "reset the call"), GRPC_UNAVAILABLE);
	cr_assert_eq((int)status_of("/t/compressed", "compressed"), GRPC_INTERNAL);
	cr_assert_eq((int)status_of("/t/flag", "malformed"), GRPC_INTERNAL);
	cr_assert_eq((int)status_of("/t/cut", "within a message"), GRPC_INTERNAL);
	cr_assert_eq((int)status_of("/t/404", "HTTP status 404"), GRPC_UNIMPLEMENTED);
	cr_assert_eq((int)status_of("/t/status", ""), GRPC_UNKNOWN);
	cr_assert_eq((int)status_of("/t/nostatus", "without a status"), GRPC_INTERNAL);
	cr_assert_eq((int)status_of("/t/huge", "larger than max (8388608 vs. 4194304)"),
		GRPC_RESOURCE_EXHAUSTED);
	cr_assert_eq((int)status_of("/t/echo", ""), GRPC_OK, "the connection is as before");
}

Test(grpc_call, a_request_in_pieces)
{
	const struct grpc_piece pieces[] = {
		{"ab", 2}, {NULL, 0}, {"c", 1}, {"defgh", 5}, {NULL, 0}};
	struct grpc_call *k = begin("/t/echo", pieces, 5);

	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq(reply.len, 8);
	cr_assert_arr_eq(reply.data, "abcdefgh", 8);
	grpc_call_free(k);
	k = begin("/t/echo", NULL, 0);
	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq(grpc_call_n_messages(k), 1);
	cr_assert_eq(reply.len, 0);
	grpc_call_free(k);
}

/* Many times the windows of both sides, which start at 64 KiB. */
Test(grpc_call, a_big_request_and_a_big_reply)
{
	uint8_t *data = malloc(4u << 20);
	const struct grpc_piece pieces[] = {{data, 1u << 20}, {data + (1u << 20), 3u << 20}};
	struct grpc_call *k;

	for (size_t i = 0; i < 4u << 20; i++)
		data[i] = (uint8_t)(i * 31 >> 7);
	k = begin("/t/echo", pieces, 2);
	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq((int)grpc_call_status(k), GRPC_OK, "%s", grpc_call_message(k));
	cr_assert_eq(reply.len, 4u << 20);
	cr_assert_eq(memcmp(reply.data, data, 4u << 20), 0);
	grpc_call_free(k);
	free(data);
}

Test(grpc_call, a_request_above_4_gib_is_refused)
{
	const struct grpc_piece pieces[] = {{"", UINT32_MAX}, {"", 1}};
	const struct grpc_call_options o = {.path = "/t/echo", .pieces = pieces, .n_pieces = 2};
	struct grpc_call *k = NULL;

	cr_assert_eq(grpc_call_new(&k, c, &o), -EMSGSIZE);
	cr_assert_null(k);
}

/* The answer is complete while the window for the request never opens. */
Test(grpc_call, an_answer_before_the_request_is_sent)
{
	uint8_t *data = calloc(1, BIG);
	const struct grpc_piece piece = {data, BIG};
	struct grpc_call *k = begin("/t/early", &piece, 1);

	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq((int)grpc_call_status(k), GRPC_PERMISSION_DENIED);
	grpc_call_free(k);
	free(data);
}

Test(grpc_call, a_server_that_never_answers)
{
	struct grpc_call *k = begin("/t/never", NULL, 0);

	cr_assert_eq(grpc_client_run(c, k, clock_ns() + 20 * NS_PER_MS), -ETIMEDOUT);
	cr_assert_not(grpc_call_done(k));
	grpc_call_free(k);
	cr_assert_eq((int)status_of("/t/echo", ""), GRPC_OK);
}

/* At each stage the request's memory goes with the call: under AddressSanitizer nothing may read it. */
Test(grpc_call, freed_while_its_request_is_partly_sent)
{
	for (int turns = 0; turns < 4; turns++) {
		uint8_t *data = calloc(1, BIG);
		struct grpc_piece *piece = malloc(sizeof(*piece));
		struct grpc_call *k, *other;

		*piece = (struct grpc_piece){data, BIG};
		k = begin("/t/stall", piece, 1);
		other = begin("/t/never", NULL, 0);
		for (int i = 0; i < turns; i++)
			(void)(grpc_client_run(c, NULL, clock_ns() + NS_PER_MS) == 0);
		cr_assert_not(grpc_call_done(k));
		grpc_call_free(k);
		free(data);
		free(piece);
		grpc_call_free(other);
		tear_down();
		set_up();
	}
}

Test(grpc_call, freed_calls_leave_the_others_alone)
{
	uint8_t *data = calloc(1, BIG);
	const struct grpc_piece piece = {data, 60000};
	struct grpc_call *k = begin("/t/never", &piece, 1), *unsent = begin("/t/echo", NULL, 0);

	(void)(grpc_client_run(c, NULL, CLOCK_NO_DEADLINE) == 0);
	grpc_call_free(k);
	grpc_call_free(unsent);
	free(data);
	cr_assert_eq((int)status_of("/t/echo", ""), GRPC_OK);
	cr_assert_null(grpc_call_free(NULL));
}

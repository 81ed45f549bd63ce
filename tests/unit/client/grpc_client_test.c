/* grpc_client_test.c: the connection: opening, sharing, losing it. Calls: grpc_call_test.c. */
#include "clients/c/grpc_client.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "fake_grpc.h"
#include "tests/support/failalloc.h"

static struct fake_grpc server;
static char text[256];

static void stop(void)
{
	fake_grpc_stop(&server);
}

TestSuite(grpc_client, .fini = stop);

static struct grpc_client *connected(int tcp)
{
	struct grpc_client *c = NULL;

	fake_grpc_start(&server, tcp);
	cr_assert_eq(grpc_client_new(&c, server.address, NS_PER_S * 10, text, sizeof(text)), 0,
		"%s", text);
	return c;
}

static void stand_still(void)
{
	int status;

	cr_assert_eq(kill(server.pid, SIGSTOP), 0);
	cr_assert_eq(waitpid(server.pid, &status, WUNTRACED), server.pid);
	cr_assert(WIFSTOPPED(status));
}

static size_t n_refused;

static void on_refused(void *data)
{
	n_refused++;
}

static struct grpc_call *call(struct grpc_client *c, const char *path)
{
	static const struct grpc_piece piece = {"hello", 5};
	const struct grpc_call_options o = {.path = path,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = CLOCK_NO_DEADLINE,
		.max_message_bytes = 1 << 20,
		.on_refused = on_refused};
	struct grpc_call *k = NULL;

	cr_assert_eq(grpc_call_new(&k, c, &o), 0);
	return k;
}

Test(grpc_client, by_unix_socket_and_by_tcp)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		_cleanup_(grpc_client_freep) struct grpc_client *c = connected(tcp);
		_cleanup_(grpc_call_freep) struct grpc_call *k = call(c, "/t/echo");

		cr_assert_eq(grpc_client_is_local(c), !tcp);
		cr_assert_geq(grpc_client_fd(c), 0);
		cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
		cr_assert_eq((int)grpc_call_status(k), GRPC_OK, "%s", grpc_call_message(k));
		cr_assert_eq(grpc_call_n_messages(k), 1);
		cr_assert_not(grpc_client_is_lost(c));
		stop();
	}
}

Test(grpc_client, nobody_there)
{
	struct grpc_client *c = NULL;

	cr_assert_eq(
		grpc_client_new(&c, "unix:/nonexistent", NS_PER_S, text, sizeof(text)), -ENOENT);
	cr_assert(strstr(text, "unix:/nonexistent"), "%s", text);
	cr_assert_eq(grpc_client_new(&c, "nonsense", NS_PER_S, text, sizeof(text)), -EINVAL);
	cr_assert_null(c);
	cr_assert_null(grpc_client_free(NULL));
}

Test(grpc_client, until_anything_comes)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	int r = grpc_client_run(c, NULL, CLOCK_NO_DEADLINE);

	cr_assert_eq(r, 0, "the server's SETTINGS");
	while (r == 0) /* and the ACK of ours, now or then */
		r = grpc_client_run(c, NULL, 0);
	cr_assert_eq(r, -ETIMEDOUT);
}

Test(grpc_client, many_calls_at_once)
{
	enum { N = 300 }; /* above nghttp2's default of 100 streams before SETTINGS are known */
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	struct grpc_call *calls[N];

	for (size_t i = 0; i < N; i++)
		calls[i] = call(c, i % 3 ? "/t/echo" : "/t/error");
	for (size_t i = N; i-- > 0;) {
		cr_assert_eq(grpc_client_run(c, calls[i], CLOCK_NO_DEADLINE), 0);
		cr_assert_eq((int)grpc_call_status(calls[i]),
			i % 3 ? GRPC_OK : GRPC_FAILED_PRECONDITION);
		grpc_call_free(calls[i]);
	}
}

Test(grpc_client, the_end_of_the_connection_ends_every_call)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	struct grpc_call *waiting = call(c, "/t/never"), *closing = call(c, "/t/close");
	struct grpc_call *late = NULL;
	const struct grpc_call_options o = {.path = "/t/echo"};

	cr_assert_eq(grpc_client_run(c, closing, CLOCK_NO_DEADLINE), 0);
	cr_assert(grpc_client_is_lost(c));
	cr_assert(grpc_call_done(waiting));
	cr_assert_eq((int)grpc_call_status(waiting), GRPC_UNAVAILABLE);
	cr_assert(strstr(grpc_call_message(waiting), "connection lost"), "%s",
		grpc_call_message(waiting));
	cr_assert_eq(grpc_call_new(&late, c, &o), -EPIPE);
	cr_assert_eq(grpc_client_run(c, NULL, CLOCK_NO_DEADLINE), -EPIPE);
	grpc_call_free(waiting);
	grpc_call_free(closing);
}

Test(grpc_client, a_server_that_speaks_something_else)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	_cleanup_(grpc_call_freep) struct grpc_call *k = call(c, "/t/garbage");

	cr_assert_eq(grpc_client_run(c, k, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq((int)grpc_call_status(k), GRPC_UNAVAILABLE);
	cr_assert(grpc_client_is_lost(c));
}

Test(grpc_client, goaway)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	struct grpc_call *before = call(c, "/t/goaway"), *late = NULL;
	const struct grpc_call_options o = {.path = "/t/echo"};

	cr_assert_eq(grpc_client_run(c, before, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq((int)grpc_call_status(before), GRPC_OK, "what was begun is finished");
	cr_assert_eq(grpc_call_new(&late, c, &o), -EPIPE);
	grpc_call_free(before);
}

Test(grpc_client, goaway_that_disowns_calls)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	struct grpc_call *calls[200];

	/* The last ones wait for streams to become free, and were never sent. */
	calls[0] = call(c, "/t/goaway0");
	for (size_t i = 1; i < 200; i++)
		calls[i] = call(c, "/t/never");
	for (size_t i = 0; i < 200; i++) {
		int r = grpc_client_run(c, calls[i], CLOCK_NO_DEADLINE);

		cr_assert_eq(r, 0, "%d", r);
		cr_assert_eq((int)grpc_call_status(calls[i]), GRPC_UNAVAILABLE, "%zu: %s", i,
			grpc_call_message(calls[i]));
		grpc_call_free(calls[i]);
	}
}

/* What is refused may be sent again: what a GOAWAY disowns, whether it was sent or waited for its turn. */
Test(grpc_client, what_goaway_disowns_was_not_begun)
{
	enum { N = 200 }; /* above nghttp2's default of 100 streams */
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	struct grpc_call *calls[N], *begun = call(c, "/t/echo");

	cr_assert_not(grpc_client_is_going(c));
	cr_assert_not(grpc_client_is_idle(c));
	cr_assert_eq(grpc_client_run(c, begun, CLOCK_NO_DEADLINE), 0);
	cr_assert_not(grpc_call_is_refused(begun));
	n_refused = 0;
	for (size_t i = 0; i < N; i++)
		calls[i] = call(c, i ? "/t/never" : "/t/goaway0");
	for (size_t i = 0; i < N; i++) {
		while (!grpc_call_done(calls[i]))
			cr_assert_neq(grpc_call_run(calls[i], CLOCK_NO_DEADLINE), -ETIMEDOUT);
		cr_assert(grpc_call_is_refused(calls[i]), "%zu", i);
		cr_assert_not(grpc_call_is_lost(calls[i]));
		grpc_call_free(calls[i]);
	}
	cr_assert_eq(n_refused, N);
	cr_assert(grpc_client_is_going(c));
	cr_assert(grpc_client_is_idle(c));
	grpc_call_free(begun);
}

Test(grpc_client, what_is_lost_was_perhaps_begun_unless_it_was_never_sent)
{
	enum { N = 200 };
	struct grpc_call *calls[N];
	struct grpc_client *c = NULL;

	/* It never says how many streams there may be. */
	fake_grpc_start(&server, 0);
	stand_still();
	cr_assert_eq(grpc_client_new(&c, server.address, NS_PER_S * 10, text, sizeof(text)), 0);
	for (size_t i = 0; i < N; i++)
		calls[i] = call(c, "/t/never");
	cr_assert_eq(grpc_client_run(c, NULL, 0), -ETIMEDOUT);
	stop();
	cr_assert_eq(grpc_client_run(c, calls[0], CLOCK_NO_DEADLINE), 0);
	for (size_t i = 0; i < N; i++) {
		cr_assert(grpc_call_is_lost(calls[i]), "%zu", i);
		cr_assert_eq(grpc_call_is_refused(calls[i]), i >= 100, "%zu", i);
		grpc_call_free(calls[i]);
	}
	grpc_client_free(c);
}

Test(grpc_client, a_stream_that_is_refused)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = connected(0);
	_cleanup_(grpc_call_freep) struct grpc_call *refused = call(c, "/t/refuse");
	_cleanup_(grpc_call_freep) struct grpc_call *begun = call(c, "/t/begun");

	cr_assert_eq(grpc_client_run(c, refused, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq(grpc_client_run(c, begun, CLOCK_NO_DEADLINE), 0);
	cr_assert(grpc_call_is_refused(refused));
	cr_assert_not(grpc_call_is_refused(begun), "it has answered");
	cr_assert_not(grpc_client_is_going(c));
}

/* The server went while nobody looked: sending fails before its GOAWAY is read, which says that the call was not begun. */
Test(grpc_client, a_server_that_went_meanwhile)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		_cleanup_(grpc_client_freep) struct grpc_client *c = connected(tcp);
		struct grpc_call *bye = call(c, "/t/bye"), *late;
		struct pollfd end = {.fd = grpc_client_fd(c), .events = POLLRDHUP};

		/* Its answer stays unread, too. */
		stand_still();
		(void)(grpc_client_run(c, NULL, 0) == 0);
		cr_assert_eq(kill(server.pid, SIGCONT), 0);
		cr_assert_eq(poll(&end, 1, -1), 1);
		late = call(c, "/t/echo");
		cr_assert_eq(grpc_client_run(c, late, CLOCK_NO_DEADLINE), 0);
		cr_assert(grpc_call_is_refused(late), "%s", grpc_call_message(late));
		cr_assert_eq((int)grpc_call_status(bye), GRPC_OK, "%s", grpc_call_message(bye));
		grpc_call_free(bye);
		grpc_call_free(late);
		stop();
	}
}

Test(grpc_client, freed_before_its_calls)
{
	struct grpc_client *c = connected(0);
	struct grpc_call *k = call(c, "/t/never");

	grpc_client_free(c);
	cr_assert(grpc_call_done(k));
	cr_assert_eq((int)grpc_call_status(k), GRPC_CANCELLED);
	grpc_call_free(k);
}

static int one_call(void *arg)
{
	struct grpc_client *c = NULL;
	struct grpc_call *k = NULL;
	const struct grpc_call_options o = {
		.path = "/t/none", .timeout_ns = CLOCK_NO_DEADLINE, .max_message_bytes = 100};
	int r = grpc_client_new(&c, server.address, NS_PER_S * 10, text, sizeof(text));

	cr_assert_eq(r == 0, c != NULL);
	if (!r)
		r = grpc_call_new(&k, c, &o);
	if (!r)
		r = grpc_client_run(c, k, CLOCK_NO_DEADLINE);
	if (!r)
		r = (int)grpc_call_status(k);
	grpc_call_free(k);
	grpc_client_free(c);
	return r;
}

Test(grpc_client, fault_loop)
{
	fake_grpc_start(&server, 0);
	FAULT_LOOP(one_call, NULL);
}

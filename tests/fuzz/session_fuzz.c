/*
 * session_fuzz.c: bytes of a client into a connection, with small services of its own.
 * The first byte says what comes before them (nothing, or preface and SETTINGS, so that mutations
 * reach the frames) and in what portions they arrive. Checked: every call that opened is closed,
 * every lent part is released once, every byte that was held is given back (asserted inside).
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "grpc/calls.h"
#include "grpc/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define TURNS_MAX  64u
#define LENT_BYTES ((size_t)100000)

static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

static struct {
	uv_loop_t loop;
	struct calls *calls;
	struct service_index *index;
	struct endpoint endpoint;
	struct http2_settings http2;
	struct grpc_settings grpc;
	int kept; /* connections that had a call */
	uint8_t zeros[LENT_BYTES];
	int open;
	int lent;
	struct call *stalled;
} bed;

static void on_open(struct call *c, void *state)
{
	bed.open++;
}

static void on_close(struct call *c, void *state)
{
	bed.open--;
	if (bed.stalled == c)
		bed.stalled = NULL;
}

static void on_begin(struct call *c, void *state, uint64_t length)
{
}

static size_t take_all(struct call *c, void *state, const uint8_t *data, size_t n)
{
	return n;
}

/* Takes a byte at a time; the loop resumes the call that stalled last. */
static size_t take_some(struct call *c, void *state, const uint8_t *data, size_t n)
{
	bed.stalled = c;
	return n ? 1 : 0;
}

static void nothing(struct call *c, void *state)
{
}

static void release(void *owner)
{
	bed.lent--;
}

static void reply(struct call *c, void *state)
{
	const struct part parts[] = {
		{.data = "reply", .n = 5},
		{.data = bed.zeros, .n = LENT_BYTES, .release = release, .bulk = true},
	};

	bed.lent++;
	if (call_send(c, parts, 2))
		call_finish(c, GRPC_INTERNAL, "out of memory");
}

static void finish(struct call *c, void *state)
{
	call_finish(c, GRPC_OK, NULL);
}

static void reply_and_finish(struct call *c, void *state)
{
	reply(c, state);
	call_finish(c, GRPC_OK, NULL);
}

static void echo(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const struct part part = {.data = data, .n = n};

	if (!call_send(c, &part, 1))
		call_finish(c, GRPC_OK, NULL);
	else
		call_finish(c, GRPC_INTERNAL, "out of memory");
}

#define METHOD .state_bytes = 32, .open = on_open, .close = on_close, .message_begin = on_begin

static const struct method methods[] = {
	{.path = "/a/u",
		METHOD,
		.message_data = take_all,
		.message_end = nothing,
		.half_close = reply_and_finish},
	{.path = "/a/c", METHOD, .collect_max = 100, .message = echo},
	{.path = "/a/s",
		METHOD,
		.client_streaming = true,
		.server_streaming = true,
		.message_data = take_some,
		.message_end = reply,
		.half_close = finish},
	{0},
};

static int on_connection(void *data, void **ret_connection)
{
	bed.kept++;
	*ret_connection = &bed;
	return 0;
}

static void on_connection_gone(void *data, void *connection)
{
	bed.kept--;
}

static void on_drained(void *data)
{
}

static void set_up(void)
{
	static const struct service service = {.name = "a", .methods = methods};
	static const struct service *const services[] = {&service, NULL};
	static const struct calls_events events = {
		.on_connection = on_connection,
		.on_connection_gone = on_connection_gone,
		.on_drained = on_drained,
	};

	signal(SIGPIPE, SIG_IGN);
	log_init(NULL, LOG_LEVEL_ERROR);
	bed.http2 = (struct http2_settings){
		.max_connections = 10,
		.max_concurrent_streams = 20,
		.stream_window_bytes = 65535,
		.connection_window_bytes = 131072,
		.max_held_bytes = 64 << 20,
		.max_frame_bytes = 16384,
		.max_header_bytes = 4096,
		.receive_timeout_ms = 1000000,
		.send_timeout_ms = 1000000,
		.handshake_timeout_ms = 1000000,
		.keepalive_interval_ms = 1000000,
		.keepalive_timeout_ms = 1000000,
		.min_ping_interval_ms = 10,
		.max_ping_strikes = 2,
		.reset_burst = 100,
		.reset_rate = 10,
		.max_output_bytes = 300000,
	};
	bed.grpc = (struct grpc_settings){
		.max_receive_message_bytes = 100000,
		.compression = "gzip",
		.compression_min_bytes = 10,
	};
	if (uv_loop_init(&bed.loop) || service_index_new(&bed.index, services) ||
		calls_new(&bed.calls, &bed.loop, &bed.http2, &bed.grpc, &events, NULL))
		abort();
	bed.endpoint = (struct endpoint){.kind = ENDPOINT_UNIX, .offer = bed.index};
}

static void turn(int fd)
{
	static uint8_t sink[1 << 16];

	uv_run(&bed.loop, UV_RUN_NOWAIT);
	transport_flush(calls_transport(bed.calls));
	if (bed.stalled)
		call_resume(bed.stalled);
	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void feed(int fd, const uint8_t *data, size_t n, size_t portion)
{
	for (size_t at = 0; at < n; at += portion) {
		size_t part = n - at < portion ? n - at : portion;

		if (send(fd, data + at, part, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		turn(fd);
	}
	for (unsigned i = 0; i < 4; i++)
		turn(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int fds[2];

	if (!bed.calls)
		set_up();
	if (n < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		return 0;
	if (transport_adopt(calls_transport(bed.calls), fds[1], &bed.endpoint)) {
		if (data[0] & 1)
			feed(fds[0], greeting, sizeof(greeting) - 1, sizeof(greeting));
		/* Portions of 1/64 of the input at least, so that an input is a bounded number of turns. */
		feed(fds[0], data + 1, n - 1, (data[0] & 2) ? 1 + n / TURNS_MAX : n);
	}
	close(fds[0]);
	while (transport_n_connections(calls_transport(bed.calls)) > 0)
		turn(-1);
	assert(bed.open == 0 && bed.lent == 0);
	assert(calls_counters(bed.calls).open == 0 && bed.kept == 0);
	return 0;
}

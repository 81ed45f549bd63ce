/*
 * local.c: what one request of a local client takes, by size and by way, one caller, one request at a
 * time: over the handoff socket, over gRPC with a TensorRef, inline over gRPC; beside it a memcpy of that
 * many bytes and their way through a Unix socket to a process that answers with a byte. The model (`count`)
 * does not look at its input; `in-out` is over the handoff socket, too, by a model (`identity`) that copies it to the
 * output, which lies in memory of the client. Prints "WAY BYTES MEDIAN_NS" lines.
 *
 *   local HANDOFF_SOCKET GRPC_ADDRESS BUSY_POLL_US ROUNDS BYTES...
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clients/c/grpc_client.h"
#include "clients/c/modeld.h"
#include "proto/model_worker.pb-c.h"

#define INFER_PATH "/remotemedia.model_registry.v1.ModelWorkerService/Infer"

struct bench {
	const char *handoff;
	const char *address;
	uint32_t busy_poll_us;
	int rounds;
	uint64_t bytes;
	uint64_t *times; /* own: rounds */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "local: %s: %s\n", what, why);
	exit(1);
}

/* Run `once` so often, the first tenth unmeasured, and print the median. */
static void measure(
	struct bench *b, const char *way, void (*once)(struct bench *b, void *data), void *data)
{
	for (int i = 0; i < b->rounds / 10 + 1; i++)
		once(b, data);
	for (int i = 0; i < b->rounds; i++) {
		uint64_t began = now_ns();

		once(b, data);
		b->times[i] = now_ns() - began;
	}
	qsort(b->times, (size_t)b->rounds, sizeof(*b->times), compare);
	printf("%s %llu %llu\n", way, (unsigned long long)b->bytes,
		(unsigned long long)b->times[b->rounds / 2]);
	fflush(stdout);
}

/* --- by reference ----------------------------------------------------------------------------- */

struct reference {
	struct modeld *modeld;
	struct modeld_request request;
	uint64_t out_bytes;
	uint64_t out_first; /* the output begins with it */
};

static void reference_once(struct bench *b, void *data)
{
	struct reference *r = data;
	struct modeld_result *result;
	struct modeld_error error;
	const struct modeld_tensor *out;

	if (modeld_infer(r->modeld, &r->request, &result, &error))
		die("infer", error.text);
	out = modeld_result_output(result, 0);
	if (!out || out->bytes != r->out_bytes ||
		memcmp(out->data, &r->out_first, out->bytes < 8 ? out->bytes : 8) != 0)
		die("infer", "wrong answer");
	modeld_result_free(result);
}

static uint64_t align(uint64_t n)
{
	return (n + 63) / 64 * 64;
}

static void bench_reference(struct bench *b, const char *way, const char *model, int grpc)
{
	const struct modeld_options options = {.handoff = b->handoff,
		.address = b->address,
		.busy_poll_us = b->busy_poll_us,
		.grpc = grpc};
	struct reference r = {0};
	struct modeld_tensor input = {.type = MODELD_U8, .rank = 1, .dims = {(int64_t)b->bytes}};
	struct modeld_target target = {0};
	struct modeld_region *region;
	int copies = strcmp(model, "identity") == 0;
	struct modeld_error error;

	if (modeld_connect(&r.modeld, &options, &error))
		die("connect", error.text);
	r.out_bytes = copies ? b->bytes : 8;
	r.out_first = copies ? UINT64_C(0x0707070707070707) : b->bytes;
	target.bytes = align(r.out_bytes);
	if (modeld_allocate(r.modeld, align(b->bytes) + target.bytes, &region, &error))
		die("allocate", error.text);
	memset(modeld_region_data(region), 7, b->bytes);
	input.region = region;
	input.bytes = b->bytes;
	target.region = region;
	target.offset = align(b->bytes);
	r.request = (struct modeld_request){.model = model,
		.inputs = &input,
		.n_inputs = 1,
		.targets = &target,
		.n_targets = 1};
	measure(b, way, reference_once, &r);
	modeld_close(r.modeld);
}

/* --- inline ----------------------------------------------------------------------------------- */

struct inline_call {
	struct grpc_client *client;
	struct grpc_piece piece;
};

static void inline_once(struct bench *b, void *data)
{
	struct inline_call *x = data;
	const struct grpc_call_options options = {.path = INFER_PATH,
		.pieces = &x->piece,
		.n_pieces = 1,
		.timeout_ns = UINT64_MAX,
		.max_message_bytes = 1 << 20};
	struct grpc_call *call;

	if (grpc_call_new(&call, x->client, &options) ||
		grpc_client_run(x->client, call, UINT64_MAX))
		die("inline", "the connection failed");
	if (grpc_call_status(call) != GRPC_OK)
		die("inline", grpc_call_message(call));
	grpc_call_free(call);
}

static void bench_inline(struct bench *b)
{
	Remotemedia__ModelRegistry__V1__InferRequest request =
		REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INIT;
	Remotemedia__ModelRegistry__V1__TensorData tensor =
		REMOTEMEDIA__MODEL_REGISTRY__V1__TENSOR_DATA__INIT;
	int32_t shape = (int32_t)b->bytes;
	struct inline_call x = {0};
	char text[512];
	uint8_t *packed;

	tensor.data.data = calloc(1, b->bytes);
	tensor.data.len = b->bytes;
	tensor.n_shape = 1;
	tensor.shape = &shape;
	tensor.dtype = (char *)"u8";
	request.model_id = (char *)"count";
	request.input_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA;
	request.tensor_data = &tensor;
	packed = malloc(b->bytes + 256);
	if (!packed || !tensor.data.data)
		die("inline", "out of memory");
	x.piece.data = packed;
	x.piece.n = remotemedia__model_registry__v1__infer_request__pack(&request, packed);
	if (grpc_client_new(&x.client, b->address, 10000000000u, text, sizeof(text)))
		die("inline", text);
	measure(b, "inline", inline_once, &x);
	grpc_client_free(x.client);
	free(packed);
	free(tensor.data.data);
}

/* --- yardsticks ------------------------------------------------------------------------------- */

struct copy {
	uint8_t *from;
	uint8_t *to;
};

static void memcpy_once(struct bench *b, void *data)
{
	struct copy *c = data;

	memcpy(c->to, c->from, b->bytes);
	__asm__ volatile("" : : "r"(c->to) : "memory");
}

static void bench_memcpy(struct bench *b)
{
	struct copy c = {malloc(b->bytes), malloc(b->bytes)};

	if (!c.from || !c.to)
		die("memcpy", "out of memory");
	memset(c.from, 1, b->bytes);
	memset(c.to, 2, b->bytes);
	measure(b, "memcpy", memcpy_once, &c);
	free(c.from);
	free(c.to);
}

struct pipe_end {
	int fd;
	uint8_t *data;
};

/* Take b->bytes, answer with one; until the other end is gone. */
static void take_all(const struct bench *b, int fd, uint8_t *buffer)
{
	for (;;) {
		uint64_t left = b->bytes;

		while (left > 0) {
			ssize_t n = recv(fd, buffer, left < 1 << 20 ? left : 1 << 20, 0);

			if (n <= 0)
				_exit(0);
			left -= (uint64_t)n;
		}
		if (send(fd, buffer, 1, MSG_NOSIGNAL) != 1)
			_exit(0);
	}
}

static void socket_once(struct bench *b, void *data)
{
	struct pipe_end *p = data;
	uint64_t sent = 0;
	char byte;

	while (sent < b->bytes) {
		ssize_t n = send(p->fd, p->data + sent, b->bytes - sent, MSG_NOSIGNAL);

		if (n <= 0)
			die("socket", strerror(errno));
		sent += (uint64_t)n;
	}
	if (recv(p->fd, &byte, 1, 0) != 1)
		die("socket", "no answer");
}

static void bench_socket(struct bench *b)
{
	struct pipe_end p = {.data = calloc(1, b->bytes < 1 << 20 ? 1 << 20 : b->bytes)};
	int fds[2];

	if (!p.data || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("socket", strerror(errno));
	if (fork() == 0) {
		close(fds[0]);
		take_all(b, fds[1], p.data);
	}
	close(fds[1]);
	p.fd = fds[0];
	measure(b, "socket", socket_once, &p);
	close(p.fd);
	free(p.data);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	int rounds;

	if (argc < 6) {
		fprintf(stderr,
			"usage: local HANDOFF_SOCKET GRPC_ADDRESS BUSY_POLL_US ROUNDS BYTES...\n");
		return 64;
	}
	b.handoff = argv[1];
	b.address = argv[2];
	b.busy_poll_us = (uint32_t)strtoul(argv[3], NULL, 10);
	rounds = (int)strtol(argv[4], NULL, 10);
	b.times = calloc((size_t)rounds, sizeof(*b.times));
	if (!b.times || rounds < 1)
		return 64;
	for (int i = 5; i < argc; i++) {
		b.bytes = strtoull(argv[i], NULL, 10);
		/* Large sizes take long inline: fewer rounds there. */
		b.rounds = rounds;
		bench_reference(&b, "handoff", "count", 0);
		bench_reference(&b, "grpc-ref", "count", 1);
		b.rounds = b.bytes > 10 << 20 && rounds > 20 ? 20 : rounds;
		bench_reference(&b, "in-out", "identity", 0);
		bench_inline(&b);
		bench_memcpy(&b);
		bench_socket(&b);
	}
	free(b.times);
	return 0;
}

/*
 * callers.c: callers of ModelWorkerService/Infer, so many on each of so many connections, who ask again when they are
 * answered, for so many seconds. Each asks MODEL for the same f32[1, BYTES / 4]. One process a connection; fails
 * when one call did.
 *
 *   callers ADDRESS MODEL BYTES CONNECTIONS CALLERS SECONDS
 */
#include <err.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digits.h"
#include "clients/c/grpc_client.h"
#include "proto/model_worker.pb-c.h"

#define INFER_PATH	"/remotemedia.model_registry.v1.ModelWorkerService/Infer"
#define BYTES_MAX	(UINT64_C(1) << 30)
#define CONNECTIONS_MAX 1000u
#define CALLERS_MAX	1000u
#define SECONDS_MAX	86400u
#define CONNECT_NS	(10 * NS_PER_S)
#define SILENCE_NS	(60 * NS_PER_S) /* longer, and nobody is going to answer */

struct callers {
	const char *address;
	struct grpc_piece request; /* own */
	uint64_t n_calls, end_ns;
	struct grpc_client *client; /* own */
	struct grpc_call **calls;   /* own: n_calls; NULL: none is open */
};

static uint64_t number(const char *text, uint64_t max)
{
	uint64_t n;

	if (decimal_parse(text, &n) || n < 1 || n > max)
		errx(64, "'%s': a number from 1 to %llu is expected", text,
			(unsigned long long)max);
	return n;
}

static void pack(struct grpc_piece *ret, const char *model, uint64_t bytes)
{
	Remotemedia__ModelRegistry__V1__InferRequest request =
		REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INIT;
	Remotemedia__ModelRegistry__V1__TensorData tensor =
		REMOTEMEDIA__MODEL_REGISTRY__V1__TENSOR_DATA__INIT;
	int32_t shape[] = {1, (int32_t)(bytes / sizeof(float))};
	uint8_t *packed;

	tensor.data.len = (size_t)shape[1] * sizeof(float);
	tensor.data.data = calloc(1, tensor.data.len + 1);
	tensor.n_shape = 2;
	tensor.shape = shape;
	tensor.dtype = (char *)"f32";
	request.model_id = (char *)model;
	request.input_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA;
	request.tensor_data = &tensor;
	packed = malloc(remotemedia__model_registry__v1__infer_request__get_packed_size(&request));
	if (!packed || !tensor.data.data)
		errx(1, "out of memory");
	ret->n = remotemedia__model_registry__v1__infer_request__pack(&request, packed);
	ret->data = packed;
	free(tensor.data.data);
}

static void ask(const struct callers *x, struct grpc_call **ret_call)
{
	const struct grpc_call_options options = {.path = INFER_PATH,
		.pieces = &x->request,
		.n_pieces = 1,
		.timeout_ns = CLOCK_NO_DEADLINE,
		.max_message_bytes = UINT32_MAX};

	if (grpc_call_new(ret_call, x->client, &options))
		errx(1, "%s: the connection is lost", x->address);
}

/* Who is answered asks again, until the end. Returns how many wait. */
static uint64_t turn(struct callers *x)
{
	const bool asks = clock_ns() < x->end_ns;
	uint64_t n_open = 0;

	for (uint64_t i = 0; i < x->n_calls; i++) {
		struct grpc_call **call = &x->calls[i];

		if (*call && grpc_call_done(*call)) {
			if (grpc_call_status(*call) != GRPC_OK)
				errx(1, "%s: %s", x->address, grpc_call_message(*call));
			*call = grpc_call_free(*call);
		}
		if (!*call && asks)
			ask(x, call);
		n_open += *call != NULL;
	}
	return n_open;
}

/* One connection, until its last call is answered. */
static void run(struct callers *x)
{
	char text[512];

	if (grpc_client_new(&x->client, x->address, CONNECT_NS, text, sizeof(text)))
		errx(1, "%s", text);
	x->calls = calloc(x->n_calls, sizeof(*x->calls));
	if (!x->calls)
		errx(1, "out of memory");
	while (turn(x) > 0)
		if (grpc_client_run(x->client, NULL, clock_add(clock_ns(), SILENCE_NS)))
			errx(1, "%s: no answer", x->address);
	free(x->calls);
	grpc_client_free(x->client);
}

int main(int argc, char **argv)
{
	struct callers x = {0};
	uint64_t n_connections;
	int status, worst = 0;

	if (argc != 7)
		errx(64, "usage: callers ADDRESS MODEL BYTES CONNECTIONS CALLERS SECONDS");
	x.address = argv[1];
	pack(&x.request, argv[2], number(argv[3], BYTES_MAX));
	n_connections = number(argv[4], CONNECTIONS_MAX);
	x.n_calls = number(argv[5], CALLERS_MAX);
	x.end_ns = clock_add(clock_ns(), number(argv[6], SECONDS_MAX) * NS_PER_S);
	for (uint64_t i = 0; i < n_connections; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			run(&x);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		worst |= status;
	free((void *)x.request.data);
	return worst != 0;
}

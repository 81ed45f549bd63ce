/*
 * bench.c: `modelctl bench`: asks a model again and again, so many requests at a time, and tells how long they took.
 * Closed loop: the next request is made when one is answered. modelctl, one thread, one connection.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/kserve_call.h"
#include "clients/modelctl/latencies.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/tensor_file.h"
#include "proto/kserve/grpc_service.pb-c.h"

#define INFER_PATH	KSERVE_PATH "ModelInfer"
#define CONCURRENCY_MAX 1024u
#define SECONDS_MAX	86400u
#define INPUTS_MAX	64u
#define RANK_MAX	TENSOR_RANK_MAX

typedef Inference__ModelMetadataResponse Metadata;
typedef Inference__ModelMetadataResponse__TensorMetadata TensorMetadata;
typedef Inference__ModelInferRequest Request;
typedef Inference__ModelInferRequest__InferInputTensor Input;

static const char bench_usage[] =
	"usage: modelctl bench MODEL [options]\n"
	"\n"
	"Asks MODEL by ModelInfer with made-up inputs, as many requests at a time as\n"
	"--concurrency says, and prints how many were answered in a second and how long\n"
	"they took.\n"
	"\n"
	"  -c, --concurrency N      requests at a time (default 1)\n"
	"  -s, --seconds N          how long (default 5)\n"
	"  -d, --dimension N        what a free dimension of an input is (default 1)\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

struct slot {
	struct grpc_call *call; /* own; NULL: none */
	uint64_t started_ns;
};

struct bench {
	struct modelctl *m; /* borrow */
	const char *model;
	uint64_t concurrency, seconds, dimension;
	struct grpc_client *client; /* own */
	uint8_t *request;	    /* own: packed */
	size_t n_request;
	struct slot *slots; /* own: `concurrency` of them */
	struct latencies latencies;
	uint64_t n_failed;
	uint64_t took_ns;
	char failure[256]; /* of the first that failed */
};

static void bench_release(struct bench *b)
{
	for (size_t i = 0; b->slots && i < b->concurrency; i++)
		grpc_call_free(b->slots[i].call);
	free(b->slots);
	free(b->request);
	latencies_release(&b->latencies);
	grpc_client_free(b->client);
}

/* --- The command line --------------------------------------------------------------------------- */

static int parse_number(const char *what, const char *text, uint64_t max, uint64_t *ret_value)
{
	if (!decimal_parse(text, ret_value) && *ret_value >= 1 && *ret_value <= max)
		return 0;
	return modelctl_fail(MODELCTL_USAGE,
		"--%s '%s': a number from 1 to %" PRIu64 " is expected", what, text, max);
}

static int take_option(struct bench *b, int c, const char *value)
{
	switch (c) {
	case 'c':
		return parse_number("concurrency", value, CONCURRENCY_MAX, &b->concurrency);
	case 's':
		return parse_number("seconds", value, SECONDS_MAX, &b->seconds);
	case 'd':
		return parse_number("dimension", value, INT32_MAX, &b->dimension);
	default:
		return modelctl_option(b->m, c, value);
	}
}

/* An exit code, or -1 to go on. */
static int parse(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = {MODELCTL_OPTIONS,
		{"concurrency", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"dimension", required_argument, NULL, 'd'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, MODELCTL_SHORT "c:s:d:", longs, NULL)) != -1) {
		int r = take_option(b, c, optarg);

		if (r > 0)
			return r;
		if (r < 0)
			return fputs(bench_usage, c == 'h' ? stdout : stderr) < 0 || c != 'h'
				       ? MODELCTL_USAGE
				       : MODELCTL_OK;
	}
	if (argc - optind != 1)
		return modelctl_fail(MODELCTL_USAGE, "bench needs one MODEL");
	b->model = argv[optind];
	return -1;
}

/* --- The request -------------------------------------------------------------------------------- */

static enum dtype dtype_of(const char *name)
{
	for (int d = DTYPE_INVALID + 1; d < DTYPE_MAX_; d++) {
		if (!strcmp(dtype_kserve_name((enum dtype)d), name))
			return (enum dtype)d;
	}
	return DTYPE_F32; /* it takes any */
}

/* t is released by the caller. */
static int make_tensor(const struct bench *b, const TensorMetadata *m, struct tensor *t)
{
	char text[256];

	if (m->n_shape > RANK_MAX)
		return modelctl_fail(MODELCTL_FAILED, "input %s has too many dimensions", m->name);
	t->dtype = dtype_of(m->datatype);
	t->has_shape = true;
	t->rank = (uint32_t)m->n_shape;
	for (uint32_t k = 0; k < t->rank; k++)
		t->dims[k] = m->shape[k] >= 0	     ? m->shape[k]
			     : k == 0 && t->rank > 1 ? 1
						     : (int64_t)b->dimension;
	if (!tensor_fill(t, 1, true, text, sizeof(text)))
		return 0;
	return modelctl_fail(MODELCTL_FAILED, "input %s: %s", m->name, text);
}

static int pack(struct bench *b, const Request *q)
{
	b->request = malloc(inference__model_infer_request__get_packed_size(q) + 1);
	if (!b->request)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	b->n_request = inference__model_infer_request__pack(q, b->request);
	return 0;
}

static int make_request(struct bench *b, const Metadata *m)
{
	Request q = INFERENCE__MODEL_INFER_REQUEST__INIT;
	struct tensor tensors[INPUTS_MAX] = {0};
	Input inputs[INPUTS_MAX];
	Input *list[INPUTS_MAX];
	ProtobufCBinaryData raw[INPUTS_MAX];
	int r = m->n_inputs > INPUTS_MAX
			? modelctl_fail(MODELCTL_FAILED, "%s has too many inputs", b->model)
			: 0;
	size_t n = 0;

	for (; !r && n < m->n_inputs; n++) {
		r = make_tensor(b, m->inputs[n], &tensors[n]);
		inference__model_infer_request__infer_input_tensor__init(&inputs[n]);
		inputs[n].name = m->inputs[n]->name;
		inputs[n].datatype = (char *)dtype_kserve_name(tensors[n].dtype);
		inputs[n].shape = tensors[n].dims;
		inputs[n].n_shape = tensors[n].rank;
		list[n] = &inputs[n];
		raw[n] = (ProtobufCBinaryData){tensors[n].n, tensors[n].data};
	}
	q.model_name = (char *)b->model;
	q.inputs = list;
	q.raw_input_contents = raw;
	q.n_inputs = q.n_raw_input_contents = n;
	if (!r)
		r = pack(b, &q);
	for (size_t k = 0; k < n; k++)
		tensor_release(&tensors[k]);
	return r;
}

static int prepare(struct bench *b)
{
	Inference__ModelMetadataRequest request = INFERENCE__MODEL_METADATA_REQUEST__INIT;
	Metadata *m = NULL;
	int r = modelctl_connect(b->m, &b->client);

	request.name = (char *)b->model;
	if (!r)
		r = kserve_call_on(b->m, b->client, "ModelMetadata", &request.base,
			&inference__model_metadata_response__descriptor, (void **)&m);
	if (r)
		return r;
	r = make_request(b, m);
	inference__model_metadata_response__free_unpacked(m, NULL);
	b->slots = calloc(b->concurrency, sizeof(b->slots[0]));
	return r || b->slots ? r : modelctl_fail(MODELCTL_FAILED, "out of memory");
}

/* --- The loop ----------------------------------------------------------------------------------- */

static void on_message(void *data, const uint8_t *message, size_t n)
{
	(void)data;
	(void)message;
	(void)n;
}

static int start(struct bench *b, struct slot *s)
{
	const struct grpc_piece piece = {b->request, b->n_request};
	const struct grpc_call_options options = {
		.path = INFER_PATH,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = b->m->timeout_ns,
		.max_message_bytes = UINT32_MAX,
		.on_message = on_message,
	};
	int e = grpc_call_new(&s->call, b->client, &options);

	s->started_ns = clock_ns();
	return e ? modelctl_fail(MODELCTL_UNREACHABLE, "%s: %s", modelctl_address(b->m), err_str(e))
		 : 0;
}

/* An answer came. */
static int record(struct bench *b, struct slot *s, uint64_t now_ns)
{
	int r = 0;

	if (grpc_call_status(s->call) == GRPC_OK)
		r = latencies_add(&b->latencies, now_ns - s->started_ns);
	else if (b->n_failed++ == 0)
		(void)snprintf(b->failure, sizeof(b->failure), "%s: %s",
			grpc_status_name((int)grpc_call_status(s->call)),
			grpc_call_message(s->call));
	s->call = grpc_call_free(s->call);
	return r ? modelctl_fail(MODELCTL_FAILED, "out of memory") : 0;
}

/* What is answered is recorded, and asked again until `end`. *ret_open: how many are under way. */
static int turn(struct bench *b, uint64_t end_ns, size_t *ret_open)
{
	uint64_t now = clock_ns();
	int r = 0;

	*ret_open = 0;
	for (size_t i = 0; !r && i < b->concurrency; i++) {
		struct slot *s = &b->slots[i];

		if (s->call && grpc_call_done(s->call))
			r = record(b, s, now);
		if (!r && !s->call && now < end_ns)
			r = start(b, s);
		*ret_open += s->call != NULL;
	}
	return r;
}

static int run(struct bench *b)
{
	uint64_t began = clock_ns();
	uint64_t end = clock_add(began, b->seconds * NS_PER_S);
	size_t open;
	int r = turn(b, end, &open);

	while (!r && open > 0) {
		int e = grpc_client_run(
			b->client, NULL, clock_add(clock_ns(), b->m->timeout_ns + NS_PER_S));

		if (e)
			return modelctl_fail(
				MODELCTL_UNREACHABLE, "%s: %s", modelctl_address(b->m), err_str(e));
		r = turn(b, end, &open);
	}
	b->took_ns = clock_ns() - began;
	return r;
}

/* --- The result --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t share; /* of 100 000 */
} percentiles[] = {{"p50", 50000}, {"p90", 90000}, {"p95", 95000}, {"p99", 99000}, {"p99.9", 99900},
	{"max", 100000}};
#define N_PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double per_second(const struct bench *b)
{
	return (double)b->latencies.n * 1e9 / (double)b->took_ns;
}

static void print_json(const struct bench *b)
{
	struct json j;

	json_init(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "model", b->model);
	json_u64(&j, "concurrency", b->concurrency);
	json_u64(&j, "requests", b->latencies.n);
	json_u64(&j, "failed", b->n_failed);
	json_double(&j, "seconds", (double)b->took_ns / 1e9);
	json_double(&j, "requests_per_second", per_second(b));
	json_open(&j, "latency_us", '{');
	for (size_t i = 0; i < N_PERCENTILES; i++)
		json_double(&j, percentiles[i].name,
			(double)latencies_at(&b->latencies, percentiles[i].share) / 1000.0);
	json_close(&j, '}');
	json_close(&j, '}');
	json_end(&j);
}

static void print_text(const struct bench *b)
{
	(void)printf("%zu requests in %.1f s, %" PRIu64 " at a time: %.1f a second\n",
		b->latencies.n, (double)b->took_ns / 1e9, b->concurrency, per_second(b));
	for (size_t i = 0; i < N_PERCENTILES; i++)
		(void)printf("  %-6s %10.1f us\n", percentiles[i].name,
			(double)latencies_at(&b->latencies, percentiles[i].share) / 1000.0);
}

int command_bench(struct modelctl *m, int argc, char **argv)
{
	_cleanup_(bench_release) struct bench b = {
		.m = m, .concurrency = 1, .seconds = 5, .dimension = 1};
	int r = parse(&b, argc, argv);

	if (r >= 0)
		return r;
	r = prepare(&b);
	if (!r)
		r = run(&b);
	if (r)
		return r;
	latencies_sort(&b.latencies);
	if (m->json)
		print_json(&b);
	else
		print_text(&b);
	if (b.n_failed == 0)
		return MODELCTL_OK;
	return modelctl_fail(MODELCTL_FAILED, "%" PRIu64 " requests failed, the first with %s",
		b.n_failed, b.failure);
}

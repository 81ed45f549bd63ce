/*
 * bench.c: `modelctl bench`: asks a model again and again, and tells how long that took. Closed loop: so many requests at
 * a time, the next one is made when one is answered. Open loop: requests are due at a rate, whatever became of those
 * before, and took as long as since they were due: one that could not be made in time is not measured as quick.
 * modelctl, one thread, one connection.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/bench_request.h"
#include "clients/modelctl/bench_shm.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/kserve_call.h"
#include "clients/modelctl/latencies.h"
#include "clients/modelctl/modelctl.h"
#include "proto/kserve/grpc_service.pb-c.h"

#define INFER_PATH	 KSERVE_PATH "ModelInfer"
#define CONCURRENCY_MAX	 1024u
#define CONCURRENCY_OPEN 64u /* with a rate, where nothing is said */
#define RATE_MAX	 1000000u
#define SECONDS_MAX	 86400u

typedef Inference__ModelMetadataResponse Metadata;

static const char bench_usage[] =
	"usage: modelctl bench MODEL [options]\n"
	"\n"
	"Asks MODEL by ModelInfer with made-up inputs, as many requests at a time as\n"
	"--concurrency says, or at a rate, and prints how many were answered in a second\n"
	"and how long they took.\n"
	"\n"
	"  -c, --concurrency N      requests at a time (default 1)\n"
	"  -r, --rate N             requests a second, whether or not those before are\n"
	"                           answered; they take as long as since they were due\n"
	"                           (at most --concurrency at a time, by default 64)\n"
	"  -s, --seconds N          how long (default 5)\n"
	"  -d, --dimension N        what a free dimension of an input is (default 1)\n"
	"      --shm                inputs and outputs in shared memory that the daemon\n"
	"                           knows by name, as Triton's clients do; on this host\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

struct slot {
	struct grpc_call *call;	      /* own; NULL: none */
	uint64_t due_ns;	      /* when it was, or should have been, asked */
	bool again;		      /* the server has not begun it: to be sent once more */
	bool resent;		      /* that was done */
	struct bench_request request; /* own; inline only the first has one */
};

struct bench {
	struct modelctl *m; /* borrow */
	const char *model;
	uint64_t concurrency, seconds, dimension; /* concurrency 0: not said */
	uint64_t rate;				  /* requests a second; 0: the closed loop */
	struct grpc_client *client;		  /* own */
	struct bench_tensors inputs, outputs;	  /* own */
	bool shared;				  /* tensors are in shared memory */
	struct bench_shm shm;			  /* own */
	struct slot *slots;			  /* own: `concurrency` of them */
	struct latencies latencies;
	uint64_t began_ns, end_ns;
	uint64_t n_due; /* of the open loop: so many have been asked */
	uint64_t n_failed;
	uint64_t n_unasked; /* were due, and there was never room for them */
	uint64_t took_ns;
	uint64_t heard_ns;    /* when an answer came last, or none was awaited */
	uint64_t progress_ns; /* when to tell again; CLOCK_NO_DEADLINE: never */
	char failure[256];    /* of the first that failed */
};

static void bench_release(struct bench *b)
{
	for (size_t i = 0; b->slots && i < b->concurrency; i++) {
		grpc_call_free(b->slots[i].call);
		bench_request_release(&b->slots[i].request);
	}
	free(b->slots);
	if (b->client)
		bench_shm_release(&b->shm, b->client);
	bench_tensors_release(&b->inputs);
	bench_tensors_release(&b->outputs);
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

static int take_option(void *data, int c, char *value)
{
	struct bench *b = data;

	switch (c) {
	case 'c':
		return parse_number("concurrency", value, CONCURRENCY_MAX, &b->concurrency);
	case 'r':
		return parse_number("rate", value, RATE_MAX, &b->rate);
	case 's':
		return parse_number("seconds", value, SECONDS_MAX, &b->seconds);
	case 'd':
		return parse_number("dimension", value, INT32_MAX, &b->dimension);
	case 'S':
		b->shared = true;
		return 0;
	default:
		return -1;
	}
}

/* An exit code, or -1 to go on. */
static int parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {{"concurrency", required_argument, NULL, 'c'},
		{"rate", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 's'},
		{"dimension", required_argument, NULL, 'd'}, {"shm", no_argument, NULL, 'S'}, {0}};
	const struct modelctl_line line = {
		.usage = bench_usage,
		.options = options,
		.take = take_option,
		.data = b,
		.n_min = 1,
		.n_max = 1,
		.arguments = "one MODEL",
	};
	int r = modelctl_parse(b->m, argc, argv, &line);

	if (r >= 0)
		return r;
	b->model = argv[optind];
	if (b->concurrency == 0)
		b->concurrency = b->rate > 0 ? CONCURRENCY_OPEN : 1;
	return -1;
}

/* --- The request -------------------------------------------------------------------------------- */

/* One request of those that are made inline, for what it answers. */
static int take_outputs(struct bench *b, const struct bench_request *q)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = UINT32_MAX};
	const struct grpc_piece piece = {q->data, q->n};
	Inference__ModelInferResponse *answer;
	int r = modelctl_call(b->m, b->client, INFER_PATH, &piece, 1, &reply);

	if (r)
		return r;
	answer = inference__model_infer_response__unpack(NULL, reply.len, reply.data);
	r = answer ? bench_outputs_take(&b->outputs, answer)
		   : modelctl_fail(MODELCTL_FAILED, "the answer is malformed");
	inference__model_infer_response__free_unpacked(answer, NULL);
	return r;
}

/* Inputs lie in a region once; what is answered has a place for each of those that are asked at a time. */
static int share(struct bench *b)
{
	const uint64_t inputs = bench_tensors_bytes(&b->inputs);
	uint64_t outputs, total;
	struct bench_region region = {.name = b->shm.name};
	int r = take_outputs(b, &b->slots[0].request);

	if (r)
		return r;
	outputs = bench_tensors_bytes(&b->outputs);
	if (__builtin_mul_overflow(outputs, b->concurrency, &total) ||
		__builtin_add_overflow(total, inputs, &total) || total > INT64_MAX)
		return modelctl_fail(MODELCTL_FAILED, "tensors of that size are beyond the limits");
	r = bench_shm_make(&b->shm, b->m, b->client, &b->inputs, total);
	for (uint64_t i = 0; !r && i < b->concurrency; i++) {
		bench_request_release(&b->slots[i].request);
		region.outputs = inputs + i * outputs;
		r = bench_request_make(
			&b->slots[i].request, b->model, &b->inputs, &b->outputs, &region);
	}
	return r;
}

static int prepare(struct bench *b)
{
	Metadata *m = NULL;
	int r = modelctl_connect(b->m, &b->client);

	b->slots = calloc(b->concurrency, sizeof(b->slots[0]));
	if (!b->slots)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	if (!r)
		r = kserve_metadata(b->m, b->client, b->model, "", &m);
	if (r)
		return r;
	r = bench_inputs_make(&b->inputs, m, b->dimension);
	inference__model_metadata_response__free_unpacked(m, NULL);
	/* Inline all slots ask the same, which is the first one's. */
	if (!r)
		r = bench_request_make(&b->slots[0].request, b->model, &b->inputs, NULL, NULL);
	return r || !b->shared ? r : share(b);
}

static const struct bench_request *request_of(const struct bench *b, const struct slot *s)
{
	return b->shared ? &s->request : &b->slots[0].request;
}

/* --- The loop ----------------------------------------------------------------------------------- */

static void on_message(void *data, const uint8_t *message, size_t n)
{
	(void)data;
	(void)message;
	(void)n;
}

static int start(struct bench *b, struct slot *s, uint64_t due_ns)
{
	const struct bench_request *q = request_of(b, s);
	const struct grpc_piece piece = {q->data, q->n};
	const struct grpc_call_options options = {
		.path = INFER_PATH,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = b->m->timeout_ns,
		.max_message_bytes = UINT32_MAX,
		.on_message = on_message,
	};
	int e = grpc_call_new(&s->call, b->client, &options);

	s->due_ns = due_ns;
	return e ? modelctl_fail(MODELCTL_UNREACHABLE, "%s: %s", modelctl_address(b->m), err_str(e))
		 : 0;
}

/* An answer came. */
static int record(struct bench *b, struct slot *s, uint64_t now_ns)
{
	int r = 0;

	if (grpc_call_is_refused(s->call) && !s->resent)
		s->again = true;
	else if (grpc_call_status(s->call) == GRPC_OK)
		r = latencies_add(&b->latencies, now_ns - s->due_ns);
	else if (b->n_failed++ == 0)
		(void)snprintf(b->failure, sizeof(b->failure), "%s: %s",
			grpc_status_name((int)grpc_call_status(s->call)),
			grpc_call_message(s->call));
	s->call = grpc_call_free(s->call);
	b->heard_ns = now_ns;
	return r ? modelctl_fail(MODELCTL_FAILED, "out of memory") : 0;
}

/* When the next request of the open loop is due. */
static uint64_t next_due(const struct bench *b)
{
	return clock_add(b->began_ns, (uint64_t)((double)b->n_due * 1e9 / (double)b->rate));
}

/* Is a request to be made now? Then *ret_due_ns says from when on it takes. */
static bool is_due(struct bench *b, uint64_t now_ns, uint64_t *ret_due_ns)
{
	*ret_due_ns = b->rate > 0 ? next_due(b) : now_ns;
	if (*ret_due_ns > now_ns || now_ns >= b->end_ns)
		return false;
	b->n_due++;
	return true;
}

/* A slot without a call gets one, if one is due or is to be sent once more. */
static int fill(struct bench *b, struct slot *s, uint64_t now_ns)
{
	uint64_t due = s->due_ns;

	if (!s->again && !is_due(b, now_ns, &due))
		return 0;
	s->resent = s->again;
	s->again = false;
	return start(b, s, due);
}

/* What is answered is recorded, and what is due is asked until the end, but not where the server takes no more calls.
 * *ret_open: how many are under way. */
static int turn(struct bench *b, size_t *ret_open)
{
	uint64_t now = clock_ns();
	bool going = grpc_client_is_going(b->client);
	int r = 0;

	*ret_open = 0;
	for (size_t i = 0; !r && i < b->concurrency; i++) {
		struct slot *s = &b->slots[i];

		if (s->call && grpc_call_done(s->call))
			r = record(b, s, now);
		if (!r && !going && !s->call)
			r = fill(b, s, now);
		*ret_open += s->call || s->again;
	}
	return r;
}

/* A line that is written over, where somebody looks. */
static void tell_progress(struct bench *b)
{
	uint64_t now = clock_ns();
	double seconds = (double)(now - b->began_ns) / 1e9;

	if (now < b->progress_ns)
		return;
	b->progress_ns = clock_add(now, NS_PER_S);
	(void)fprintf(stderr,
		"\r%.0f of %" PRIu64 " s, %zu requests, %.1f a second, %" PRIu64 " failed ",
		seconds, b->seconds, b->latencies.n,
		seconds > 0 ? (double)b->latencies.n / seconds : 0, b->n_failed);
	(void)fflush(stderr);
}

/* Until then the server may say nothing. */
static uint64_t silent_until(const struct bench *b)
{
	return clock_add(b->heard_ns, b->m->timeout_ns + NS_PER_S);
}

/* When there is something to do though nothing is answered. */
static uint64_t wake_at(const struct bench *b, size_t open)
{
	uint64_t now = clock_ns();
	uint64_t at = clock_add(silent_until(b), 1);

	if (b->rate > 0 && open < b->concurrency && now < b->end_ns) {
		at = next_due(b);
		at = at < b->end_ns ? at : b->end_ns;
	}
	return b->progress_ns < at ? b->progress_ns : at;
}

/* Until something is to be done. A connection that was lost has ended its calls. */
static int wait_a_turn(struct bench *b, size_t open)
{
	int e = grpc_client_run(b->client, NULL, wake_at(b, open));

	if (open == 0)
		b->heard_ns = clock_ns();
	if (!e || e == -EPIPE || (e == -ETIMEDOUT && clock_ns() <= silent_until(b)))
		return 0;
	return modelctl_fail(MODELCTL_UNREACHABLE, "%s: %s", modelctl_address(b->m), err_str(e));
}

static int run(struct bench *b)
{
	size_t open;
	int r;

	b->began_ns = b->heard_ns = clock_ns();
	b->end_ns = clock_add(b->began_ns, b->seconds * NS_PER_S);
	b->progress_ns = isatty(STDERR_FILENO) ? b->began_ns : CLOCK_NO_DEADLINE;
	r = turn(b, &open);
	while (!r && (open > 0 || clock_ns() < b->end_ns)) {
		r = wait_a_turn(b, open);
		tell_progress(b);
		if (!r)
			r = turn(b, &open);
		if (!r && grpc_client_is_idle(b->client))
			r = modelctl_renew(b->m, &b->client);
	}
	if (b->progress_ns != CLOCK_NO_DEADLINE)
		(void)fputs("\n", stderr);
	b->took_ns = clock_ns() - b->began_ns;
	if (b->rate > 0 && b->seconds * b->rate > b->n_due)
		b->n_unasked = b->seconds * b->rate - b->n_due;
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
	json_bool(&j, "shared_memory", b->shared);
	if (b->rate > 0) {
		json_u64(&j, "rate", b->rate);
		json_u64(&j, "unasked", b->n_unasked);
	}
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
	(void)printf("%zu requests in %.1f s, %" PRIu64 " at a time%s: %.1f a second\n",
		b->latencies.n, (double)b->took_ns / 1e9, b->concurrency,
		b->shared ? ", in shared memory" : "", per_second(b));
	if (b->rate > 0)
		(void)printf("  of %" PRIu64 " a second that were due; for %" PRIu64
			     " there was no room\n",
			b->rate, b->n_unasked);
	for (size_t i = 0; i < N_PERCENTILES; i++)
		(void)printf("  %-6s %10.1f us\n", percentiles[i].name,
			(double)latencies_at(&b->latencies, percentiles[i].share) / 1000.0);
}

int command_bench(struct modelctl *m, int argc, char **argv)
{
	_cleanup_(bench_release) struct bench b = {.m = m, .seconds = 5, .dimension = 1};
	int r = parse(&b, argc, argv);

	if (r >= 0)
		return r;
	r = prepare(&b);
	if (!r)
		r = run(&b);
	/* What was measured before the daemon went is worth to be told. */
	if (r && b.latencies.n == 0)
		return r;
	latencies_sort(&b.latencies);
	if (m->json)
		print_json(&b);
	else
		print_text(&b);
	if (b.n_failed == 0)
		return r;
	(void)modelctl_fail(
		0, "%" PRIu64 " requests failed, the first with %s", b.n_failed, b.failure);
	return r ? r : MODELCTL_FAILED;
}

/*
 * bare.c: the same kernels and copies in a plain loop: what the hardware and its runtime take, and
 * nothing else. Each run has a stream, page-locked memory of the runtime's and memory on the device.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/gpu/check/check.h"
#include "workers/backends/cuda/cuda.h"
#include "workers/device.h"

#define DEPTH_MAX  16u
#define THREADS	   256u
#define MLP_WIDTHS "64,256,10"

struct slot {
	struct device_stream *stream;
	struct device_event *done;
	void *from, *to; /* of the host */
	void *in, *out;	 /* of the device */
};

struct bare {
	struct device *d;
	struct slot slots[DEPTH_MAX];
	unsigned depth;
	size_t in_bytes, out_bytes;
	cudaLibrary_t library;
	cudaKernel_t kernel;
	struct mlp *mlp; /* NULL: identity */
};

static int open_slot(struct bare *b, struct slot *s)
{
	int r = device_stream_new(b->d, &s->stream);

	if (!r)
		r = device_event_new(b->d, &s->done);
	if (!r)
		r = device_host_alloc(b->d, b->in_bytes, &s->from);
	if (!r)
		r = device_host_alloc(b->d, b->out_bytes, &s->to);
	if (!r)
		r = device_alloc(s->stream, b->in_bytes, &s->in);
	if (!r)
		r = device_alloc(s->stream, b->out_bytes, &s->out);
	if (!r)
		memset(s->from, 0, b->in_bytes);
	return r;
}

static void close_slot(struct bare *b, struct slot *s)
{
	if (!s->stream)
		return;
	(void)!device_release(s->stream, s->in);
	(void)!device_release(s->stream, s->out);
	device_stream_free(s->stream);
	device_event_free(s->done);
	device_host_free(b->d, s->from);
	device_host_free(b->d, s->to);
}

static int load(struct bare *b, const char *kernel)
{
	return cudaLibraryLoadData(&b->library, cuda_image, NULL, NULL, 0, NULL, NULL, 0) ||
	       cudaLibraryGetKernel(&b->kernel, b->library, kernel);
}

struct bare *bare_new(enum bare_work work, size_t bytes, unsigned depth)
{
	struct modeld_error error = {.size = sizeof(error)};
	char text[DEVICE_TEXT_MAX];
	struct bare *b = calloc(1, sizeof(*b));
	int r;

	if (!b || depth > DEPTH_MAX || device_open(&b->d, "cuda:0", text)) {
		free(b);
		return NULL;
	}
	b->depth = depth;
	b->in_bytes = b->out_bytes = bytes;
	r = load(b, work == BARE_MLP ? "modeld_dense" : "modeld_copy");
	if (!r && work == BARE_MLP) {
		r = mlp_new(&b->mlp, MLP_WIDTHS, 1, &error) != MODELD_OK;
		b->out_bytes = r ? 0 : mlp_width(b->mlp, 1) * sizeof(float);
	}
	for (unsigned i = 0; !r && i < depth; i++)
		r = open_slot(b, &b->slots[i]);
	return r ? bare_free(b) : b;
}

struct bare *bare_free(struct bare *b)
{
	if (!b)
		return NULL;
	for (unsigned i = 0; i < b->depth; i++)
		close_slot(b, &b->slots[i]);
	mlp_free(b->mlp);
	if (b->library)
		(void)cudaLibraryUnload(b->library);
	device_free(b->d);
	free(b);
	return NULL;
}

static int compute(struct bare *b, struct slot *s)
{
	struct modeld_error error = {.size = sizeof(error)};
	void *stream = device_stream_native(s->stream);
	uint64_t n = b->in_bytes, blocks = (n / 16 + THREADS - 1) / THREADS;
	void *arguments[] = {&s->out, &s->in, &n};
	dim3 grid = {(unsigned)(blocks < 1 ? 1 : blocks > 4096 ? 4096 : blocks), 1, 1};
	dim3 block = {THREADS, 1, 1};

	if (b->mlp)
		return mlp_run(b->mlp, b->kernel, s->out, s->in, 1, NULL, stream, &error) !=
		       MODELD_OK;
	return cuda_launch(b->kernel, grid, block, arguments, stream, &error) != MODELD_OK;
}

static int begin(struct bare *b, struct slot *s)
{
	int r = device_copy_in(s->stream, s->in, s->from, b->in_bytes);

	if (!r)
		r = compute(b, s);
	if (!r)
		r = device_copy_out(s->stream, s->to, s->out, b->out_bytes);
	return r ? r : device_event_record(s->done, s->stream);
}

static bool run_once(void *data)
{
	struct bare *b = data;
	struct slot *s = &b->slots[0];

	return !begin(b, s) && !device_event_wait(s->done, CLOCK_NO_DEADLINE);
}

double bare_latency_us(struct bare *b, struct check *c)
{
	return check_latency_us(c, run_once, b);
}

void bare_compare_latency(
	struct check *c, const char *what, size_t bytes, bool (*run)(void *data), void *data)
{
	struct ratio r = {.less = true, .unit = "us", .beside = "bare loop, by the host"};
	struct bare *b = bare_new(BARE_IDENTITY, bytes, 1);

	snprintf(r.what, sizeof(r.what), "identity %s, latency, %zu bytes", what, bytes);
	r.base = b ? bare_latency_us(b, c) : 0;
	bare_free(b);
	r.value = check_latency_us(c, run, data);
	check_ratio(c, &r);
}

double bare_rate(struct bare *b, const struct check *c)
{
	uint64_t start_ns = clock_ns(), now_ns = start_ns, n = 0;

	for (unsigned i = 0; i < b->depth; i++) {
		if (begin(b, &b->slots[i]))
			return 0;
	}
	while (now_ns - start_ns < c->measure_ns) {
		struct slot *s = &b->slots[n++ % b->depth];

		if (device_event_wait(s->done, CLOCK_NO_DEADLINE) || begin(b, s))
			return 0;
		now_ns = clock_ns();
	}
	for (unsigned i = 0; i < b->depth; i++)
		(void)!device_event_wait(b->slots[i].done, CLOCK_NO_DEADLINE);
	return (double)n / ((double)(now_ns - start_ns) / 1e9);
}

/* The run is not done while it is recorded. */
static cudaError_t record(struct bare *b, struct slot *s, cudaGraphExec_t *ret_exec)
{
	cudaStream_t stream = device_stream_native(s->stream);
	cudaGraph_t graph = NULL;
	cudaError_t error = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), ended;
	int r;

	if (error)
		return error;
	r = compute(b, s);
	ended = cudaStreamEndCapture(stream, &graph);
	if (r || ended)
		return ended ? ended : cudaErrorUnknown;
	error = cudaGraphInstantiate(ret_exec, graph, 0);
	(void)cudaGraphDestroy(graph);
	return error;
}

/* Of identity. */
static bool gives(struct bare *b, struct slot *s, cudaGraphExec_t exec)
{
	memset(s->to, 0, b->out_bytes);
	return device_clear(s->stream, s->out, b->out_bytes) == 0 &&
	       cudaGraphLaunch(exec, device_stream_native(s->stream)) == cudaSuccess &&
	       device_copy_out(s->stream, s->to, s->out, b->out_bytes) == 0 &&
	       device_event_record(s->done, s->stream) == 0 &&
	       device_event_wait(s->done, clock_add(clock_ns(), 20 * NS_PER_S)) == 0 &&
	       !memcmp(s->to, s->from, b->out_bytes);
}

bool bare_records(void)
{
	struct bare *b = bare_new(BARE_IDENTITY, 100000, 1);
	struct slot *s = b ? &b->slots[0] : NULL;
	cudaGraphExec_t exec = NULL;
	bool right = false;

	if (b)
		check_fill(s->from, b->in_bytes, 4);
	if (b && !begin(b, s) && !device_event_wait(s->done, CLOCK_NO_DEADLINE) &&
		!record(b, s, &exec))
		right = gives(b, s, exec) && gives(b, s, exec);
	if (exec)
		(void)cudaGraphExecDestroy(exec);
	bare_free(b);
	return right;
}

int bare_fault(void)
{
	struct modeld_error error = {.size = sizeof(error)};
	struct bare b = {.depth = 0};
	char text[DEVICE_TEXT_MAX];
	struct slot s = {0};
	void *nowhere = NULL;
	void *arguments[] = {&nowhere};
	dim3 one = {1, 1, 1};
	int r;

	b.in_bytes = b.out_bytes = 64;
	if (device_open(&b.d, "cuda:0", text) || load(&b, "modeld_fault") || open_slot(&b, &s))
		return -1;
	if (cuda_launch(b.kernel, one, one, arguments, device_stream_native(s.stream), &error) !=
		MODELD_OK)
		return -1;
	/* It may have come to pass already. */
	r = device_event_record(s.done, s.stream);
	return r ? r : device_event_wait(s.done, clock_add(clock_ns(), 20 * NS_PER_S));
}

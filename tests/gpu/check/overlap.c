/*
 * overlap.c: do copies to the device, kernels and copies back of several lanes happen at the same time? By event times: what each
 * takes alone, and what many of them take when three lanes do them, each on a thread and a stream of its own, as in a worker.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/gpu/check/check.h"
#include "workers/backends/cuda/cuda.h"
#include "workers/transfer.h"

#define LANES	    3u
#define ROUNDS	    6u
#define BYTES	    (16 * MIB)
#define KERNELS_MAX 2000u
#define BLOCKS	    4096u
#define THREADS	    256u

/* Borders between the stages of a run. */
enum border { BEGUN, COPIED_IN, COMPUTED, COPIED_OUT, BORDERS_ };

struct lane {
	struct overlap *all; /* borrow */
	struct transfer *t;
	void *from, *to;	      /* of the host */
	cudaEvent_t events[BORDERS_]; /* of the last run */
	pthread_t thread;
	int result;
};

struct overlap {
	struct device *d;
	cudaLibrary_t library;
	cudaKernel_t kernel;
	unsigned n_kernels; /* of a run: so many take as long as a copy */
	struct lane lanes[LANES];
};

static int open_lane(struct overlap *o, struct lane *l)
{
	int r = transfer_new(&l->t, o->d, DEVICE_PRIORITY_NORMAL);

	l->all = o;
	if (!r)
		r = device_host_alloc(o->d, BYTES, &l->from);
	if (!r)
		r = device_host_alloc(o->d, BYTES, &l->to);
	for (unsigned i = 0; i < BORDERS_ && !r; i++)
		r = cudaEventCreateWithFlags(&l->events[i], cudaEventDefault);
	if (!r)
		check_fill(l->from, BYTES, 1);
	return r;
}

static void close_lane(struct overlap *o, struct lane *l)
{
	for (unsigned i = 0; i < BORDERS_; i++) {
		if (l->events[i])
			(void)cudaEventDestroy(l->events[i]);
	}
	transfer_free(l->t);
	device_host_free(o->d, l->from);
	device_host_free(o->d, l->to);
}

static int open_all(struct overlap *o)
{
	char text[DEVICE_TEXT_MAX];
	int r = device_open(&o->d, "cuda:0", text);

	o->n_kernels = 1;
	if (!r)
		r = cudaLibraryLoadData(&o->library, cuda_image, NULL, NULL, 0, NULL, NULL, 0);
	if (!r)
		r = cudaLibraryGetKernel(&o->kernel, o->library, "modeld_copy");
	for (unsigned i = 0; i < LANES && !r; i++)
		r = open_lane(o, &o->lanes[i]);
	return r;
}

static void close_all(struct overlap *o)
{
	for (unsigned i = 0; i < LANES; i++)
		close_lane(o, &o->lanes[i]);
	if (o->library)
		(void)cudaLibraryUnload(o->library);
	device_free(o->d);
}

static int mark(struct lane *l, enum border border)
{
	return cudaEventRecord(l->events[border], transfer_stream(l->t));
}

static int compute(struct lane *l, void *out, void *in)
{
	struct modeld_error error = {.size = sizeof(error)};
	const dim3 grid = {BLOCKS, 1, 1}, block = {THREADS, 1, 1};
	uint64_t n = BYTES;
	void *arguments[] = {&out, &in, &n};
	int r = 0;

	for (unsigned i = 0; i < l->all->n_kernels && !r; i++)
		r = cuda_launch(
			l->all->kernel, grid, block, arguments, transfer_stream(l->t), &error);
	return r;
}

static int run_stages(struct lane *l)
{
	struct transfer_input input = {.bytes = BYTES};
	const struct transfer_part part = {.data = l->from, .bytes = BYTES, .pinned = true};
	void *out = NULL;
	int r = mark(l, BEGUN);

	if (!r)
		r = transfer_in(l->t, &input, 1, &part, 1);
	if (!r)
		r = mark(l, COPIED_IN);
	if (!r)
		r = transfer_alloc(l->t, BYTES, &out);
	if (!r)
		r = compute(l, out, input.data);
	if (!r)
		r = mark(l, COMPUTED);
	if (!r)
		r = transfer_out(l->t, l->to, out, BYTES, true);
	return r ? r : mark(l, COPIED_OUT);
}

static int run(struct lane *l)
{
	int r, ended;

	transfer_begin(l->t, clock_add(clock_ns(), 20 * NS_PER_S));
	r = run_stages(l);
	if (!r)
		r = transfer_finish(l->t);
	ended = transfer_end(l->t);
	return r ? r : ended;
}

static void *run_many(void *arg)
{
	struct lane *l = arg;

	for (unsigned i = 0; i < ROUNDS && !l->result; i++)
		l->result = run(l);
	return NULL;
}

/* Milliseconds; negative: they are not known. */
static double between(cudaEvent_t start, cudaEvent_t end)
{
	float ms = 0;

	return cudaEventElapsedTime(&ms, start, end) ? -1 : (double)ms;
}

/* What the stages of a run that is alone take; the second of two, which makes nothing for the first time. */
static bool alone(struct overlap *o, double *ret_stages)
{
	struct lane *l = &o->lanes[0];

	if (run(l) || run(l))
		return false;
	for (unsigned i = 0; i < COPIED_OUT; i++) {
		ret_stages[i] = between(l->events[i], l->events[i + 1]);
		if (ret_stages[i] <= 0)
			return false;
	}
	return true;
}

/* From before the first to behind the last. */
static double together(struct overlap *o, cudaEvent_t start)
{
	double longest = -1;
	unsigned n = 0;

	if (cudaEventRecord(start, transfer_stream(o->lanes[0].t)))
		return -1;
	while (n < LANES && !pthread_create(&o->lanes[n].thread, NULL, run_many, &o->lanes[n]))
		n++;
	for (unsigned i = 0; i < n; i++)
		pthread_join(o->lanes[i].thread, NULL);
	for (unsigned i = 0; i < LANES; i++) {
		double ms = between(start, o->lanes[i].events[COPIED_OUT]);

		if (n < LANES || o->lanes[i].result)
			return -1;
		longest = ms > longest ? ms : longest;
	}
	return longest;
}

static void compare(struct check *c, struct overlap *o, cudaEvent_t start)
{
	struct ratio r = {.what = "three lanes: copies in, kernels, copies out",
		.beside = "one after the other",
		.unit = "ms",
		.wanted = 0.6,
		.less = true};
	double stages[COPIED_OUT] = {0};
	bool known = alone(o, stages);

	if (known) {
		double n = stages[BEGUN] / stages[COPIED_IN];

		o->n_kernels = n < 1 ? 1 : n > KERNELS_MAX ? KERNELS_MAX : (unsigned)n;
		known = alone(o, stages);
	}
	if (!check_true(c, known, "event times of a run that is alone: %.2f ms in, %.2f, %.2f out",
		    stages[BEGUN], stages[COPIED_IN], stages[COMPUTED]))
		return;
	r.value = together(o, start);
	r.base = LANES * ROUNDS * (stages[BEGUN] + stages[COPIED_IN] + stages[COMPUTED]);
	check_ratio(c, &r);
}

void check_overlap(struct check *c)
{
	struct overlap *o = calloc(1, sizeof(*o));
	cudaEvent_t start = NULL;

	check_heading(c, "Overlap");
	if (check_true(c,
		    o && open_all(o) == 0 &&
			    cudaEventCreateWithFlags(&start, cudaEventDefault) == cudaSuccess,
		    "three lanes with memory and events"))
		compare(c, o, start);
	if (start)
		(void)cudaEventDestroy(start);
	if (o)
		close_all(o);
	free(o);
}

/*
 * fake_stream.c: streams: a thread each that does what it was given, in order. Memory that is not
 * registered is copied before the call returns, as the runtime does it by a buffer of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/fakecuda/fake_private.h"

#define EVENTS_MAX    1024u
#define STREAMS_MAX   64u
#define ARGUMENTS_MAX 8u
#define ARGUMENT_MAX  8u

enum kind { COPY_IN, COPY_OUT, COPY_WITHIN, CLEAR, FREE, RECORD, WAIT, KERNEL };

struct op {
	struct op *next;
	enum kind kind;
	void *to;
	const void *from;
	size_t bytes;
	struct CUevent_st *event;
	uint64_t value;
	const struct fake_kernel *kernel;
	unsigned char arguments[ARGUMENTS_MAX][ARGUMENT_MAX];
};

struct CUevent_st {
	uint64_t recorded, reached;
	bool used;
};

struct CUstream_st {
	pthread_t thread;
	struct op *first, **end;
	bool busy, ends, used;
	int priority;
	struct CUgraph_st
		*recorded; /* own: what it is given goes there, and is not done; NULL: it is */
};

struct CUgraph_st {
	struct op *first, **end;
};

/* Never given back: a stream may still name an event that was destroyed. */
static struct CUevent_st events[EVENTS_MAX];
static struct CUstream_st streams[STREAMS_MAX];

/* --- What a stream does ------------------------------------------------------------------- */

static void spend(uint64_t us)
{
	struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};

	if (us > 0)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void copy(const struct op *op)
{
	void *to = op->kind == COPY_OUT ? op->to : fake_memory_alias(op->to, op->bytes);
	const void *from = op->kind == COPY_IN ? op->from : fake_memory_alias(op->from, op->bytes);

	if (!to || !from) {
		fake_stick(cudaErrorIllegalAddress);
		return;
	}
	pthread_mutex_unlock(&fake_lock);
	spend(fake.copy_us);
	memcpy(to, from, op->bytes);
	pthread_mutex_lock(&fake_lock);
}

static void clear(const struct op *op)
{
	void *to = fake_memory_alias(op->to, op->bytes);

	if (to)
		memset(to, (int)op->value, op->bytes);
	else
		fake_stick(cudaErrorIllegalAddress);
}

/* A kernel that gets a pointer to nowhere faults as on a GPU. */
static void run_kernel(const struct op *op)
{
	const void *arguments[ARGUMENTS_MAX];
	void *aliases[ARGUMENTS_MAX];

	for (unsigned i = 0; i < op->kernel->n_arguments; i++) {
		void *p;

		arguments[i] = op->arguments[i];
		memcpy(&p, op->arguments[i], sizeof(p));
		if (op->kernel->sizes[i] != sizeof(p) || !fake_is_device(p))
			continue;
		aliases[i] = fake_memory_alias(p, 1);
		if (!aliases[i]) {
			fake_stick(cudaErrorIllegalAddress);
			return;
		}
		arguments[i] = &aliases[i];
	}
	pthread_mutex_unlock(&fake_lock);
	spend(fake.kernel_us);
	op->kernel->run(arguments);
	pthread_mutex_lock(&fake_lock);
}

/* Streams that meet: how many have come to a copy in, a kernel, a copy out; and how many went on from there. */
#define PLACES 3u
static struct {
	unsigned came[PLACES], left[PLACES];
	bool met;
} meeting;

static bool is_complete(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		if (meeting.came[i] == meeting.left[i])
			return false;
	}
	return true;
}

/* Who is alone at a place waits there, whoever is followed goes on to the next: so the first of three streams ends at
 * the copy out, the second at the kernel, the third at the copy in, and they have met. Streams that never overlap
 * wait for ever. */
static void meet(const struct CUstream_st *s, enum kind kind)
{
	unsigned place = kind == COPY_IN ? 0 : kind == KERNEL ? 1 : 2, turn;

	if (!fake.meet || meeting.met || (kind != COPY_IN && kind != KERNEL && kind != COPY_OUT))
		return;
	turn = meeting.came[place]++;
	if (is_complete()) {
		meeting.met = true;
		fake_log(s, "met", "");
	}
	pthread_cond_broadcast(&fake_changed);
	while (!meeting.met && meeting.came[place] == turn + 1 && !s->ends &&
		fake_stuck() == cudaSuccess)
		pthread_cond_wait(&fake_changed, &fake_lock);
	meeting.left[place]++;
}

static void perform(struct CUstream_st *s, const struct op *op)
{
	static const char *const names[] = {
		"in", "out", "within", "clear", "free", "record", "wait", "kernel"};

	fake_log(s, names[op->kind], op->kernel ? op->kernel->name : "");
	meet(s, op->kind);
	switch (op->kind) {
	case FREE:
		(void)fake_memory_free(op->to);
		break;
	case RECORD:
		op->event->reached = op->value;
		break;
	case WAIT:
		while (op->event->reached < op->value && !s->ends && fake_stuck() == cudaSuccess)
			pthread_cond_wait(&fake_changed, &fake_lock);
		break;
	case CLEAR:
		clear(op);
		break;
	case KERNEL:
		run_kernel(op);
		break;
	default:
		copy(op);
		break;
	}
}

static void *stream_main(void *arg)
{
	struct CUstream_st *s = arg;

	pthread_mutex_lock(&fake_lock);
	for (;;) {
		struct op *op = s->first;

		if (s->ends && (!op || fake.stall))
			break;
		if (!op || fake.stall) {
			pthread_cond_wait(&fake_changed, &fake_lock);
			continue;
		}
		s->first = op->next;
		if (!s->first)
			s->end = &s->first;
		s->busy = true;
		/* Where the context is lost, nothing runs any more. */
		if (fake_stuck() == cudaSuccess)
			perform(s, op);
		s->busy = false;
		free(op);
		pthread_cond_broadcast(&fake_changed);
	}
	pthread_mutex_unlock(&fake_lock);
	return NULL;
}

static void settle(const struct CUstream_st *s)
{
	while ((s->first || s->busy) && fake_stuck() == cudaSuccess)
		pthread_cond_wait(&fake_changed, &fake_lock);
}

void fake_streams_settle(void)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (streams[i].used)
			settle(&streams[i]);
	}
}

FAKE_EXPORT void fakecuda_resume(void)
{
	pthread_mutex_lock(&fake_lock);
	fake.stall = false;
	pthread_cond_broadcast(&fake_changed);
	pthread_mutex_unlock(&fake_lock);
}

static cudaError_t put(struct CUstream_st *s, const struct op *like)
{
	struct op *op = malloc(sizeof(*op));

	if (!op)
		return cudaErrorMemoryAllocation;
	*op = *like;
	op->next = NULL;
	if (s->recorded) {
		*s->recorded->end = op;
		s->recorded->end = &op->next;
		return cudaSuccess;
	}
	*s->end = op;
	s->end = &op->next;
	pthread_cond_broadcast(&fake_changed);
	return cudaSuccess;
}

/* --- Streams ------------------------------------------------------------------------------ */

static cudaError_t start_stream(cudaStream_t *ret_stream, int priority)
{
	cudaError_t error = cudaErrorMemoryAllocation;

	pthread_mutex_lock(&fake_lock);
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		struct CUstream_st *s = &streams[i];

		if (s->used)
			continue;
		memset(s, 0, sizeof(*s));
		s->end = &s->first;
		s->priority = priority;
		if (pthread_create(&s->thread, NULL, stream_main, s))
			break;
		s->used = true;
		*ret_stream = s;
		error = cudaSuccess;
		break;
	}
	pthread_mutex_unlock(&fake_lock);
	return error;
}

FAKE_EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *ret_stream, unsigned flags)
{
	FAKE_ENTER();
	return fake_done(start_stream(ret_stream, 0));
}

/* As on GPUs that have priorities: the more urgent, the lower the number. */
FAKE_EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int *ret_least, int *ret_greatest)
{
	FAKE_ENTER();
	*ret_least = 0;
	*ret_greatest = -5;
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaStreamCreateWithPriority(
	cudaStream_t *ret_stream, unsigned flags, int priority)
{
	cudaError_t error;

	FAKE_ENTER();
	error = start_stream(ret_stream, priority);
	if (error == cudaSuccess) {
		char text[16];

		snprintf(text, sizeof(text), "%d", priority);
		pthread_mutex_lock(&fake_lock);
		fake_log(*ret_stream, "priority", text);
		pthread_mutex_unlock(&fake_lock);
	}
	return fake_done(error);
}

/* What it holds is done first; where streams stand still it is forgotten. The lock is released
 * meanwhile. */
static void end_stream(struct CUstream_st *s)
{
	s->ends = true;
	pthread_cond_broadcast(&fake_changed);
	pthread_mutex_unlock(&fake_lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&fake_lock);
	while (s->first) {
		struct op *op = s->first;

		s->first = op->next;
		free(op);
	}
	s->used = false;
}

FAKE_EXPORT cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	/* It is gone whatever the context says. */
	cudaError_t error = fake_enter(__func__);

	pthread_mutex_lock(&fake_lock);
	end_stream(s);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

void fake_streams_reset(void)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (streams[i].used)
			end_stream(&streams[i]);
	}
	memset(events, 0, sizeof(events));
	memset(&meeting, 0, sizeof(meeting));
}

FAKE_EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	settle(s);
	error = fake_stuck();
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- Events ------------------------------------------------------------------------------- */

FAKE_EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *ret_event, unsigned flags)
{
	cudaError_t error = cudaErrorMemoryAllocation;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		/* One that is still to come to pass is waited for by nobody else than its stream. */
		if (events[i].used || events[i].reached < events[i].recorded)
			continue;
		events[i].used = true;
		*ret_event = &events[i];
		error = cudaSuccess;
		break;
	}
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaEventDestroy(cudaEvent_t e)
{
	pthread_mutex_lock(&fake_lock);
	e->used = false;
	pthread_mutex_unlock(&fake_lock);
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	e->recorded++;
	error = put(s, &(struct op){.kind = RECORD, .event = e, .value = e->recorded});
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaEventQuery(cudaEvent_t e)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = fake_stuck();
	if (error == cudaSuccess && e->reached < e->recorded)
		error = cudaErrorNotReady;
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = put(s, &(struct op){.kind = WAIT, .event = e, .value = e->recorded});
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- Memory and copies in their order ----------------------------------------------------- */

FAKE_EXPORT cudaError_t cudaMallocAsync(void **data, size_t bytes, cudaStream_t s)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = fake_memory_alloc(data, bytes);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaFreeAsync(void *data, cudaStream_t s)
{
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (fake_memory_alias(data, 1))
		error = put(s, &(struct op){.kind = FREE, .to = data});
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

static bool allowed(const struct op *op, enum fake_host host)
{
	if (op->kind != COPY_OUT && !fake_memory_alias(op->to, op->bytes))
		return false;
	if (op->kind != COPY_IN && !fake_memory_alias(op->from, op->bytes))
		return false;
	return host != FAKE_CROSSES && (op->kind != COPY_OUT || host != FAKE_PINNED_READ_ONLY);
}

FAKE_EXPORT cudaError_t cudaMemcpyAsync(
	void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
	struct op op = {.to = to, .from = from, .bytes = bytes};
	enum fake_host host = FAKE_PINNED;
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	op.kind = (int)kind == cudaMemcpyHostToDevice	? COPY_IN
		  : (int)kind == cudaMemcpyDeviceToHost ? COPY_OUT
							: COPY_WITHIN;
	pthread_mutex_lock(&fake_lock);
	if (op.kind != COPY_WITHIN)
		host = fake_host_kind(op.kind == COPY_IN ? from : to, bytes);
	if (allowed(&op, host))
		error = put(s, &op);
	if (error == cudaSuccess && host == FAKE_PAGEABLE)
		settle(s);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaMemsetAsync(void *data, int value, size_t bytes, cudaStream_t s)
{
	const struct op op = {
		.kind = CLEAR, .to = data, .bytes = bytes, .value = (unsigned char)value};
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (fake_memory_alias(data, bytes))
		error = put(s, &op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- Kernels ------------------------------------------------------------------------------ */

FAKE_EXPORT cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code,
	enum cudaJitOption *jit_options, void **jit_values, unsigned n_jit,
	enum cudaLibraryOption *options, void **values, unsigned n_options)
{
	FAKE_ENTER();
	*library = (cudaLibrary_t)events;
	return fake_done(code ? cudaSuccess : cudaErrorInvalidValue);
}

FAKE_EXPORT cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaLibraryGetKernel(
	cudaKernel_t *ret_kernel, cudaLibrary_t library, const char *name)
{
	const struct fake_kernel *k = fake_kernel_find(name);

	FAKE_ENTER();
	*ret_kernel = (cudaKernel_t)k;
	return fake_done(k ? cudaSuccess : cudaErrorSymbolNotFound);
}

FAKE_EXPORT cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block,
	void **arguments, size_t shared_bytes, cudaStream_t s)
{
	const struct fake_kernel *k = kernel;
	struct op op = {.kind = KERNEL, .kernel = k};
	cudaError_t error;

	FAKE_ENTER();
	if (grid.x == 0 || grid.y == 0 || block.x == 0 || block.x * block.y * block.z > 1024)
		return fake_done(cudaErrorInvalidConfiguration);
	for (unsigned i = 0; i < k->n_arguments; i++)
		memcpy(op.arguments[i], arguments[i], k->sizes[i]);
	pthread_mutex_lock(&fake_lock);
	error = put(s, &op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- Graphs ------------------------------------------------------------------------------- */

static void drop_graph(struct CUgraph_st *g)
{
	while (g->first) {
		struct op *op = g->first;

		g->first = op->next;
		free(op);
	}
	free(g);
}

static cudaError_t append(struct CUgraph_st *g, const struct op *like)
{
	struct op *op = malloc(sizeof(*op));

	if (!op)
		return cudaErrorMemoryAllocation;
	*op = *like;
	op->next = NULL;
	*g->end = op;
	g->end = &op->next;
	return cudaSuccess;
}

static struct CUgraph_st *make_graph(void)
{
	struct CUgraph_st *g = calloc(1, sizeof(*g));

	if (g)
		g->end = &g->first;
	return g;
}

FAKE_EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (s->recorded)
		error = cudaErrorInvalidValue;
	else if (!(s->recorded = make_graph()))
		error = cudaErrorMemoryAllocation;
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *ret_graph)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	*ret_graph = s->recorded;
	s->recorded = NULL;
	error = *ret_graph ? cudaSuccess : cudaErrorStreamCaptureUnmatched;
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* What is made of a graph outlives it. */
FAKE_EXPORT cudaError_t cudaGraphInstantiate(
	cudaGraphExec_t *ret_exec, cudaGraph_t g, unsigned long long flags)
{
	struct CUgraph_st *copy = make_graph();
	cudaError_t error = copy ? cudaSuccess : cudaErrorMemoryAllocation;

	FAKE_ENTER();
	for (const struct op *op = g->first; op && error == cudaSuccess; op = op->next)
		error = append(copy, op);
	*ret_exec = (cudaGraphExec_t)copy;
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
	const struct CUgraph_st *g = (const struct CUgraph_st *)exec;
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	fake_log(s, "graph", "");
	for (const struct op *op = g->first; op && error == cudaSuccess; op = op->next)
		error = put(s, op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
	drop_graph(g);
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	drop_graph((struct CUgraph_st *)exec);
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

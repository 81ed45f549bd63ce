/*
 * fake_stream.c: streams: a thread each that does what it was given, in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/fakecuda/fake_stream.h"

#define STREAMS_MAX 64u

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
	void *to = op->kind == COPY_OUT ? op->to : fake_memory_alias(op->to, op->bytes, true);
	const void *from =
		op->kind == COPY_IN ? op->from : fake_memory_alias(op->from, op->bytes, false);

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
	void *to = fake_memory_alias(op->to, op->bytes, true);

	if (to)
		memset(to, (int)op->value, op->bytes);
	else
		fake_stick(cudaErrorIllegalAddress);
}

/* A kernel that gets a pointer to nowhere faults as on a GPU. */
static void run_kernel(const struct op *op)
{
	const void *arguments[FAKE_ARGUMENTS_MAX];
	void *aliases[FAKE_ARGUMENTS_MAX];

	for (unsigned i = 0; i < op->kernel->n_arguments; i++) {
		void *p;

		arguments[i] = op->arguments[i];
		memcpy(&p, op->arguments[i], sizeof(p));
		if (op->kernel->sizes[i] != sizeof(p) || !fake_is_device(p))
			continue;
		aliases[i] = fake_memory_alias(p, 1, false);
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
		fake_event_reach(op->event, op->value);
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

void fake_settle(const struct CUstream_st *s)
{
	while ((s->first || s->busy) && fake_stuck() == cudaSuccess)
		pthread_cond_wait(&fake_changed, &fake_lock);
}

void fake_streams_settle(void)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (streams[i].used)
			fake_settle(&streams[i]);
	}
}

FAKE_EXPORT void fakecuda_resume(void)
{
	pthread_mutex_lock(&fake_lock);
	fake.stall = false;
	pthread_cond_broadcast(&fake_changed);
	pthread_mutex_unlock(&fake_lock);
}

cudaError_t fake_put(struct CUstream_st *s, const struct op *like)
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
	fake_events_reset();
	memset(&meeting, 0, sizeof(meeting));
}

FAKE_EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	fake_settle(s);
	error = fake_stuck();
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* fake_event.c: events, which come to pass when their streams get there. */
#include <string.h>
#include <time.h>

#include "tests/support/fakecuda/fake_stream.h"

#define EVENTS_MAX 1024u

/* Never given back: a stream may still name an event that was destroyed. */
static struct CUevent_st events[EVENTS_MAX];

void fake_events_reset(void)
{
	memset(events, 0, sizeof(events));
}

void fake_event_reach(struct CUevent_st *e, uint64_t n)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	e->reached = n;
	e->reached_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static cudaError_t time_between(const struct CUevent_st *start, const struct CUevent_st *end)
{
	if (!start->timed || !end->timed || start->recorded == 0 || end->recorded == 0)
		return cudaErrorInvalidResourceHandle;
	if (start->reached < start->recorded || end->reached < end->recorded)
		return cudaErrorNotReady;
	return fake_stuck();
}

FAKE_EXPORT cudaError_t cudaEventElapsedTime(float *ret_ms, cudaEvent_t start, cudaEvent_t end)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = time_between(start, end);
	if (error == cudaSuccess)
		*ret_ms = (float)((double)(int64_t)(end->reached_ns - start->reached_ns) / 1e6);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

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
		events[i].timed = !(flags & cudaEventDisableTiming);
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
	error = fake_put(s, &(struct op){.kind = RECORD, .event = e, .value = e->recorded});
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
	error = fake_put(s, &(struct op){.kind = WAIT, .event = e, .value = e->recorded});
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

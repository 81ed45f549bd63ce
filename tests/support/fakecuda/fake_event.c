/* fake_event.c: events, which come to pass when their streams get there. */
#include <string.h>

#include "tests/support/fakecuda/fake_stream.h"

#define EVENTS_MAX 1024u

/* Never given back: a stream may still name an event that was destroyed. */
static struct CUevent_st events[EVENTS_MAX];

void fake_events_reset(void)
{
	memset(events, 0, sizeof(events));
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

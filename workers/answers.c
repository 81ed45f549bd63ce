/*
 * answers.c: the record that is being put together. Worker process, any thread: the lock is held
 * while a record is sent, so that records leave in the order in which their messages were added.
 */
#include "workers/answers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/seqpacket.h"

struct answers {
	pthread_mutex_t lock;
	int channel_fd;		      /* borrow */
	struct wire_scratch *scratch; /* own */
	uint8_t *record;	      /* own: WIRE_MESSAGE_MAX bytes */
	size_t n;
	_Atomic uint64_t since_ns; /* when the first of them was added; 0: nothing waits */
};

int answers_new(struct answers **ret_answers, int channel_fd)
{
	_cleanup_(answers_freep) struct answers *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	a->channel_fd = channel_fd;
	a->record = malloc(WIRE_MESSAGE_MAX);
	if (!a->record)
		return -ENOMEM;
	r = wire_scratch_new(&a->scratch);
	if (r)
		return r;
	*ret_answers = steal_ptr(a);
	return 0;
}

struct answers *answers_free(struct answers *a)
{
	if (!a)
		return NULL;
	wire_scratch_free(a->scratch);
	free(a->record);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

static int flush(struct answers *a)
{
	size_t n = a->n;

	a->n = 0;
	a->since_ns = 0;
	return n > 0 ? seqpacket_send(a->channel_fd, a->record, n, NULL, 0, 0) : 0;
}

static int add(struct answers *a, const struct wire_message *m, const int *fds, size_t n_fds)
{
	const uint8_t *data;
	size_t n;
	int r = wire_pack(a->scratch, m, &data, &n);

	if (!r && (n_fds > 0 || n > WIRE_MESSAGE_MAX - a->n))
		r = flush(a);
	if (r)
		return r;
	if (n_fds > 0)
		return seqpacket_send(a->channel_fd, data, n, fds, n_fds, 0);
	memcpy(a->record + a->n, data, n);
	if (a->n == 0)
		a->since_ns = clock_ns();
	a->n += n;
	return 0;
}

int answers_add(struct answers *a, const struct wire_message *m, bool now)
{
	int r;

	pthread_mutex_lock(&a->lock);
	r = add(a, m, NULL, 0);
	if (!r && now)
		r = flush(a);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int answers_send(struct answers *a, const struct wire_message *m, const int *fds, size_t n_fds)
{
	int r;

	pthread_mutex_lock(&a->lock);
	r = add(a, m, fds, n_fds);
	if (!r)
		r = flush(a);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int answers_flush(struct answers *a)
{
	int r;

	/* Who added something and left it there is this thread, or one that it waits for. */
	if (a->since_ns == 0)
		return 0;
	pthread_mutex_lock(&a->lock);
	r = flush(a);
	pthread_mutex_unlock(&a->lock);
	return r;
}

uint64_t answers_since(const struct answers *a)
{
	return a->since_ns;
}

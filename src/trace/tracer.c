/*
 * tracer.c: a ring that the loop's thread puts spans into and a thread of ours takes them from, without a lock: the one never waits for
 * the other.
 *
 * Invariants: taken <= put <= taken + max_queued_spans; spans[taken .. put) are the sender's to read, all others the loop's to
 * write. `put` is written by the loop's thread alone, `taken` by the sender's.
 */
#include "trace/tracer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "trace/otlp.h"
#include "trace/poster.h"

#define BATCH_MAX     512u /* spans of one request */
#define BODY_MAX      ((size_t)4 << 20)
#define HOST_MAX      256u
#define LAST_WORDS_NS NS_PER_S /* for what waits when the daemon ends */

struct tracer {
	const struct trace_settings *settings; /* borrow */
	uint64_t random;		       /* state; the loop's */
	struct trace_span *spans;	       /* own: max_queued_spans */
	_Atomic uint64_t put, taken;
	_Atomic uint64_t sent, dropped, failed;
	_Atomic uint64_t stop_ns; /* when even what waits is given up; 0: it does not end */
	sem_t work;		  /* there is a batch, or the end */
	pthread_t sender;
	/* The sender's. */
	struct poster *poster; /* own */
	struct buf body;
	char host[HOST_MAX];
	bool failing; /* the log has it */
};

/* --- Ids ---------------------------------------------------------------------------------------- */

/* splitmix64: ids must differ, they need not be secret. */
static uint64_t next_random(struct tracer *t)
{
	uint64_t x = t->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Never all zero, which would be none. */
static void make_id(struct tracer *t, uint8_t *id, size_t n)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t x = next_random(t) | 1;

		memcpy(id + i, &x, sizeof(x));
	}
}

static bool chance(struct tracer *t)
{
	return (double)(next_random(t) >> 11) * 0x1p-53 < t->settings->sample_ratio;
}

bool tracer_sample(struct tracer *t, const char *traceparent, struct trace_span *s)
{
	if (traceparent[0]) {
		s->self = traceparent_read(traceparent);
		if (!s->self.sampled)
			return false;
		memcpy(s->parent_id, s->self.span_id, SPAN_ID_BYTES);
		s->has_parent = true;
	} else {
		if (!chance(t))
			return false;
		make_id(t, s->self.trace_id, TRACE_ID_BYTES);
		s->self.sampled = true;
	}
	make_id(t, s->self.span_id, SPAN_ID_BYTES);
	return true;
}

/* --- The queue ---------------------------------------------------------------------------------- */

static uint64_t waiting(const struct tracer *t)
{
	return atomic_load_explicit(&t->put, memory_order_acquire) -
	       atomic_load_explicit(&t->taken, memory_order_acquire);
}

static struct trace_span *span_at(const struct tracer *t, uint64_t i)
{
	return &t->spans[i % t->settings->max_queued_spans];
}

void tracer_submit(struct tracer *t, const struct trace_span *s)
{
	uint64_t n = waiting(t), put = t->put;

	if (n >= t->settings->max_queued_spans) {
		t->dropped++;
		return;
	}
	*span_at(t, put) = *s;
	atomic_store_explicit(&t->put, put + 1, memory_order_release);
	if (n + 1 == BATCH_MAX)
		sem_post(&t->work);
}

struct tracer_counters tracer_counters(const struct tracer *t)
{
	if (!t)
		return (struct tracer_counters){.sent = 0};
	return (struct tracer_counters){
		.sent = t->sent, .dropped = t->dropped, .failed = t->failed};
}

/* --- The sender's thread ------------------------------------------------------------------------ */

static int write_body(struct tracer *t, uint64_t first, uint64_t n)
{
	int r;

	buf_reset(&t->body);
	r = otlp_begin(&t->body, t->host, (long)getpid());
	for (uint64_t i = 0; !r && i < n; i++)
		r = otlp_add(&t->body, span_at(t, first + i), i == 0);
	return r ? r : otlp_end(&t->body);
}

/* A line when it begins to fail, and one when it is well again. */
static void tell(struct tracer *t, int r, const char *why)
{
	char quoted[2 * POSTER_TEXT_MAX];

	if (r && !t->failing)
		log_warning("traces cannot be sent", "endpoint=%s why=%s", t->settings->endpoint,
			log_quote(why, strlen(why), quoted, sizeof(quoted)));
	else if (!r && t->failing)
		log_info("traces are sent again", "endpoint=%s failed=%llu", t->settings->endpoint,
			(unsigned long long)t->failed);
	t->failing = r != 0;
}

/* The oldest that wait, as many as one request has. Sent or not, they are gone. */
static void send_batch(struct tracer *t, uint64_t n)
{
	uint64_t taken = t->taken;
	char why[POSTER_TEXT_MAX] = "";
	int r = write_body(t, taken, n);

	atomic_store_explicit(&t->taken, taken + n, memory_order_release);
	if (r)
		memcpy(why, "out of memory", sizeof("out of memory"));
	else
		r = poster_send(t->poster, t->body.data, t->body.len, why);
	if (r)
		t->failed += n;
	else
		t->sent += n;
	if (r != -ECANCELED)
		tell(t, r, why);
}

/* Until there is a batch, or the interval is over. */
static void wait_for_work(struct tracer *t)
{
	uint64_t until_ns = clock_ns() + t->settings->export_interval_ms * NS_PER_MS;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};

	while (sem_clockwait(&t->work, CLOCK_MONOTONIC, &until) && errno == EINTR)
		;
}

static void *run(void *data)
{
	struct tracer *t = data;
	bool ends = false;

	while (!ends) {
		wait_for_work(t);
		ends = t->stop_ns != 0;
		for (uint64_t n; (n = waiting(t)) > 0;) {
			if (t->stop_ns && clock_ns() >= t->stop_ns)
				break;
			send_batch(t, n < BATCH_MAX ? n : BATCH_MAX);
			if (n < BATCH_MAX)
				break;
		}
	}
	return NULL;
}

/* Signals are the loop's. */
static int start(struct tracer *t)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->sender, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int tracer_new(struct tracer **ret_tracer, const struct trace_settings *settings)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	t->settings = settings;
	buf_init(&t->body, BODY_MAX);
	if (getrandom(&t->random, sizeof(t->random), GRND_NONBLOCK) < 0)
		t->random = clock_wall_ns();
	if (gethostname(t->host, sizeof(t->host) - 1))
		t->host[0] = '\0';
	t->spans = calloc(settings->max_queued_spans, sizeof(*t->spans));
	if (!t->spans)
		r = -ENOMEM;
	if (!r)
		r = poster_new(
			&t->poster, settings->endpoint, settings->export_timeout_ms, &t->stop_ns);
	if (!r && sem_init(&t->work, 0, 0))
		r = -errno;
	if (!r)
		r = start(t);
	if (!r) {
		*ret_tracer = t;
		return 0;
	}
	poster_free(t->poster);
	free(t->spans);
	free(t);
	return r;
}

struct tracer *tracer_free(struct tracer *t)
{
	if (!t)
		return NULL;
	t->stop_ns = clock_ns() + LAST_WORDS_NS;
	sem_post(&t->work);
	pthread_join(t->sender, NULL);
	sem_destroy(&t->work);
	poster_free(t->poster);
	buf_deinit(&t->body);
	free(t->spans);
	free(t);
	return NULL;
}

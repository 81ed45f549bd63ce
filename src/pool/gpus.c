/*
 * gpus.c: a thread that looks, and the last of what it saw, under a lock. The object belongs to two,
 * the daemon and its thread, and goes with the last of them.
 */
#include "pool/gpus.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "base/signals.h"

#define PERIOD_S 2

struct gpus {
	pthread_mutex_t lock;
	pthread_cond_t stopping;
	unsigned owners;
	bool stops;
	size_t n;
	struct nvml_gpu list[NVML_GPUS_MAX];
};

static void release(struct gpus *g)
{
	unsigned left;

	pthread_mutex_lock(&g->lock);
	left = --g->owners;
	pthread_mutex_unlock(&g->lock);
	if (left > 0)
		return;
	pthread_cond_destroy(&g->stopping);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* What has changed that somebody should know. */
static void warn(const struct nvml_gpu *before, const struct nvml_gpu *now)
{
	if (now->last_xid != before->last_xid)
		log_warning("a GPU reports a critical error", "gpu=%s bus=%s xid=%lld", now->uuid,
			now->bus, (long long)now->last_xid);
	if (now->recovery_action > 0 && now->recovery_action != before->recovery_action)
		log_error("a GPU asks for help before it can be used again",
			"gpu=%s bus=%s recovery_action=%lld (1: reset it, 2: reboot, 3: drain, 4: "
			"drain and reset)",
			now->uuid, now->bus, (long long)now->recovery_action);
}

static void look(struct gpus *g, struct nvml *n)
{
	for (size_t i = 0; i < nvml_count(n); i++) {
		struct nvml_gpu now, before = {.recovery_action = 0, .last_xid = NVML_UNKNOWN};

		(void)nvml_read(n, i, &now);
		pthread_mutex_lock(&g->lock);
		if (g->n > i)
			before = g->list[i];
		g->list[i] = now;
		g->n = g->n > i ? g->n : i + 1;
		pthread_mutex_unlock(&g->lock);
		warn(&before, &now);
	}
}

/* True: time to look again. */
static bool pause_between(struct gpus *g)
{
	struct timespec until;
	bool stops;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PERIOD_S;
	pthread_mutex_lock(&g->lock);
	while (!g->stops && r == 0)
		r = pthread_cond_timedwait(&g->stopping, &g->lock, &until);
	stops = g->stops;
	pthread_mutex_unlock(&g->lock);
	return !stops;
}

static void *gpus_main(void *arg)
{
	_cleanup_(nvml_closep) struct nvml *n = NULL;
	struct gpus *g = arg;
	int r = nvml_open(&n);

	if (r)
		log_info("no figures of GPUs", "library=libnvidia-ml.so.1 error=\"%s\"",
			r == -ENOENT ? "it is not here" : err_str(r));
	while (!r) {
		look(g, n);
		if (!pause_between(g))
			break;
	}
	n = nvml_close(n);
	release(g);
	return NULL;
}

static void init(struct gpus *g)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&g->stopping, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&g->lock, NULL);
	g->owners = 2;
}

static int start_thread(struct gpus *g)
{
	sigset_t before;
	pthread_t thread;
	int r;

	signals_block(&before);
	r = -pthread_create(&thread, NULL, gpus_main, g);
	signals_restore(&before);
	if (!r)
		pthread_detach(thread);
	return r;
}

int gpus_new(struct gpus **ret_gpus)
{
	struct gpus *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	init(g);
	r = start_thread(g);
	if (r) {
		g->owners = 1;
		release(g);
		return r;
	}
	*ret_gpus = g;
	return 0;
}

struct gpus *gpus_free(struct gpus *g)
{
	if (!g)
		return NULL;
	pthread_mutex_lock(&g->lock);
	g->stops = true;
	pthread_cond_signal(&g->stopping);
	pthread_mutex_unlock(&g->lock);
	release(g);
	return NULL;
}

size_t gpus_read(struct gpus *g, struct nvml_gpu *ret_list, size_t cap)
{
	size_t n = 0;

	if (!g)
		return 0;
	pthread_mutex_lock(&g->lock);
	n = g->n;
	if (cap > 0)
		memcpy(ret_list, g->list, (n < cap ? n : cap) * sizeof(*ret_list));
	pthread_mutex_unlock(&g->lock);
	return n;
}

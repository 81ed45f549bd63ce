/*
 * gpus.c: a thread that looks, and the last of what it saw, under a lock. The object belongs to two,
 * the daemon and its thread, and goes with the last of them.
 */
#include "pool/gpus.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/digits.h"
#include "base/err.h"
#include "base/log.h"
#include "base/signals.h"
#include "pool/environment.h"

#define PERIOD_S 2

struct gpus {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned owners;
	bool stops;
	bool blind;		  /* nothing can be seen */
	uint64_t asked, answered; /* looks, by number */
	void (*on_look)(void *data);
	void *data; /* borrow */
	size_t n;
	struct nvml_gpu list[NVML_GPUS_MAX];
	struct nvml_instances instances[NVML_GPUS_MAX];
};

static void release(struct gpus *g)
{
	unsigned left;

	pthread_mutex_lock(&g->lock);
	left = --g->owners;
	pthread_mutex_unlock(&g->lock);
	if (left > 0)
		return;
	pthread_cond_destroy(&g->changed);
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

/* Where none are seen those before stay: a GPU that waits for its reset may say nothing of them any more. */
static void look_inside(struct gpus *g, struct nvml *n, size_t i)
{
	struct nvml_instances now;

	nvml_read_instances(n, i, &now);
	if (now.n == 0)
		return;
	pthread_mutex_lock(&g->lock);
	g->instances[i] = now;
	pthread_mutex_unlock(&g->lock);
}

static void look(struct gpus *g, struct nvml *n)
{
	for (size_t i = 0; i < nvml_count(n); i++) {
		struct nvml_gpu now, before = {.recovery_action = 0, .last_xid = NVML_UNKNOWN};

		(void)nvml_read(n, i, &now);
		look_inside(g, n, i);
		pthread_mutex_lock(&g->lock);
		if (g->n > i)
			before = g->list[i];
		g->list[i] = now;
		g->n = g->n > i ? g->n : i + 1;
		pthread_mutex_unlock(&g->lock);
		warn(&before, &now);
	}
}

/* The look of that number is over. */
static void answer(struct gpus *g, uint64_t look, bool blind)
{
	pthread_mutex_lock(&g->lock);
	g->answered = look;
	g->blind = blind;
	if (g->on_look && !g->stops)
		g->on_look(g->data);
	pthread_mutex_unlock(&g->lock);
}

static uint64_t begin(struct gpus *g)
{
	uint64_t look;

	pthread_mutex_lock(&g->lock);
	look = g->asked;
	pthread_mutex_unlock(&g->lock);
	return look;
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
	while (!g->stops && g->asked == g->answered && r == 0)
		r = pthread_cond_timedwait(&g->changed, &g->lock, &until);
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
	if (r)
		answer(g, UINT64_MAX, true);
	while (!r) {
		uint64_t asked = begin(g);

		look(g, n);
		answer(g, asked, false);
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
	pthread_cond_init(&g->changed, &monotonic);
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

int gpus_new(struct gpus **ret_gpus, void (*on_look)(void *data), void *data)
{
	struct gpus *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	init(g);
	g->on_look = on_look;
	g->data = data;
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
	pthread_cond_signal(&g->changed);
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

/* --- What has to be done ---------------------------------------------------------------------- */

uint64_t gpus_ask(struct gpus *g)
{
	uint64_t look;

	pthread_mutex_lock(&g->lock);
	look = ++g->asked;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return look;
}

bool gpus_answered(struct gpus *g, uint64_t look)
{
	bool answered;

	pthread_mutex_lock(&g->lock);
	answered = g->blind || g->answered >= look;
	pthread_mutex_unlock(&g->lock);
	return answered;
}

/* Is it the GPU that "GPU-..." begins, or that is ahead of the instance in "MIG-GPU-uuid/1/0"? */
static bool has_uuid(const struct nvml_gpu *gpu, const char *name, size_t n)
{
	const char *slash = memchr(name, '/', n);

	if (n > 8 && !strncmp(name, "MIG-GPU-", 8)) {
		name += 4;
		n = (slash ? (size_t)(slash - name) : n - 4);
	}
	return n > 4 && !strncmp(name, "GPU-", 4) && !strncmp(gpu->uuid, name, n);
}

/* Numbers go by PCI address, here and in a worker. NULL: it is not known. The lock is held. */
static const struct nvml_gpu *find(const struct gpus *g, const char *device)
{
	size_t n;
	const char *name = environment_visible(device, &n);
	char text[96];
	uint64_t number;

	snprintf(text, sizeof(text), "%.*s", (int)n, name);
	if (!decimal_parse(text, &number))
		return number < g->n ? &g->list[number] : NULL;
	for (size_t i = 0; i < g->n; i++) {
		if (has_uuid(&g->list[i], name, n))
			return &g->list[i];
	}
	return NULL;
}

static bool has_instance(const struct nvml_instances *s, const char *name, size_t n)
{
	for (size_t i = 0; n > 4 && i < s->n; i++) {
		if (!strncmp(s->uuids[i], name, n))
			return true;
	}
	return false;
}

/* The GPU that the device is, or is an instance of. NULL: it is not known. The lock is held. */
static const struct nvml_gpu *find_whole(const struct gpus *g, const char *device)
{
	const struct nvml_gpu *gpu = find(g, device);
	size_t n;
	const char *name = environment_visible(device, &n);

	for (size_t i = 0; !gpu && i < g->n; i++) {
		if (has_instance(&g->instances[i], name, n))
			gpu = &g->list[i];
	}
	return gpu;
}

int64_t gpus_recovery_action(struct gpus *g, const char *device)
{
	const struct nvml_gpu *gpu;
	int64_t action;

	if (!g)
		return NVML_UNKNOWN;
	pthread_mutex_lock(&g->lock);
	gpu = find_whole(g, device);
	action = gpu ? gpu->recovery_action : NVML_UNKNOWN;
	pthread_mutex_unlock(&g->lock);
	return action;
}

bool gpus_same(struct gpus *g, const char *device, const char *other)
{
	const struct nvml_gpu *gpu;
	bool same;

	if (!g)
		return false;
	pthread_mutex_lock(&g->lock);
	gpu = find(g, device);
	same = gpu && gpu == find(g, other);
	pthread_mutex_unlock(&g->lock);
	return same;
}

const char *gpus_action_text(int64_t action)
{
	static const char *const actions[] = {"", "a reset of the GPU (recovery action 1)",
		"a reboot of this host (recovery action 2)",
		"a drain of its links to others (recovery action 3)",
		"a drain and a reset of the GPU (recovery action 4)"};
	int64_t n = sizeof(actions) / sizeof(actions[0]);

	if (action <= 0)
		return "";
	return action < n ? actions[action] : "a recovery action that is not known here";
}

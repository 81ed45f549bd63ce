/* quarantine.c: when to ask, how long to wait for the answer, and what it means. Daemon process, loop thread. */
#include "pool/quarantine.h"

#include "base/clock.h"
#include "base/device_name.h"
#include "base/log.h"
#include "pool/gpus.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

/* A driver that is busy with a broken GPU may say nothing at all: the new process finds out. */
#define WAIT_NS (UINT64_C(2) * NS_PER_S)

static bool is_on_gpu(const struct worker *w)
{
	return w->pool->gpus && device_name_gpu(w->device);
}

void quarantine_ask(struct worker *w, uint64_t now_ns)
{
	if (!is_on_gpu(w))
		return;
	w->look = gpus_ask(w->pool->gpus);
	w->look_by_ns = clock_add(now_ns, WAIT_NS);
}

/* What is not known is no reason to begin, nor to end. */
static void judge(struct worker *w)
{
	int64_t action = gpus_recovery_action(w->pool->gpus, w->device);

	if (action == NVML_UNKNOWN || (action > 0) == (w->quarantine > 0))
		return;
	w->quarantine = action;
	if (action > 0)
		log_error("a GPU is in quarantine", "worker=%s device=%s action=\"%s\"", w->name,
			w->device, gpus_action_text(action));
	else
		log_info("a GPU may be used again", "worker=%s device=%s", w->name, w->device);
}

bool quarantine_keeps(struct worker *w, uint64_t now_ns)
{
	if (!is_on_gpu(w))
		return false;
	w->awaits_look =
		w->look > 0 && !gpus_answered(w->pool->gpus, w->look) && now_ns < w->look_by_ns;
	if (w->awaits_look) {
		w->restart_at_ns = w->look_by_ns;
		return true;
	}
	judge(w);
	w->awaits_look = w->quarantine > 0;
	if (w->awaits_look)
		w->restart_at_ns = 0;
	return w->awaits_look;
}

bool quarantine_look(struct worker *w, uint64_t now_ns)
{
	if (!w->awaits_look || w->state != WORKER_REAPED)
		return false;
	w->awaits_look = false;
	w->restart_at_ns = now_ns;
	return true;
}

/*
 * lifecycle_poll.c: the files say which models there are ([models] control = poll). They are read again when
 * something below the repositories has changed, and after a while in any case. Daemon process, loop thread.
 *
 * A change counts when it is complete: when a model's files were the same in two readings, one after the other.
 */
#include "base/err.h"
#include "base/log.h"
#include "models/lifecycle_private.h"

/* A repository, its models and their versions. */
#define WATCH_DEPTH 2u

static void on_timer(uv_timer_t *timer)
{
	struct lifecycle *l = timer->data;

	l->ask_poll(l);
}

static void arm(struct lifecycle *l, uint64_t wait_ms)
{
	/* Changes without end must not put off reading them. */
	if (!uv_is_active((uv_handle_t *)&l->poll_timer) ||
		uv_timer_get_due_in(&l->poll_timer) > wait_ms)
		uv_timer_start(&l->poll_timer, on_timer, wait_ms, 0);
}

static void on_change(void *data)
{
	struct lifecycle *l = data;

	arm(l, l->settings->settle_ms);
}

void lifecycle_poll_init(struct lifecycle *l, void (*ask_poll)(struct lifecycle *l))
{
	int r;

	l->ask_poll = ask_poll;
	uv_timer_init(l->loop, &l->poll_timer);
	l->poll_timer.data = l;
	l->watch.fd = -1;
	if (l->settings->control != MODELS_CONTROL_POLL)
		return;
	r = watch_init(&l->watch, l->loop, on_change, l);
	if (r)
		log_warning("changes of files are not heard of: they are looked for",
			"interval_ms=%llu error=%s",
			(unsigned long long)l->settings->poll_interval_ms, err_str(r));
	arm(l, 0); /* from now on what changes is heard of */
}

void lifecycle_poll_watch(const struct lifecycle *l)
{
	const char *const *repositories = l->settings->repositories;

	for (size_t i = 0; l->watch.fd >= 0 && repositories[i]; i++)
		watch_directory(&l->watch, repositories[i], WATCH_DEPTH);
}

void lifecycle_poll_next(struct lifecycle *l, bool moving)
{
	if (l->settings->control == MODELS_CONTROL_POLL)
		arm(l, moving ? l->settings->settle_ms : l->settings->poll_interval_ms);
}

void lifecycle_poll_stop(struct lifecycle *l)
{
	watch_close(&l->watch);
	uv_close((uv_handle_t *)&l->poll_timer, NULL);
}

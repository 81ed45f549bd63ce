/*
 * lifecycle_retry.c: what could not be loaded is tried again: after a second, then after twice as long each time,
 * up to five minutes. Daemon process, loop thread.
 */
#include <stdlib.h>

#include "base/log.h"
#include "dispatch/version.h"
#include "models/lifecycle_private.h"

#define FIRST_MS UINT64_C(1000)
#define LAST_MS	 UINT64_C(300000)

struct retry {
	struct list node;
	struct version *version; /* ref */
	uint64_t wait_ms;	 /* before the next time */
	uint64_t at_ms;		 /* of the loop's clock; 0: it is being tried */
};

#define RETRY(at) list_entry(at, struct retry, node)

static struct retry *find(struct lifecycle *l, const struct version *v)
{
	list_for_each (&l->retries, node) {
		if (RETRY(node)->version == v)
			return RETRY(node);
	}
	return NULL;
}

static void drop(struct retry *r)
{
	list_remove(&r->node);
	version_unref(r->version);
	free(r);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct lifecycle *l)
{
	uint64_t first_ms = UINT64_MAX;
	uint64_t now_ms = uv_now(l->loop);

	list_for_each (&l->retries, node) {
		if (RETRY(node)->at_ms && RETRY(node)->at_ms < first_ms)
			first_ms = RETRY(node)->at_ms;
	}
	if (first_ms < UINT64_MAX)
		uv_timer_start(
			&l->retry_timer, on_timer, first_ms > now_ms ? first_ms - now_ms : 0, 0);
	else
		uv_timer_stop(&l->retry_timer);
}

static void on_timer(uv_timer_t *timer)
{
	struct lifecycle *l = timer->data;
	uint64_t now_ms = uv_now(l->loop);

	list_for_each (&l->retries, node) {
		struct retry *r = RETRY(node);

		if (!r->at_ms || r->at_ms > now_ms)
			continue;
		r->at_ms = 0;
		log_debug("model is tried again", "model=%s version=%s",
			version_settings(r->version)->name, version_settings(r->version)->version);
		version_retry(r->version);
	}
	arm(l);
}

static void schedule(struct lifecycle *l, struct retry *r)
{
	r->at_ms = uv_now(l->loop) + r->wait_ms;
	r->wait_ms = r->wait_ms * 2 < LAST_MS ? r->wait_ms * 2 : LAST_MS;
	arm(l);
}

static struct retry *make(struct lifecycle *l, struct version *v)
{
	struct retry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL; /* the next failure, or a worker's restart, tries again */
	r->version = version_ref(v);
	r->wait_ms = FIRST_MS;
	list_push_back(&l->retries, &r->node);
	return r;
}

void lifecycle_retry_note(struct lifecycle *l, struct version *v)
{
	struct retry *r = find(l, v);

	if (version_workers_failed(v) > 0 && !version_retired(v)) {
		r = r ? r : make(l, v);
		if (r && !r->at_ms)
			schedule(l, r);
	} else if (r && (version_retired(v) || version_ready(v))) {
		drop(r);
	}
}

void lifecycle_retry_drop(struct lifecycle *l, const struct version *v)
{
	struct retry *r = find(l, v);

	if (r)
		drop(r);
}

void lifecycle_retry_stop(struct lifecycle *l)
{
	list_for_each (&l->retries, node)
		drop(RETRY(node));
	uv_close((uv_handle_t *)&l->retry_timer, NULL);
}

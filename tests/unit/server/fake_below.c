/* fake_below.c: a dispatch, a handoff and a frontend that do nothing, after as many iterations as wanted. */
#include "fake_below.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "handoff/handoff.h"
#include "metrics/metrics.h"
#include "pool/pool.h"
#include "pool/worker.h"
#include "services/frontend.h"

struct fake_below below;

static void note(const char *what)
{
	size_t n = strlen(below.trace);

	snprintf(below.trace + n, sizeof(below.trace) - n, "%s%s", n ? " " : "", what);
}

/* --- Counting iterations ---------------------------------------------------------------------- */

struct countdown {
	uv_idle_t idle;
	int left; /* -1: not counting */
	void (*on_end)(void *data);
	void *data;
};

static void on_idle(uv_idle_t *h)
{
	struct countdown *c = h->data;

	if (c->left < 0 || c->left-- > 0)
		return;
	uv_idle_stop(h);
	c->on_end(c->data);
}

static void countdown_init(
	struct countdown *c, uv_loop_t *loop, void (*on_end)(void *data), void *data)
{
	*c = (struct countdown){.left = -1, .on_end = on_end, .data = data};
	uv_idle_init(loop, &c->idle);
	c->idle.data = c;
}

static void countdown_start(struct countdown *c, int n)
{
	c->left = n;
	if (n >= 0)
		uv_idle_start(&c->idle, on_idle);
}

/* --- dispatch ---------------------------------------------------------------------------------- */

struct dispatch {
	struct countdown end;
	struct countdown start;
	const struct dispatch_events *events;
	void *data;
	int n_open;
};

static void dispatch_drained(void *data)
{
	struct dispatch *d = data;

	note("dispatch_drained");
	d->events->on_drained(d->data);
}

static void dispatch_started(void *data)
{
	struct dispatch *d = data;

	d->events->on_version(d->data, dispatch_version(d, 0));
	d->events->on_started(d->data);
	if (below.on_serving)
		below.on_serving();
}

int dispatch_new(struct dispatch **ret_dispatch, uv_loop_t *loop,
	const struct dispatch_settings *settings, const struct version_settings *models,
	size_t n_models, const struct pool_settings *pool_settings,
	const struct dispatch_events *events, void *data)
{
	struct dispatch *d;

	if (below.dispatch_new_error)
		return below.dispatch_new_error;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->events = events;
	d->data = data;
	countdown_init(&d->end, loop, dispatch_drained, d);
	countdown_init(&d->start, loop, dispatch_started, d);
	d->n_open = 2;
	*ret_dispatch = d;
	return 0;
}

int dispatch_start(struct dispatch *d)
{
	note("dispatch_start");
	if (below.dispatch_start_error)
		return below.dispatch_start_error;
	countdown_start(&d->start, 1);
	return 0;
}

void dispatch_drain(struct dispatch *d)
{
	note("dispatch_drain");
	countdown_start(&d->end, below.dispatch_takes);
}

struct pool *dispatch_pool(const struct dispatch *d)
{
	return NULL;
}

void pool_set_invite(struct pool *p, int (*invite)(void *data, int *ret_fd), void *data)
{
}

int pool_set_sandbox(struct pool *p, const char *const *sandbox, bool wider)
{
	return 0;
}

bool pool_has_process(const struct pool *p, int pid)
{
	return false;
}

void dispatch_kill(struct dispatch *d)
{
	note("dispatch_kill");
	if (below.frontend_holds)
		countdown_start(below.frontend_holds, 0);
	uv_idle_stop(&d->start.idle);
	countdown_start(&d->end, below.dispatch_takes < 0 ? 0 : below.dispatch_takes);
}

static void on_dispatch_closed(uv_handle_t *h)
{
	struct countdown *c = h->data;
	struct dispatch *d = c->data;

	if (--d->n_open == 0)
		free(d);
}

struct dispatch *dispatch_free(struct dispatch *d)
{
	if (!d)
		return NULL;
	note("dispatch_free");
	uv_close((uv_handle_t *)&d->end.idle, on_dispatch_closed);
	uv_close((uv_handle_t *)&d->start.idle, on_dispatch_closed);
	return NULL;
}

uint64_t dispatch_lone_ns(const struct dispatch *d)
{
	return UINT64_MAX;
}

uint64_t dispatch_activity(const struct dispatch *d)
{
	return 0;
}

void dispatch_schedule(struct dispatch *d)
{
}

size_t dispatch_n_models(const struct dispatch *d)
{
	return below.n_versions;
}

size_t dispatch_n_versions(const struct dispatch *d)
{
	return below.n_versions;
}

struct version *dispatch_version(const struct dispatch *d, size_t i)
{
	return &below.versions[i];
}

int dispatch_add_version(struct dispatch *d, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version)
{
	*ret_version = &below.versions[0];
	below.n_added++;
	return 0;
}

bool dispatch_is_demanded(const struct dispatch *d, const char *model)
{
	return false;
}

void dispatch_supply(
	struct dispatch *d, const char *name, enum grpc_status status, const char *text)
{
}

void dispatch_remove_version(struct dispatch *d, struct version *v)
{
}

size_t dispatch_model_versions(
	const struct dispatch *d, const char *name, struct version **list, size_t cap)
{
	return 0;
}

struct version *dispatch_find_number(
	struct dispatch *d, const char *name, size_t n, const char *number, size_t n_number)
{
	return NULL;
}

int dispatch_set_default(struct dispatch *d, const char *name)
{
	return 0;
}

struct version *version_ref(struct version *v)
{
	return v;
}

struct version *version_unref(struct version *v)
{
	return NULL;
}

bool version_retired(const struct version *v)
{
	return false;
}

bool version_hopeful(const struct version *v)
{
	return true;
}

const char *version_detail(const struct version *v)
{
	return "";
}

const char *version_remark(const struct version *v)
{
	return "";
}

void version_stays(struct version *v)
{
}

const struct wire_loaded *version_declared(const struct version *v)
{
	return NULL;
}

uint32_t version_workers_failed(const struct version *v)
{
	return 0;
}

void version_retry(struct version *v)
{
}

const struct version_settings *version_settings(const struct version *v)
{
	return &v->settings;
}

const struct version *version_replaces(const struct version *v)
{
	return NULL;
}

uint32_t version_n_requests(const struct version *v)
{
	return 0;
}

uint64_t version_memory_bytes(const struct version *v, const char *device)
{
	return 0;
}

const struct version_counters *version_counters(const struct version *v)
{
	static const struct version_counters none;

	return &none;
}

bool version_ready(const struct version *v)
{
	return true;
}

/* --- handoff ----------------------------------------------------------------------------------- */

struct handoff {
	const struct handoff_events *events;
	void *data;
	int left; /* flushes until it is drained; -1: not draining */
};

int handoff_new(struct handoff **ret_handoff, uv_loop_t *loop,
	const struct handoff_settings *settings, struct dispatch *dispatch,
	const struct handoff_events *events, void *data)
{
	struct handoff *h;

	if (below.handoff_new_error)
		return below.handoff_new_error;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	*h = (struct handoff){.events = events, .data = data, .left = -1};
	*ret_handoff = h;
	return 0;
}

int handoff_listen(struct handoff *h, char *text, size_t cap)
{
	snprintf(text, cap, "socket=x");
	return below.handoff_listen_error;
}

int handoff_invite(struct handoff *h, int *ret_fd)
{
	return -ESHUTDOWN;
}

void handoff_dismiss(struct handoff *h)
{
}

void handoff_drain(struct handoff *h)
{
	h->left = below.handoff_takes;
}

void handoff_kill(struct handoff *h)
{
	h->left = 0;
}

void handoff_flush(struct handoff *h)
{
	if (h->left < 0 || h->left-- > 0)
		return;
	if (below.handoff_takes)
		note("handoff_drained");
	h->events->on_drained(h->data);
}

struct handoff *handoff_free(struct handoff *h)
{
	free(h);
	return NULL;
}

/* --- frontend ---------------------------------------------------------------------------------- */

struct frontend {
	struct countdown end;
	const struct frontend_events *events;
	void *data;
};

static void frontend_drained(void *data)
{
	struct frontend *f = data;

	note("frontend_drained");
	f->events->on_drained(f->data);
}

int frontend_new(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data)
{
	struct frontend *f;

	if (below.frontend_new_error)
		return below.frontend_new_error;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->events = events;
	f->data = data;
	countdown_init(&f->end, loop, frontend_drained, f);
	*ret_frontend = f;
	return 0;
}

int frontend_listen(struct frontend *f, char *text, size_t cap)
{
	note("listen");
	snprintf(text, cap, "address=x");
	return below.listen_error;
}

const char *frontend_address(const struct frontend *f, size_t i)
{
	return i == 0 ? "127.0.0.1:1" : NULL;
}

void frontend_set_serving(struct frontend *f, bool serving)
{
	note(serving ? "serving" : "not_serving");
}

void frontend_set_handoff(struct frontend *f, struct handoff *h)
{
}

void handoff_set_tracer(struct handoff *h, struct tracer *t)
{
	(void)h;
	(void)t;
}

void frontend_set_polls(struct frontend *f, const struct busy_poll *polls, size_t n)
{
	(void)f;
	(void)polls;
	(void)n;
}

void frontend_set_tracer(struct frontend *f, struct tracer *t)
{
	(void)f;
	(void)t;
}

void frontend_set_log(struct frontend *f, struct log_ring *log)
{
	(void)f;
	(void)log;
}

void frontend_set_spool(struct frontend *f, struct spool *s)
{
}

void frontend_set_lifecycle(struct frontend *f, struct lifecycle *l)
{
}

void frontend_model_changed(struct frontend *f, struct version *m)
{
	note("model_changed");
}

void frontend_drain(struct frontend *f)
{
	note("frontend_drain");
	countdown_start(&f->end, below.frontend_takes);
	if (below.frontend_waits_for_dispatch)
		below.frontend_holds = &f->end;
	if (below.on_draining)
		below.on_draining();
}

void frontend_kill(struct frontend *f)
{
	note("frontend_kill");
	countdown_start(&f->end, below.frontend_takes < 0 ? 0 : below.frontend_takes);
}

void frontend_flush(struct frontend *f)
{
}

uint32_t frontend_n_calls(const struct frontend *f)
{
	return 0;
}

static void on_frontend_closed(uv_handle_t *h)
{
	struct countdown *c = h->data;

	free(c->data);
}

struct frontend *frontend_free(struct frontend *f)
{
	if (!f)
		return NULL;
	note("frontend_free");
	uv_close((uv_handle_t *)&f->end.idle, on_frontend_closed);
	return NULL;
}

/* --- metrics ----------------------------------------------------------------------------------- */

struct metrics {
	char unused;
};

int metrics_new(struct metrics **ret_metrics, uv_loop_t *loop, const struct http_settings *settings,
	const struct metrics_sources *sources)
{
	if (below.metrics_new_error)
		return below.metrics_new_error;
	*ret_metrics = calloc(1, sizeof(**ret_metrics));
	return *ret_metrics ? 0 : -ENOMEM;
}

int metrics_listen(struct metrics *m, char *text, size_t cap)
{
	snprintf(text, cap, "address=x");
	return below.metrics_listen_error;
}

struct metrics *metrics_free(struct metrics *m)
{
	free(m);
	return NULL;
}

size_t frontend_sockets(const struct frontend *f, int *fds, size_t cap)
{
	size_t n = 0;

	for (; n < below.n_sockets && n < cap; n++)
		fds[n] = below.sockets[n];
	return n;
}

void frontend_let_go(struct frontend *f)
{
	note("let_go");
}

void frontend_take_over(struct frontend *f)
{
	note("take_over");
}

int handoff_socket(const struct handoff *h)
{
	return -1;
}

void handoff_let_go(struct handoff *h)
{
}

void handoff_take_over(struct handoff *h)
{
}

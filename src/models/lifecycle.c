/*
 * lifecycle.c: the door; what is read on a thread, and when. The thread has `reading` while `busy`, and
 * nothing else; all else: daemon process, loop thread.
 */
#include "models/lifecycle.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/signals.h"
#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"
#include "models/path.h"
#include "models/version_policy.h"

#define WAIT(at) list_entry(at, struct lifecycle_wait, node)
#define TASK(at) list_entry(at, struct task, node)

/* --- Who waits ---------------------------------------------------------------------------------- */

static void answer(struct list *waits, enum lifecycle_code code, const char *text)
{
	struct list *node;

	while ((node = list_first(waits))) {
		list_remove(node);
		WAIT(node)->on_done(WAIT(node), code, text);
	}
}

/* It is DONE. */
static void answer_task(struct task *t)
{
	list_for_each (&t->waits, node) {
		WAIT(node)->version = t->failed_version;
		WAIT(node)->detail = t->failed_detail;
	}
	answer(&t->waits, t->code, t->text ? t->text : "");
}

void lifecycle_forget(struct lifecycle_wait *w)
{
	if (w->node.next)
		list_remove(&w->node);
}

static void move(struct list *from, struct list *to)
{
	struct list *node;

	while ((node = list_first(from))) {
		list_remove(node);
		list_push_back(to, node);
	}
}

/* --- Reading ------------------------------------------------------------------------------------ */

static void read_on_thread(uv_work_t *work)
{
	struct lifecycle *l = work->data;
	struct reading *r = &l->reading;

	if (r->error)
		return;
	if (!r->name)
		lifecycle_poll_watch(l);
	r->error = l->source->read(l->source->data, r->name, r->anew, &r->overlays, &r->repository,
		r->text, sizeof(r->text));
}

static void failed_to_read(struct lifecycle *l)
{
	struct reading *r = &l->reading;
	const char *text = r->error > 0 ? r->text : err_str(r->error);

	log_error("models are not read anew", "error=\"%s\"", text);
	lifecycle_poll_next(l, false);
	answer(&l->waits_now, r->error > 0 ? LIFECYCLE_WRONG : LIFECYCLE_NO_MEMORY, text);
}

static void use_reading(struct lifecycle *l, struct repository *r)
{
	bool moving = false;

	if (l->reading_for == PURPOSE_ANEW)
		lifecycle_apply_all(l, r);
	else
		moving = lifecycle_apply_settled(l, r, l->reading_for == PURPOSE_SETTLED);
	lifecycle_poll_next(l, moving);
}

static void on_read_all(struct lifecycle *l)
{
	struct reading *r = &l->reading;

	if (r->anew && !l->stopped && l->source->on_read)
		l->source->on_read(l->source->data);
	if (l->stopped) {
		answer(&l->waits_now, LIFECYCLE_ENDING, "the server shuts down");
	} else if (r->error) {
		failed_to_read(l);
	} else {
		use_reading(l, steal_ptr(r->repository));
		answer(&l->waits_now, LIFECYCLE_OK, "");
	}
}

static void on_read(uv_work_t *work, int status)
{
	struct lifecycle *l = work->data;
	struct reading *r = &l->reading;

	(void)status;
	l->busy = false;
	l->dirty = true;
	if (r->name)
		lifecycle_on_model_read(l, r->repository, r->error, r->text);
	else
		on_read_all(l);
	r->repository = repository_free(r->repository);
	overlays_release(&r->overlays);
	free(r->name);
	r->name = NULL;
	if (!l->stopped)
		lifecycle_advance(l);
}

/* What callers gave models. -ENOMEM */
static int gather_overlays(const struct lifecycle *l, struct overlays *o)
{
	int r = 0;

	list_for_each (&l->wishes.list, node) {
		struct wish *w = list_entry(node, struct wish, node);

		if (!r)
			r = overlays_add(o, w->name, w->overlay);
	}
	overlays_sort(o);
	return r;
}

/* Threads that this makes take no signals: those are for the loop. `error` is how it ends, where it has one. */
static void start(struct lifecycle *l, int error)
{
	sigset_t before;
	int e;

	l->reading.error = error;
	l->busy = true;
	signals_block(&before);
	e = uv_queue_work(l->loop, &l->work, read_on_thread, on_read);
	signals_restore(&before);
	assert(e == 0); /* fails only without a function */
	(void)e;
}

static void start_all(struct lifecycle *l)
{
	move(&l->waits_next, &l->waits_now);
	l->reading_for = l->asked;
	l->asked = PURPOSE_NONE;
	l->reading = (struct reading){.anew = l->reading_for == PURPOSE_ANEW};
	start(l, gather_overlays(l, &l->reading.overlays));
}

static void start_task(struct lifecycle *l, struct task *t)
{
	const struct wish *w = wishes_find(&l->wishes, t->name);
	struct overlay *overlay = t->keeps_settings && w ? w->overlay : t->overlay;
	char *name = strdup(t->name);

	if (!name) {
		task_end(t, LIFECYCLE_NO_MEMORY, "out of memory");
		return;
	}
	t->phase = TASK_READING;
	l->reading = (struct reading){.name = name};
	start(l, overlays_add(&l->reading.overlays, name, overlay));
}

void lifecycle_advance(struct lifecycle *l)
{
	struct task *t = NULL;

	while (!l->stopped && !l->busy && (l->asked || (t = lifecycle_next_task(l)))) {
		if (l->asked)
			start_all(l);
		else
			start_task(l, t);
	}
}

static void ask_all(struct lifecycle *l, enum purpose purpose, struct lifecycle_wait *w)
{
	if (w)
		list_push_back(&l->waits_next, &w->node);
	if (l->asked < purpose)
		l->asked = purpose;
	lifecycle_advance(l);
}

void lifecycle_reload_all(struct lifecycle *l, struct lifecycle_wait *w)
{
	ask_all(l, PURPOSE_ANEW, w);
}

void lifecycle_refresh(struct lifecycle *l, struct lifecycle_wait *w)
{
	ask_all(l, PURPOSE_LIST, w);
}

static void ask_poll(struct lifecycle *l)
{
	ask_all(l, PURPOSE_SETTLED, NULL);
}

/* --- Life --------------------------------------------------------------------------------------- */

int lifecycle_new(struct lifecycle **ret_lifecycle, uv_loop_t *loop,
	const struct models_settings *settings, const struct lifecycle_source *source,
	struct dispatch *dispatch)
{
	struct lifecycle *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->taken.place_bytes = calloc(settings->n_places + 1, sizeof(uint64_t));
	if (!l->taken.place_bytes) {
		free(l);
		return -ENOMEM;
	}
	l->loop = loop;
	l->settings = settings;
	l->source = source;
	l->dispatch = dispatch;
	l->work.data = l;
	list_init(&l->waits_next);
	list_init(&l->waits_now);
	list_init(&l->tasks);
	list_init(&l->starved);
	list_init(&l->demands);
	list_init(&l->retries);
	wishes_init(&l->wishes);
	uv_timer_init(loop, &l->retry_timer);
	l->retry_timer.data = l;
	uv_timer_init(loop, &l->ttl_timer);
	l->ttl_timer.data = l;
	lifecycle_poll_init(l, ask_poll);
	*ret_lifecycle = l;
	return 0;
}

/* -ENOMEM; what is beyond max_models is left out. */
static int add_first_wish(struct lifecycle *l, const char *name)
{
	uint32_t max = l->settings->max_models;

	if (max && wishes_count(&l->wishes) >= max && !wishes_find(&l->wishes, name)) {
		log_warning("[models] max_models: not all are loaded at start", "model=%s", name);
		return 0;
	}
	return wishes_add(&l->wishes, name, 0);
}

static int wish_for_all(struct lifecycle *l, const struct repository *first)
{
	size_t n;
	const struct repository_entry *entries = repository_entries(first, &n);
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = add_first_wish(l, entries[i].name);
	return r;
}

/* [models] load */
static void make_first_wishes(struct lifecycle *l, const struct repository *first)
{
	const char *const *load = l->settings->load;
	int r = 0;

	for (size_t i = 0; !r && load && load[i]; i++)
		r = strcmp(load[i], "*") ? add_first_wish(l, load[i]) : wish_for_all(l, first);
	for (size_t i = 0; load && load[i]; i++) {
		if (strcmp(load[i], "*") != 0 && !repository_find(first, load[i]))
			log_error("[models] load: there is no such model", "model=%s", load[i]);
	}
	if (r)
		log_error("not all models are loaded", "error=%s", err_str(r));
}

void lifecycle_begin(struct lifecycle *l, struct repository *first)
{
	if (lifecycle_is_explicit(l))
		make_first_wishes(l, first);
	lifecycle_apply_all(l, first);
}

void lifecycle_stop(struct lifecycle *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	lifecycle_retry_stop(l);
	lifecycle_poll_stop(l);
	uv_close((uv_handle_t *)&l->ttl_timer, NULL);
	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		/* The thread's will be ended when it is back. */
		if (t->phase != TASK_READING && t->phase != TASK_DONE)
			task_end(t, LIFECYCLE_ENDING, "the server shuts down");
		answer(&t->waits, t->phase == TASK_DONE ? t->code : LIFECYCLE_ENDING,
			t->text ? t->text : "the server shuts down");
	}
	answer(&l->waits_now, LIFECYCLE_ENDING, "the server shuts down");
	answer(&l->waits_next, LIFECYCLE_ENDING, "the server shuts down");
	answer(&l->starved, LIFECYCLE_NO_MEMORY, "out of memory");
}

struct lifecycle *lifecycle_free(struct lifecycle *l)
{
	if (!l)
		return NULL;
	assert(!l->busy);
	list_for_each (&l->tasks, node)
		task_free(TASK(node));
	wishes_release(&l->wishes);
	repository_free(l->seen);
	free(l->taken.place_bytes);
	free(l);
	return NULL;
}

bool lifecycle_busy(const struct lifecycle *l)
{
	return l->busy;
}

struct lifecycle_counters lifecycle_counters(const struct lifecycle *l)
{
	return l->counters;
}

bool lifecycle_loads_on_request(const struct lifecycle *l)
{
	return lifecycle_is_explicit(l) && l->settings->load_on_request;
}

const struct models_settings *lifecycle_settings(const struct lifecycle *l)
{
	return l->settings;
}

bool lifecycle_model_of_path(const struct lifecycle *l, const char *path, char *name, size_t cap)
{
	return path_find_model(l->settings->repositories, path, name, cap);
}

bool lifecycle_explicit(const struct lifecycle *l)
{
	return lifecycle_is_explicit(l);
}

/* --- What dispatch tells ------------------------------------------------------------------------ */

void lifecycle_note(struct lifecycle *l, struct version *v)
{
	l->dirty = true;
	l->loaded |= version_ready(v);
	if (!l->stopped)
		lifecycle_retry_note(l, v);
}

void lifecycle_gone(struct lifecycle *l, struct version *v)
{
	l->dirty = true;
	lifecycle_retry_drop(l, v);
	list_for_each (&l->tasks, node)
		task_gone(TASK(node), v);
}

/* Returns whether there were any. */
static bool end_tasks(struct lifecycle *l)
{
	bool any = false;

	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		if (t->phase != TASK_DONE)
			continue;
		any = true;
		if (t->kind != TASK_UNLOAD && t->code == LIFECYCLE_OK && !l->stopped)
			lifecycle_on_loaded(l, t);
		else if (t->kind == TASK_LOAD && t->code == LIFECYCLE_FAILED && !l->stopped)
			lifecycle_on_load_failed(l, t);
		l->sheds |= t->kind == TASK_UNLOAD || t->code != LIFECYCLE_OK;
		answer_task(t);
		task_free(t);
	}
	return any;
}

/* Whoever is told may ask for more. */
static void end_all_tasks(struct lifecycle *l)
{
	bool ended = false;

	while (end_tasks(l))
		ended = true;
	if (ended)
		lifecycle_expire_soon(l);
}

void lifecycle_flush(struct lifecycle *l)
{
	if (l->dirty) {
		l->dirty = false;
		list_for_each (&l->tasks, node)
			task_look(TASK(node));
	}
	end_all_tasks(l);
	if (l->loaded && !l->stopped)
		lifecycle_enforce(l);
	l->loaded = false;
	if (!l->stopped && lifecycle_try_rooms(l))
		lifecycle_advance(l);
	/* Those for which there is no room after all, before the loop sleeps. */
	end_all_tasks(l);
	/* The thread borrows their names. */
	if (l->sheds && !l->busy)
		lifecycle_shed_wishes(l);
	if (l->stopped)
		answer(&l->waits_next, LIFECYCLE_ENDING, "the server shuts down");
	answer(&l->starved, LIFECYCLE_NO_MEMORY, "out of memory");
}

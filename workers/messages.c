/*
 * messages.c: what each message asks for. Which message is allowed when is a table; anything else
 * means that the daemon is not what it should be, and the worker ends.
 *
 * Answers to the messages of one record gather in one record, which saves a system call and a
 * wake-up each; but an answer never waits for anything that may take long.
 *
 * Worker process, the leader; batches that waited for their lane: any thread of the crew.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "workers/loop_private.h"

#define BIT(type) (1u << (type))

/* A model whose last runs took less is quick: answers may wait for it ... */
#define QUICK_NS 20000u
/* ... but no longer than this: as long as a turn of the scheduler, so that what was sent together is
 * answered together, and each connection of the daemon is written to once for it. */
#define ANSWER_NS 100000u

static const uint32_t allowed[LOOP_N_STATES] = {
	[LOOP_NEW] = BIT(WIRE_SETUP),
	[LOOP_READY] = BIT(WIRE_UNMAPPED) | BIT(WIRE_LOAD) | BIT(WIRE_UNLOAD) | BIT(WIRE_RUN) |
		       BIT(WIRE_CANCEL) | BIT(WIRE_RELEASE) | BIT(WIRE_PING) | BIT(WIRE_DRAIN) |
		       BIT(WIRE_MAP) | BIT(WIRE_UNMAP) | BIT(WIRE_CHECK) | BIT(WIRE_IMPORT),
};

static int answer(struct loop *l, const struct wire_message *m)
{
	return answers_add(l->answers, m, false);
}

/* Something begins that is over soon, or not: may the answers that are there wait for it? */
static int settle_answers(struct loop *l, bool soon, uint64_t now_ns)
{
	uint64_t since_ns = answers_since(l->answers);

	if (since_ns == 0 || (soon && now_ns < since_ns + ANSWER_NS))
		return 0;
	return answers_flush(l->answers);
}

/* --- Batches ------------------------------------------------------------------------------ */

/* A slow run is remembered for a while: for some models it depends on the input. */
static void note_time(struct model *m, uint64_t compute_ns)
{
	uint64_t before_ns = m->compute_ns == UINT64_MAX ? 0 : m->compute_ns / 2;

	m->compute_ns = compute_ns > before_ns ? compute_ns : before_ns;
	share_note_run(&m->share);
}

/* Run it and add the answer. */
static int run(struct loop *l, struct tools *t, struct lane *lane, const struct wire_run *m)
{
	struct wire_message done = {.type = WIRE_DONE};
	int r;

	if (executor_run(t->executor, lane, m, &done.done))
		return loop_fatal(l, lane->model->spec.name, executor_fatal(t->executor));
	note_time(lane->model, done.done.compute_ns);
	r = loop_answer(l, t->executor, &done);
	if (r != -EMSGSIZE)
		return r;
	log_warning("results do not fit a message", "worker=%s model=%s items=%zu bytes_max=%u",
		loop_name(l), lane->model->spec.name, m->n_items, WIRE_MESSAGE_MAX);
	executor_refuse(t->executor, &done.done);
	return answer(l, &done);
}

int loop_handle_waiting(
	struct loop *l, struct tools *t, struct lane *lane, const struct wire_run *m, bool last)
{
	bool soon = !last && lane->model->compute_ns < QUICK_NS;
	int r = run(l, t, lane, m);

	return r ? r : settle_answers(l, soon && lane->model->compute_ns < QUICK_NS, clock_ns());
}

/* On the spot. Whoever leads by the end flushes the answer. */
static int run_here(struct loop *l, struct hand *h, struct tools *t, struct lane *lane,
	const struct wire_run *m)
{
	int r = run(l, t, lane, m);

	if (!crew_give_back(h, lane) && !r)
		r = answers_flush(l->answers);
	return r;
}

static int let_wait(
	struct hand *h, struct lane *lane, uint64_t batch, const uint8_t *message, size_t n)
{
	struct job *job = job_new(batch, message, n);

	if (!job)
		return -ENOMEM;
	crew_push(h, lane, job);
	return 0;
}

/* l->lock is held. NULL: there is no such lane. */
static struct lane *find_lane(struct loop *l, uint32_t number, uint32_t lane)
{
	struct model *model = models_get(&l->models, number);

	return model && !model->leaving && lane < model->n_lanes ? &model->lanes[lane] : NULL;
}

static int pin_mapped(struct loop *l, const struct wire_map *map)
{
	return loop_pin(l, regions_find(&l->regions, map->id),
		map->writable ? DEVICE_READ_WRITE : DEVICE_READ_ONLY);
}

/* Memory that there was no room to map when it came: now there may be. */
static int map_again(struct loop *l)
{
	struct wire_map map;
	int r = 0;

	pthread_mutex_lock(&l->memory);
	while (!r && !regions_map_again(&l->regions, &map))
		r = pin_mapped(l, &map);
	pthread_mutex_unlock(&l->memory);
	return r;
}

static int on_run(
	struct loop *l, struct hand *h, struct tools *t, const struct wire_run *m, size_t n)
{
	uint64_t compute_ns, now_ns;
	struct lane *lane;
	int r;

	pthread_mutex_lock(&l->lock);
	lane = find_lane(l, m->model, m->lane);
	pthread_mutex_unlock(&l->lock);
	if (l->regions.n_wanted > 0) {
		r = map_again(l);
		if (r)
			return r;
	}
	if (!lane)
		return loop_stop(
			l, WORKER_EXIT_INTERNAL, "run of a model or a lane that is not there");
	if (m->batch <= l->last_batch)
		return loop_stop(
			l, WORKER_EXIT_INTERNAL, "run with a number that does not come next");
	l->last_batch = m->batch;
	compute_ns = lane->model->compute_ns;
	now_ns = clock_ns();
	if (compute_ns >= CREW_LONG_NS || !crew_take(h, lane, now_ns))
		return let_wait(h, lane, m->batch, t->record + t->at - n, n);
	r = settle_answers(l, compute_ns < QUICK_NS, now_ns);
	return r ? r : run_here(l, h, t, lane, m);
}

/* What there is not, or not any more, is no harm. */
static int on_cancel(struct loop *l, struct hand *h, const struct wire_cancel *m)
{
	struct lane *lane;

	if (m->batch > l->last_batch)
		return 0;
	pthread_mutex_lock(&l->lock);
	lane = find_lane(l, m->model, m->lane);
	if (lane)
		crew_cancel(h, lane, m->batch);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static int on_release(struct loop *l, const struct wire_release *release)
{
	int r = 0;

	pthread_mutex_lock(&l->memory);
	for (size_t i = 0; !r && i < release->n_holds; i++)
		r = outputs_release(l->outputs, release->holds[i]);
	pthread_mutex_unlock(&l->memory);
	return r ? loop_stop(l, WORKER_EXIT_INTERNAL, "release of a hold that is not there") : 0;
}

static int on_ping(struct loop *l, const struct wire_ping *ping)
{
	const struct wire_message pong = {.type = WIRE_PONG, .ping = *ping};
	int r = loop_give_up_idle(l);

	return r ? r : answer(l, &pong);
}

/* --- Memory ------------------------------------------------------------------------------- */

static void unpin_mapped(struct loop *l, uint64_t id)
{
	const struct view *v = regions_find(&l->regions, id);
	const struct span all = {.arena = id};

	if (v)
		pinned_remove(l->pinned, view_data(v, &all));
}

/* What the host cannot map is not there: runs that name it fail, others do not. */
static int on_map(struct loop *l, const struct wire_map *map, int fd)
{
	int pinned = 0;
	int r;

	pthread_mutex_lock(&l->memory);
	r = regions_map(&l->regions, fd, map);
	if (!r)
		pinned = pin_mapped(l, map);
	pthread_mutex_unlock(&l->memory);
	if (r == -EEXIST)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "map of memory that is mapped");
	if (!r)
		return pinned;
	log_warning("cannot map memory", "worker=%s bytes=%" PRIu64 " error=\"%s\"", loop_name(l),
		map->size, err_str(r));
	return 0;
}

/* By a handle, or a descriptor that came with it. */
static int import_any(
	struct loop *l, const struct wire_import *m, int fd, struct device_import *ret)
{
	if (fd >= 0)
		return device_import_fd(l->device, fd, m->size, m->writable, ret);
	return device_import(l->device, m->handle, m->size, ret);
}

static const char *import_error(const struct loop *l, int r, char *text, size_t cap)
{
	switch (r) {
	case 0:
		return "";
	case -ERANGE:
		return "it is smaller than that";
	case -EXDEV:
		return "it is another device's";
	case -ENOTSUP:
		return "this device cannot";
	default:
		return device_explain(l->device, r, text, cap);
	}
}

/* Of the device, which the daemon hears at once: who registers memory is to be told that it cannot be used. */
static int on_import(struct loop *l, const struct wire_import *import, int fd)
{
	struct wire_message m = {.type = WIRE_IMPORTED, .imported = {.id = import->id}};
	char why[DEVICE_TEXT_MAX];
	struct device_import there = {0};
	int r = import_any(l, import, fd, &there);
	int kept;

	if (device_fatal(r))
		return loop_stop(l, WORKER_EXIT_DEVICE_LOST, "the device failed at an import");
	m.imported.error = import_error(l, r, why, sizeof(why));
	pthread_mutex_lock(&l->memory);
	kept = regions_import(&l->regions, import->id, import->size, &there, m.imported.error);
	pthread_mutex_unlock(&l->memory);
	if (kept)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "import of memory that cannot be kept");
	return answer(l, &m);
}

static int on_unmap(struct loop *l, const struct wire_unmap *unmap)
{
	const struct wire_message m = {.type = WIRE_UNMAPPED, .unmap = *unmap};
	struct device_import imported;
	int r;

	pthread_mutex_lock(&l->memory);
	unpin_mapped(l, unmap->id);
	imported = regions_imported(&l->regions, unmap->id);
	r = regions_unmap(&l->regions, unmap->id);
	pthread_mutex_unlock(&l->memory);
	if (device_fatal(device_give_back(l->device, &imported)))
		return loop_stop(l, WORKER_EXIT_DEVICE_LOST, "the device failed at an unmap");
	if (r)
		log_debug("unmap of memory that is not mapped", "worker=%s", loop_name(l));
	return answer(l, &m);
}

/* --- A life ------------------------------------------------------------------------------- */

static int on_setup(struct loop *l, struct tools *t, const struct wire_setup *setup)
{
	const struct wire_message ready = {.type = WIRE_READY};
	int r = loop_setup(l, setup);

	if (!r)
		r = loop_equip(l, t);
	if (r)
		return r;
	atomic_store(&l->state, LOOP_READY);
	return answer(l, &ready);
}

static int on_load(struct loop *l, const uint8_t *message, size_t n)
{
	struct job *job = job_new(0, message, n);

	if (!job)
		return -ENOMEM;
	loader_push(l->loader, job);
	return 0;
}

/* No batch finds it from now on. */
static int on_unload(
	struct loop *l, const struct wire_unload *unload, const uint8_t *message, size_t n)
{
	struct model *m;
	bool there;

	pthread_mutex_lock(&l->lock);
	m = models_get(&l->models, unload->model);
	there = m && !m->leaving;
	if (there)
		m->leaving = true;
	pthread_mutex_unlock(&l->lock);
	return there ? on_load(l, message, n)
		     : loop_stop(l, WORKER_EXIT_INTERNAL, "unload of a model that is not loaded");
}

/* Unloading comes before bye: a backend that crashes there must not look like a clean end. */
static int on_drain(struct loop *l, struct hand *h)
{
	const struct wire_message bye = {.type = WIRE_BYE, .bye = {.reason = "drained"}};
	int r;

	atomic_store(&l->state, LOOP_DRAINED);
	crew_wait_idle(h);
	loader_wait_idle(l->loader);
	/* The end came first, and what is at work has its model still. */
	if (!crew_is_idle(l->crew) || !loader_is_idle(l->loader))
		return -EPIPE;
	models_deinit(&l->models);
	r = answers_add(l->answers, &bye, true);
	return r ? r : LOOP_E_DONE;
}

static int handle(struct loop *l, struct hand *h, struct tools *t, const struct wire_message *m,
	size_t n, int fd)
{
	switch (m->type) {
	case WIRE_SETUP:
		return on_setup(l, t, &m->setup);
	case WIRE_LOAD:
	case WIRE_CHECK:
		return on_load(l, t->record + t->at - n, n);
	case WIRE_UNLOAD:
		return on_unload(l, &m->unload, t->record + t->at - n, n);
	case WIRE_RUN:
		return on_run(l, h, t, &m->run, n);
	case WIRE_CANCEL:
		return on_cancel(l, h, &m->cancel);
	case WIRE_RELEASE:
		return on_release(l, &m->release);
	case WIRE_PING:
		return on_ping(l, &m->ping);
	case WIRE_MAP:
		return on_map(l, &m->map, fd);
	case WIRE_IMPORT:
		return on_import(l, &m->import, fd);
	case WIRE_UNMAP:
		return on_unmap(l, &m->unmap);
	case WIRE_UNMAPPED:
		return loop_unmapped(l, &m->unmap);
	default:
		return on_drain(l, h);
	}
}

int loop_handle(struct loop *l, struct hand *h, struct tools *t, const struct wire_message *m,
	size_t n, int fd, size_t n_fds)
{
	int state = atomic_load(&l->state);

	if (!(allowed[state] & BIT(m->type))) {
		log_error("message out of turn", "worker=%s type=%s", loop_name(l),
			wire_type_name(m->type));
		return loop_stop(l, WORKER_EXIT_INTERNAL, "message out of turn");
	}
	if (n_fds != wire_n_fds(m))
		return loop_stop(l, WORKER_EXIT_INTERNAL, "a descriptor too many or too few");
	return handle(l, h, t, m, n, fd);
}

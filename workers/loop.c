/*
 * loop.c: receive, handle, answer.
 *
 * Everything is done in the order in which it came, so an answer to Ping is worth something: it
 * waits behind the batches before it. Which message is allowed when is a table; anything else means
 * that the daemon is not what it should be, and the worker ends. End of file ends it at once.
 *
 * Answers to the messages of one record gather in one record, which saves a system call and a
 * wake-up each; but an answer never waits for anything that may take long: quick_next() says what
 * does not.
 *
 * Invariant: nothing is left to be flushed when the loop waits for the daemon.
 *
 * In idle moments the output arena gets pages ahead of need, a little at a time, so that a message
 * never waits long. Worker process, its one thread.
 */
#include "workers/loop.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "workers/loop_private.h"

#define BIT(type) (1u << (type))

/* A model whose last runs took less is quick. */
#define QUICK_NS 20000u
/* Answers do not wait longer for quick ones. */
#define ANSWER_NS 30000u

static const uint32_t allowed[LOOP_N_STATES] = {
	[LOOP_NEW] = BIT(WIRE_SETUP),
	[LOOP_LOADING] =
		BIT(WIRE_LOAD) | BIT(WIRE_PING) | BIT(WIRE_DRAIN) | BIT(WIRE_MAP) | BIT(WIRE_UNMAP),
	[LOOP_READY] = BIT(WIRE_LOAD) | BIT(WIRE_UNLOAD) | BIT(WIRE_RUN) | BIT(WIRE_RELEASE) |
		       BIT(WIRE_PING) | BIT(WIRE_DRAIN) | BIT(WIRE_MAP) | BIT(WIRE_UNMAP),
};

int loop_new(struct loop **ret_loop, int channel_fd, int arena_fd,
	void (*on_name)(void *data, const char *name), void *data)
{
	_cleanup_(loop_freep) struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		close_fd(&channel_fd);
		close_fd(&arena_fd);
		return -ENOMEM;
	}
	l->channel_fd = channel_fd;
	l->arena_fd = arena_fd;
	l->on_name = on_name;
	l->data = data;
	l->record = malloc(WIRE_MESSAGE_MAX);
	l->answer = malloc(WIRE_MESSAGE_MAX);
	if (!l->record || !l->answer)
		return -ENOMEM;
	r = wire_scratch_new(&l->in);
	if (!r)
		r = wire_scratch_new(&l->out);
	if (r)
		return r;
	*ret_loop = steal_ptr(l);
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	models_deinit(&l->models);
	executor_free(l->executor);
	/* Nothing is unmapped that the device may still use. */
	pinned_free(l->pinned);
	regions_deinit(&l->regions);
	outputs_free(l->outputs);
	view_free(l->input);
	device_free(l->device);
	backends_free(l->backends);
	host_free(l->host);
	wire_scratch_free(l->in);
	wire_scratch_free(l->out);
	free(l->record);
	free(l->answer);
	close_fd(&l->arena_fd);
	close_fd(&l->channel_fd);
	free(l);
	return NULL;
}

const char *loop_name(const struct loop *l)
{
	return l->host ? host_worker(l->host) : "(new)";
}

int loop_stop(struct loop *l, enum worker_exit status, const char *why)
{
	l->exit = status;
	l->stopped = why;
	return -ECANCELED;
}

int loop_send(struct loop *l, const struct wire_message *m, const int *fds, size_t n_fds)
{
	const uint8_t *data;
	size_t n;
	int r = wire_pack(l->out, m, &data, &n);

	if (!r && (n_fds > 0 || n > WIRE_MESSAGE_MAX - l->n_answer))
		r = loop_flush(l);
	if (r)
		return r;
	if (n_fds > 0)
		return seqpacket_send(l->channel_fd, data, n, fds, n_fds, 0);
	memcpy(l->answer + l->n_answer, data, n);
	l->n_answer += n;
	return 0;
}

int loop_flush(struct loop *l)
{
	size_t n = l->n_answer;

	l->n_answer = 0;
	return n > 0 ? seqpacket_send(l->channel_fd, l->answer, n, NULL, 0, 0) : 0;
}

/* --- Models ------------------------------------------------------------------------------- */

static void log_loaded(
	const struct loop *l, const struct wire_load *load, const char *error, uint64_t took_ns)
{
	char text[sizeof(struct modeld_error)];

	if (error)
		log_warning("model not loaded", "worker=%s model=%s version=%s backend=%s error=%s",
			loop_name(l), load->name, load->version, load->backend,
			log_quote(error, strlen(error), text, sizeof(text)));
	else
		log_info("model loaded", "worker=%s model=%s version=%s backend=%s ms=%" PRIu64,
			loop_name(l), load->name, load->version, load->backend,
			took_ns / NS_PER_MS);
}

static int say_failed(struct loop *l, uint32_t number, const char *error)
{
	const struct wire_message m = {
		.type = WIRE_LOADED, .loaded = {.model = number, .error = error}};

	return loop_send(l, &m, NULL, 0);
}

static int say_loaded(struct loop *l, uint32_t number, const struct model *m)
{
	size_t n_inputs = m->info.n_inputs, n_outputs = m->info.n_outputs;
	_cleanup_(freep) struct wire_declaration *declared =
		calloc(n_inputs + n_outputs + 1, sizeof(*declared));
	struct wire_message message = {.type = WIRE_LOADED};

	if (!declared)
		return -ENOMEM;
	model_describe(m->info.inputs, n_inputs, declared);
	model_describe(m->info.outputs, n_outputs, declared + n_inputs);
	message.loaded = (struct wire_loaded){
		.model = number,
		.ok = true,
		.inputs = declared,
		.n_inputs = n_inputs,
		.outputs = declared + n_inputs,
		.n_outputs = n_outputs,
		.memory_bytes = model_memory_bytes(m),
		.max_batch_size = m->max_batch_size,
	};
	return loop_send(l, &message, NULL, 0);
}

static int say_ready(struct loop *l)
{
	const struct wire_message m = {.type = WIRE_READY};

	l->state = LOOP_READY;
	return loop_send(l, &m, NULL, 0);
}

/* The backend cannot go on in this process. */
static int fatal(struct loop *l, const char *model, const char *text)
{
	char quoted[sizeof(struct modeld_error)];

	log_error("a backend cannot go on in this process", "worker=%s model=%s error=%s",
		loop_name(l), model, log_quote(text, strlen(text), quoted, sizeof(quoted)));
	return loop_stop(l, WORKER_EXIT_DEVICE_LOST, "a backend said so");
}

static int on_load(struct loop *l, const struct wire_load *load)
{
	struct modeld_error error = {.size = sizeof(error)};
	const struct model *m = NULL;
	uint64_t start_ns = clock_ns();
	int r = models_load(&l->models, l->backends, load, &m, &error);

	if (r == MODELS_E_IN_USE)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "load with a bad number");
	if (r == MODELS_E_FATAL)
		return fatal(l, load->name, error.text);
	if (r < 0)
		strncpy(error.text, err_str(r), sizeof(error.text) - 1);
	log_loaded(l, load, m ? NULL : error.text, clock_ns() - start_ns);
	r = m ? say_loaded(l, load->model, m) : say_failed(l, load->model, error.text);
	if (r == -EMSGSIZE) {
		r = models_unload(&l->models, load->model);
		assert(r == 0);
		r = say_failed(l, load->model,
			"what the model declares does not fit a message to the daemon");
	}
	if (!r && l->state == LOOP_LOADING && --l->n_loads == 0)
		r = say_ready(l);
	return r;
}

static int on_unload(struct loop *l, const struct wire_unload *unload)
{
	const struct model *m = models_get(&l->models, unload->model);
	struct wire_message answer = {.type = WIRE_UNLOADED, .unloaded = {.model = unload->model}};
	int r;

	if (!m)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "unload of a model that is not loaded");
	answer.unloaded.memory_bytes = model_memory_bytes(m);
	log_info("model unloaded", "worker=%s model=%s number=%" PRIu32, loop_name(l), m->spec.name,
		unload->model);
	r = models_unload(&l->models, unload->model);
	assert(r == 0);
	(void)r;
	return loop_send(l, &answer, NULL, 0);
}

/* --- Batches ------------------------------------------------------------------------------ */

/* A slow run is remembered for a while: for some models it depends on the input. */
static void note_time(struct model *m, uint64_t compute_ns)
{
	uint64_t before_ns = m->compute_ns == UINT64_MAX ? 0 : m->compute_ns / 2;

	m->compute_ns = compute_ns > before_ns ? compute_ns : before_ns;
}

static int on_run(struct loop *l, const struct wire_run *run)
{
	struct model *m = models_get(&l->models, run->model);
	struct wire_message done = {.type = WIRE_DONE};
	int r;

	if (!m)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "run of a model that is not loaded");
	if (outputs_holds(l->outputs, run->batch))
		return loop_stop(l, WORKER_EXIT_INTERNAL, "run with the number of another batch");
	if (executor_run(l->executor, m, run, &done.done))
		return fatal(l, m->spec.name, executor_fatal(l->executor));
	note_time(m, done.done.compute_ns);
	l->answer_model = run->model;
	r = loop_send(l, &done, NULL, 0);
	if (r != -EMSGSIZE)
		return r;
	log_warning("results do not fit a message", "worker=%s model=%s items=%zu bytes_max=%u",
		loop_name(l), m->spec.name, run->n_items, WIRE_MESSAGE_MAX);
	executor_refuse(l->executor, run, &done.done);
	return loop_send(l, &done, NULL, 0);
}

static int on_release(struct loop *l, const struct wire_release *release)
{
	for (size_t i = 0; i < release->n_batches; i++)
		outputs_release(l->outputs, release->batches[i]);
	return 0;
}

static int on_ping(struct loop *l, const struct wire_ping *ping)
{
	const struct wire_message pong = {.type = WIRE_PONG, .ping = *ping};

	return loop_send(l, &pong, NULL, 0);
}

/* --- Regions ------------------------------------------------------------------------------ */

/* Let the device use what is mapped here. On a host that is nothing. */
int loop_pin(struct loop *l, const struct view *v, enum device_access access)
{
	const struct span all = {.arena = view_id(v), .length = view_size(v)};

	return loop_pin_memory(l, (void *)view_data(v, &all), all.length, access);
}

int loop_pin_memory(struct loop *l, void *data, uint64_t bytes, enum device_access access)
{
	int r = pinned_add(l->pinned, data, bytes, access);

	return r ? loop_stop(l, WORKER_EXIT_DEVICE_LOST, "the device refused memory") : 0;
}

static void unpin_region(struct loop *l, uint64_t region)
{
	const struct view *v = regions_find(&l->regions, region);
	const struct span all = {.arena = region};

	if (v)
		pinned_remove(l->pinned, view_data(v, &all));
}

/* A region that the host cannot map is not there: runs that name it fail, others do not. */
static int on_map(struct loop *l, const struct wire_map *map, int fd)
{
	int r = regions_map(&l->regions, fd, map);

	if (r == -EEXIST)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "map of a region that is mapped");
	if (r)
		log_warning("cannot map a region", "worker=%s bytes=%" PRIu64 " error=\"%s\"",
			loop_name(l), map->size, err_str(r));
	return r ? 0
		 : loop_pin(l, regions_find(&l->regions, map->region),
			   map->writable ? DEVICE_READ_WRITE : DEVICE_READ_ONLY);
}

static int on_unmap(struct loop *l, const struct wire_unmap *unmap)
{
	const struct wire_message m = {.type = WIRE_UNMAPPED, .unmap = *unmap};
	int r;

	unpin_region(l, unmap->region);
	r = regions_unmap(&l->regions, unmap->region);

	if (r)
		log_debug("unmap of a region that is not mapped", "worker=%s", loop_name(l));
	return loop_send(l, &m, NULL, 0);
}

/* --- The loop ----------------------------------------------------------------------------- */

static int on_setup(struct loop *l, const struct wire_setup *setup)
{
	int r = loop_setup(l, setup);

	if (r)
		return r;
	l->state = LOOP_LOADING;
	return l->n_loads == 0 ? say_ready(l) : 0;
}

static int handle(struct loop *l, const struct wire_message *m, int fd)
{
	switch (m->type) {
	case WIRE_SETUP:
		return on_setup(l, &m->setup);
	case WIRE_LOAD:
		return on_load(l, &m->load);
	case WIRE_UNLOAD:
		return on_unload(l, &m->unload);
	case WIRE_RUN:
		return on_run(l, &m->run);
	case WIRE_RELEASE:
		return on_release(l, &m->release);
	case WIRE_PING:
		return on_ping(l, &m->ping);
	case WIRE_MAP:
		return on_map(l, &m->map, fd);
	case WIRE_UNMAP:
		return on_unmap(l, &m->unmap);
	default:
		l->state = LOOP_DRAINED;
		return 0;
	}
}

/* The next record; pages for the output arena while there is none. */
static int receive(struct loop *l, size_t *ret_n, int *ret_fd, size_t *ret_n_fds)
{
	for (;;) {
		bool work = l->outputs && outputs_wants_pages(l->outputs);
		bool spin = l->busy.limit_ns > 0 && busy_poll_spins(&l->busy, clock_ns());
		int r = seqpacket_recv(l->channel_fd, l->record, WIRE_MESSAGE_MAX, ret_n, ret_fd, 1,
			ret_n_fds, work || spin);

		if (r == 0 && l->busy.limit_ns > 0)
			busy_poll_work(&l->busy, clock_ns());
		if (r != -EAGAIN || (!work && !spin))
			return r;
		if (work)
			outputs_populate(l->outputs);
	}
}

/* Will m be done with soon? Of another model that is never taken for granted: if it crashes, the
 * daemon must not take it for the one whose answer it misses. */
static bool quick_next(const struct loop *l, const struct wire_message *m)
{
	const struct model *model;

	switch (m->type) {
	case WIRE_RELEASE:
	case WIRE_PING:
		return true;
	case WIRE_RUN:
		model = models_get(&l->models, m->run.model);
		return model && model->compute_ns < QUICK_NS && m->run.model == l->answer_model;
	default:
		return false;
	}
}

/* Before m is handled: may the answers that are there wait for it? */
static int settle_answers(struct loop *l, const struct wire_message *m)
{
	uint64_t now_ns = clock_ns();

	if (l->n_answer > 0 && quick_next(l, m) && now_ns - l->answer_ns < ANSWER_NS)
		return 0;
	l->answer_ns = now_ns;
	return loop_flush(l);
}

static int serve_message(struct loop *l, const struct wire_message *m, int fd, size_t n_fds)
{
	int r = settle_answers(l, m);

	if (r)
		return r;
	if (!(allowed[l->state] & BIT(m->type))) {
		log_error("message out of turn", "worker=%s type=%s", loop_name(l),
			wire_type_name(m->type));
		return loop_stop(l, WORKER_EXIT_INTERNAL, "message out of turn");
	}
	if (n_fds != (m->type == WIRE_MAP))
		return loop_stop(l, WORKER_EXIT_INTERNAL, "a descriptor too many or too few");
	return handle(l, m, fd);
}

static int serve_record(struct loop *l)
{
	_cleanup_(close_fd) int fd = -1;
	const struct wire_message *m;
	size_t n, used, n_fds = 0;
	int r = receive(l, &n, &fd, &n_fds);

	for (size_t at = 0; !r && at < n && l->state != LOOP_DRAINED; at += used) {
		if (wire_unpack(l->in, l->record + at, n - at, &used, &m))
			return loop_stop(l, WORKER_EXIT_INTERNAL, "malformed message");
		r = serve_message(l, m, fd, n_fds);
	}
	return r ? r : loop_flush(l);
}

/* Unloading comes first: a backend that crashes there must not look like a clean end. */
static int leave(struct loop *l)
{
	const struct wire_message bye = {.type = WIRE_BYE, .bye = {.reason = "drained"}};

	models_deinit(&l->models);
	return loop_send(l, &bye, NULL, 0);
}

int loop_run(struct loop *l)
{
	int r = seqpacket_set_send_buffer(l->channel_fd, WIRE_MESSAGE_MAX);

	while (!r && l->state != LOOP_DRAINED)
		r = serve_record(l);
	if (!r)
		r = leave(l);
	if (!r)
		r = loop_flush(l);
	if (r == -EPIPE || r == -ECONNRESET) {
		log_debug("the daemon is gone", "worker=%s", loop_name(l));
		return WORKER_EXIT_OK;
	}
	if (r == -ECANCELED) {
		log_error("worker stops", "worker=%s reason=\"%s\"", loop_name(l), l->stopped);
		return l->exit;
	}
	if (r)
		log_error("worker stops", "worker=%s error=\"%s\"", loop_name(l), err_str(r));
	return r ? WORKER_EXIT_INTERNAL : WORKER_EXIT_OK;
}

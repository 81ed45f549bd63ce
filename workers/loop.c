/*
 * loop.c: the life of a worker: its threads, the channel's records, and the end.
 *
 * The main thread starts the crew and waits for the end, whichever thread finds it. The leader of the
 * crew reads records and handles their messages in the order in which they came (messages.c). End of
 * file ends everything at once.
 *
 * Invariant: nothing is left to be flushed when the leader waits for the daemon.
 *
 * In idle moments the output arena gets pages ahead of need, a little at a time, so that a message
 * never waits long.
 */
#include "workers/loop.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "workers/loop_private.h"

/* --- The end ------------------------------------------------------------------------------ */

/* What is to be said on the way out, and the exit status. */
static int conclude(const struct loop *l, int r)
{
	if (r == LOOP_E_DONE)
		return WORKER_EXIT_OK;
	if (r == -EPIPE || r == -ECONNRESET) {
		log_debug("the daemon is gone", "worker=%s", loop_name(l));
		return WORKER_EXIT_OK;
	}
	if (r == -ECANCELED) {
		log_error("worker stops", "worker=%s reason=\"%s\"", loop_name(l), l->stopped);
		return l->exit;
	}
	log_error("worker stops", "worker=%s error=\"%s\"", loop_name(l), err_str(r));
	return WORKER_EXIT_INTERNAL;
}

/* The end, for the reason r; the first one counts. Any thread. */
static void finish(struct loop *l, int r)
{
	pthread_mutex_lock(&l->lock);
	if (!l->finished)
		l->exit = conclude(l, r);
	l->finished = true;
	pthread_mutex_unlock(&l->lock);
	/* Whoever leads may wait there. The daemon must not see an end before it can see an exit status. */
	shutdown(l->channel_fd, SHUT_RD);
	crew_end(l->crew);
	pthread_mutex_lock(&l->memory);
	if (l->outputs)
		outputs_end_waits(l->outputs);
	pthread_mutex_unlock(&l->memory);
}

/* --- Leading ------------------------------------------------------------------------------ */

static bool wants_pages(struct loop *l)
{
	bool wants;

	if (!l->outputs)
		return false;
	pthread_mutex_lock(&l->memory);
	wants = outputs_wants_pages(l->outputs);
	pthread_mutex_unlock(&l->memory);
	return wants;
}

/* More of the output arena is made resident. False: that is not needed. */
static bool populate(struct loop *l)
{
	bool wants = wants_pages(l);

	if (!wants)
		return false;
	pthread_mutex_lock(&l->memory);
	outputs_populate(l->outputs);
	pthread_mutex_unlock(&l->memory);
	return true;
}

/* The next record; pages for the output arena while there is none. */
static int receive(struct loop *l, struct tools *t, int *ret_fd, size_t *ret_n_fds)
{
	bool idle = !wants_pages(l); /* there is nothing else to do */

	for (;;) {
		bool spin = l->busy.limit_ns > 0 && busy_poll_spins(&l->busy, clock_ns());
		int r = seqpacket_recv(l->channel_fd, t->record, WIRE_MESSAGE_MAX, &t->n, ret_fd, 1,
			ret_n_fds, !idle || spin);

		t->at = 0;
		if (r == 0 && l->busy.limit_ns > 0)
			busy_poll_work(&l->busy, clock_ns());
		if (r != -EAGAIN)
			return r;
		idle = !populate(l);
		if (spin)
			busy_poll_give_way(&l->busy);
	}
}

/* Until the record is done with, or h does not lead any more. */
static int serve_record(struct loop *l, struct hand *h, struct tools *t, int fd, size_t n_fds)
{
	int r = 0;

	while (!r && t->at < t->n && crew_leads(h)) {
		const struct wire_message *m;
		size_t used;

		if (wire_unpack(t->in, t->record + t->at, t->n - t->at, &used, &m))
			return loop_stop(l, WORKER_EXIT_INTERNAL, "malformed message");
		t->at += used;
		r = loop_handle(l, h, t, m, used, fd, n_fds);
	}
	return r;
}

static int serve_next(struct loop *l, struct hand *h, struct tools *t)
{
	_cleanup_(close_fd) int fd = -1;
	size_t n_fds = 0;
	int r = receive(l, t, &fd, &n_fds);

	return r ? r : serve_record(l, h, t, fd, n_fds);
}

/* What a leader that was deposed has not come to. It touches its record again only as a leader; that
 * may be now. */
static void take_over(struct tools *t, const struct tools *from)
{
	size_t n = from->n - from->at;

	memmove(t->record, from->record + from->at, n);
	t->at = 0;
	t->n = n;
}

static void on_lead(void *data, struct hand *h, void *tools, void *from)
{
	struct loop *l = data;
	struct tools *t = tools;
	int r = answers_flush(l->answers);

	if (from)
		take_over(t, from);
	else
		t->at = t->n = 0;
	if (!r)
		r = serve_record(l, h, t, -1, 0);
	while (!r && crew_leads(h)) {
		r = answers_flush(l->answers);
		if (!r && !crew_resign(h))
			r = serve_next(l, h, t);
	}
	if (r)
		finish(l, r);
}

/* --- The crew ----------------------------------------------------------------------------- */

static void *tools_free(struct tools *t)
{
	if (!t)
		return NULL;
	executor_free(t->executor);
	wire_scratch_free(t->in);
	free(t->record);
	free(t);
	return NULL;
}
DEFINE_CLEANUP(struct tools *, tools_free)

static int on_equip(void *data, void **ret_tools)
{
	_cleanup_(tools_freep) struct tools *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->record = malloc(WIRE_MESSAGE_MAX);
	if (!t->record)
		return -ENOMEM;
	r = wire_scratch_new(&t->in);
	if (!r)
		r = loop_equip(data, t);
	if (r)
		return r;
	*ret_tools = steal_ptr(t);
	return 0;
}

static void on_strip(void *data, void *tools)
{
	tools_free(tools);
}

static void on_work(void *data, void *tools, struct lane *lane, struct job *job, bool last)
{
	struct loop *l = data;
	struct tools *t = tools;
	const struct wire_message *m;
	size_t used;
	int r = wire_unpack(t->in, job->message, job->n, &used, &m);

	assert(r == 0);
	r = loop_handle_waiting(l, t, lane, &m->run, last);
	free(job);
	if (r)
		finish(l, r);
}

static const struct crew_events crew_events = {
	.equip = on_equip,
	.strip = on_strip,
	.lead = on_lead,
	.work = on_work,
};

static void on_load(void *data, const struct wire_message *m)
{
	struct loop *l = data;
	int r = loop_handle_load(l, m);

	if (r)
		finish(l, r);
}

/* --- A life ------------------------------------------------------------------------------- */

int loop_new(struct loop **ret_loop, int channel_fd, void (*on_name)(void *data, const char *name),
	void *data)
{
	_cleanup_(loop_freep) struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		close_fd(&channel_fd);
		return -ENOMEM;
	}
	l->channel_fd = channel_fd;
	l->on_name = on_name;
	l->data = data;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->memory, NULL);
	ledger_init(&l->ledger, ledger_private_bytes);
	r = answers_new(&l->answers, channel_fd);
	if (!r)
		r = crew_new(&l->crew, &crew_events, l);
	if (!r)
		r = loader_new(&l->loader, on_load, l);
	if (r)
		return r;
	*ret_loop = steal_ptr(l);
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	/* The loader ends the crew where a load fails for good; the crew gives the loader its work. */
	if (l->loader)
		loader_end(l->loader);
	crew_free(l->crew);
	loader_free(l->loader);
	models_deinit(&l->models);
	answers_free(l->answers);
	/* Nothing is unmapped that the device may still use. */
	pinned_free(l->pinned);
	regions_deinit(&l->regions);
	outputs_free(l->outputs);
	device_free(l->device);
	backends_free(l->backends);
	host_free(l->host);
	pthread_mutex_destroy(&l->memory);
	pthread_mutex_destroy(&l->lock);
	close_fd(&l->channel_fd);
	free(l);
	return NULL;
}

int loop_run(struct loop *l)
{
	int r = seqpacket_set_send_buffer(l->channel_fd, WIRE_MESSAGE_MAX);

	if (!r)
		r = crew_start(l->crew);
	if (r)
		finish(l, r);
	crew_wait_end(l->crew);
	pthread_mutex_lock(&l->lock);
	r = l->exit;
	pthread_mutex_unlock(&l->lock);
	return r;
}

bool loop_is_idle(struct loop *l)
{
	return crew_is_idle(l->crew) && loader_is_idle(l->loader);
}

/*
 * crew.c: leader and followers.
 *
 * Invariants, under the lock: at most one hand leads; a lane with jobs is busy, and either a hand has
 * it or it is in `waiting`, once. Only the leader makes a lane busy, so a lane that it finds idle
 * stays idle until it says otherwise, and the quick path takes no lock: hand.run is what the leader
 * and the watch agree by.
 *
 * The watch is a thread that sleeps on a timer. The leader sets the timer when it begins to run a
 * batch and it is not set; as long as nothing takes long it goes off ever more rarely, a few times a
 * second in the end, and not at all when there is nothing to do.
 *
 * Worker process; threads of the crew, and the main thread, which waits for the end.
 */
#include "workers/crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/timerfd.h>

#include "base/clock.h"

/* How often the watch looks. */
#define WATCH_FIRST_NS (UINT64_C(2) * NS_PER_MS)
#define WATCH_MAX_NS   (UINT64_C(64) * NS_PER_MS)

enum {
	RUN_NONE,
	RUN_INSIDE, /* the leader is inside of a batch */
	RUN_DEPOSED,
};

struct hand {
	struct hand *next; /* in crew.hands */
	struct crew *crew;
	pthread_t thread;
	void *tools; /* own */
	bool leads;  /* its own */
	bool pushed; /* its own: something waits since it looked last */
	_Atomic int run;
	_Atomic uint64_t run_ns; /* when it began */
};

struct crew {
	const struct crew_events *events;
	void *data; /* borrow: of events */

	pthread_mutex_t lock;
	pthread_cond_t work;  /* something to do for a resting hand, or the end */
	pthread_cond_t quiet; /* a lane is not busy any more, or the end */
	pthread_cond_t over;  /* the end */
	struct hand *hands;   /* own */
	uint32_t n_hands;
	struct hand *leader;
	void *orphan; /* borrow: tools of a leader that was deposed, until another one leads */
	struct list waiting; /* struct lane.node */
	uint32_t n_waiting;
	uint32_t n_working; /* hands that have a lane */
	uint32_t n_resting;
	uint32_t n_woken;  /* resting, and told to get up */
	atomic_bool ended; /* for ever */

	pthread_t watch;
	bool watching; /* there is a watch */
	int timer_fd;  /* own */
	atomic_bool timer_set;
	_Atomic uint64_t watch_ns; /* its period; set by the watch */
	_Atomic uint64_t n_begun;  /* batches that leaders have begun */
};

/* --- The watch ---------------------------------------------------------------------------- */

static void set_timer(struct crew *c, uint64_t after_ns)
{
	const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(after_ns / NS_PER_S),
					      .tv_nsec = (long)(after_ns % NS_PER_S)}};
	int r = timerfd_settime(c->timer_fd, 0, &at, NULL);

	assert(r == 0);
	(void)r;
}

static void call_hands(struct crew *c, uint32_t n);

/* Is the leader inside of a batch for so long that another one has to lead? */
static bool depose(struct crew *c)
{
	struct hand *h = c->leader;
	int inside = RUN_INSIDE;

	if (!h || atomic_load(&h->run) != RUN_INSIDE ||
		clock_ns() - atomic_load(&h->run_ns) < CREW_LONG_NS ||
		!atomic_compare_exchange_strong(&h->run, &inside, RUN_DEPOSED))
		return false;
	c->leader = NULL;
	c->orphan = h->tools;
	c->n_working++;
	/* Lanes that wait are taken first: who comes for one of them does not lead. */
	call_hands(c, c->n_waiting + 1);
	return true;
}

static bool is_inside(const struct crew *c)
{
	return c->leader && atomic_load(&c->leader->run) == RUN_INSIDE;
}

/* The timer went off. `n_before`: batches that had begun when it did the last time. */
static void look(struct crew *c, uint64_t *n_before)
{
	uint64_t n = atomic_load(&c->n_begun);

	if (depose(c))
		atomic_store(&c->watch_ns, WATCH_FIRST_NS);
	else if (n != *n_before && atomic_load(&c->watch_ns) < WATCH_MAX_NS)
		atomic_store(&c->watch_ns, 2 * atomic_load(&c->watch_ns));
	*n_before = n;
	atomic_store(&c->timer_set, false);
	/* The leader may have begun a batch while the timer still counted as set. */
	if (is_inside(c) && !atomic_exchange(&c->timer_set, true))
		set_timer(c, atomic_load(&c->watch_ns));
}

static void *keep_watch(void *arg)
{
	struct crew *c = arg;
	uint64_t n_before = 0, expirations;

	for (;;) {
		ssize_t n = read(c->timer_fd, &expirations, sizeof(expirations));

		pthread_mutex_lock(&c->lock);
		if (c->ended) {
			pthread_mutex_unlock(&c->lock);
			return NULL;
		}
		if (n > 0)
			look(c, &n_before);
		pthread_mutex_unlock(&c->lock);
	}
}

/* --- Hands -------------------------------------------------------------------------------- */

static void stop_working(struct crew *c)
{
	c->n_working--;
	pthread_cond_broadcast(&c->quiet);
}

/* Under the lock. Batches come to a lane in the order of their numbers: what is told of one that is over says
 * nothing of the one that runs. */
static void set_cancelled(struct lane *lane, uint64_t batch)
{
	if (batch > atomic_load(&lane->cancelled))
		atomic_store(&lane->cancelled, batch);
}

static void take_lane(struct crew *c, struct hand *h)
{
	struct lane *lane = list_entry(c->waiting.next, struct lane, node);

	list_remove(&lane->node);
	c->n_waiting--;
	c->n_working++;
	while (!c->ended && !list_empty(&lane->jobs)) {
		struct job *job = list_entry(lane->jobs.next, struct job, node);
		bool last;

		list_remove(&job->node);
		last = list_empty(&lane->jobs);
		if (job->cancelled)
			set_cancelled(lane, job->batch);
		pthread_mutex_unlock(&c->lock);
		c->events->work(c->data, h->tools, lane, job, last);
		pthread_mutex_lock(&c->lock);
	}
	atomic_store(&lane->busy, false);
	stop_working(c);
}

static void lead(struct crew *c, struct hand *h)
{
	void *from = c->orphan;

	c->leader = h;
	c->orphan = NULL;
	h->leads = true;
	pthread_mutex_unlock(&c->lock);
	c->events->lead(c->data, h, h->tools, from);
	pthread_mutex_lock(&c->lock);
	h->leads = false;
	if (c->leader == h)
		c->leader = NULL;
}

static void rest(struct crew *c)
{
	c->n_resting++;
	pthread_cond_wait(&c->work, &c->lock);
	c->n_resting--;
	if (c->n_woken > 0)
		c->n_woken--;
}

static void *serve(void *arg)
{
	struct hand *h = arg;
	struct crew *c = h->crew;

	pthread_mutex_lock(&c->lock);
	while (!c->ended) {
		if (c->n_waiting > 0)
			take_lane(c, h);
		else if (!c->leader)
			lead(c, h);
		else
			rest(c);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Under the lock. -errno: it is not there. */
static int add_hand(struct crew *c)
{
	_cleanup_(freep) struct hand *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->crew = c;
	r = c->events->equip(c->data, &h->tools);
	if (r)
		return r;
	r = pthread_create(&h->thread, NULL, serve, h);
	if (r) {
		c->events->strip(c->data, h->tools);
		return -r;
	}
	h->next = c->hands;
	c->hands = steal_ptr(h);
	c->n_hands++;
	return 0;
}

/* So many more hands are to look for something to do. Where no thread can be had, those there are get to it
 * later; so do those that are up and have not looked yet. */
static void call_hands(struct crew *c, uint32_t n)
{
	uint32_t n_needed = c->n_waiting + !c->leader;

	for (; n > 0 && !c->ended; n--) {
		if (c->n_resting > c->n_woken) {
			c->n_woken++;
			pthread_cond_signal(&c->work);
		} else if (c->n_hands - c->n_working < n_needed) {
			(void)!add_hand(c);
		}
	}
}

/* --- From outside ------------------------------------------------------------------------- */

int crew_new(struct crew **ret_crew, const struct crew_events *events, void *data)
{
	struct crew *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (c->timer_fd < 0) {
		int r = -errno;

		free(c);
		return r;
	}
	c->events = events;
	c->data = data;
	atomic_init(&c->watch_ns, WATCH_FIRST_NS);
	list_init(&c->waiting);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->quiet, NULL);
	pthread_cond_init(&c->over, NULL);
	*ret_crew = c;
	return 0;
}

int crew_start(struct crew *c)
{
	int r = -pthread_create(&c->watch, NULL, keep_watch, c);

	if (r)
		return r;
	c->watching = true;
	pthread_mutex_lock(&c->lock);
	r = add_hand(c);
	pthread_mutex_unlock(&c->lock);
	return r;
}

void crew_end(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	c->ended = true;
	pthread_cond_broadcast(&c->work);
	pthread_cond_broadcast(&c->quiet);
	pthread_cond_broadcast(&c->over);
	set_timer(c, 1);
	pthread_mutex_unlock(&c->lock);
}

void crew_wait_end(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->ended)
		pthread_cond_wait(&c->over, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

bool crew_wait_lane(struct crew *c, const struct lane *lane)
{
	bool idle;

	pthread_mutex_lock(&c->lock);
	while (atomic_load(&lane->busy) && !c->ended)
		pthread_cond_wait(&c->quiet, &c->lock);
	idle = !atomic_load(&lane->busy);
	pthread_mutex_unlock(&c->lock);
	return idle;
}

static bool is_idle(const struct crew *c)
{
	return c->n_waiting == 0 && c->n_working == 0 && !is_inside(c);
}

bool crew_is_idle(struct crew *c)
{
	bool is;

	pthread_mutex_lock(&c->lock);
	is = is_idle(c);
	pthread_mutex_unlock(&c->lock);
	return is;
}

struct crew *crew_free(struct crew *c)
{
	struct hand *h;

	if (!c)
		return NULL;
	crew_end(c);
	if (c->watching)
		pthread_join(c->watch, NULL);
	while ((h = c->hands)) {
		c->hands = h->next;
		pthread_join(h->thread, NULL);
		c->events->strip(c->data, h->tools);
		free(h);
	}
	/* What they hold is their models' to drop. */
	list_for_each (&c->waiting, node)
		list_remove(node);
	pthread_cond_destroy(&c->over);
	pthread_cond_destroy(&c->quiet);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	close_fd(&c->timer_fd);
	free(c);
	return NULL;
}

/* --- The leader ---------------------------------------------------------------------------- */

bool crew_leads(const struct hand *h)
{
	return h->leads && !atomic_load(&h->crew->ended);
}

bool crew_take(struct hand *h, struct lane *lane, uint64_t now_ns)
{
	struct crew *c = h->crew;

	assert(h->leads);
	if (atomic_load(&lane->busy))
		return false;
	atomic_store_explicit(&lane->busy, true, memory_order_relaxed);
	atomic_store_explicit(&h->run_ns, now_ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->n_begun, 1, memory_order_relaxed);
	atomic_store(&h->run, RUN_INSIDE);
	if (!atomic_load(&c->timer_set) && !atomic_exchange(&c->timer_set, true))
		set_timer(c, atomic_load(&c->watch_ns));
	return true;
}

static void put_waiting(struct crew *c, struct lane *lane)
{
	list_push_back(&c->waiting, &lane->node);
	c->n_waiting++;
}

/* What has come for the lane since then is there to be done, and this hand is free. */
static void give_back_deposed(struct crew *c, struct hand *h, struct lane *lane)
{
	pthread_mutex_lock(&c->lock);
	h->leads = false;
	atomic_store(&h->run, RUN_NONE);
	if (list_empty(&lane->jobs))
		atomic_store(&lane->busy, false);
	else
		put_waiting(c, lane);
	stop_working(c);
	pthread_mutex_unlock(&c->lock);
}

bool crew_give_back(struct hand *h, struct lane *lane)
{
	int inside = RUN_INSIDE;

	if (!atomic_compare_exchange_strong(&h->run, &inside, RUN_NONE)) {
		give_back_deposed(h->crew, h, lane);
		return false;
	}
	atomic_store(&lane->busy, false);
	return true;
}

void crew_push(struct hand *h, struct lane *lane, struct job *job)
{
	struct crew *c = h->crew;

	assert(h->leads);
	h->pushed = true;
	pthread_mutex_lock(&c->lock);
	list_push_back(&lane->jobs, &job->node);
	if (!atomic_exchange(&lane->busy, true))
		put_waiting(c, lane);
	pthread_mutex_unlock(&c->lock);
}

void crew_cancel(struct hand *h, struct lane *lane, uint64_t batch)
{
	struct crew *c = h->crew;
	struct job *waiting = NULL;

	assert(h->leads);
	pthread_mutex_lock(&c->lock);
	list_for_each (&lane->jobs, node) {
		struct job *job = list_entry(node, struct job, node);

		if (job->batch == batch)
			waiting = job;
	}
	if (waiting)
		waiting->cancelled = true;
	else
		set_cancelled(lane, batch);
	pthread_mutex_unlock(&c->lock);
}

bool crew_resign(struct hand *h)
{
	struct crew *c = h->crew;
	bool resigns;

	if (!h->pushed)
		return false;
	h->pushed = false;
	pthread_mutex_lock(&c->lock);
	resigns = c->n_waiting > 0 || c->ended;
	if (resigns) {
		h->leads = false;
		c->leader = NULL;
	}
	/* The channel and all lanes but the one that this hand will take. */
	call_hands(c, resigns ? c->n_waiting : 0);
	pthread_mutex_unlock(&c->lock);
	return resigns;
}

void crew_wait_idle(struct hand *h)
{
	struct crew *c = h->crew;

	assert(h->leads);
	pthread_mutex_lock(&c->lock);
	while (!is_idle(c) && !c->ended) {
		if (c->n_waiting > 0)
			take_lane(c, h);
		else
			pthread_cond_wait(&c->quiet, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
}

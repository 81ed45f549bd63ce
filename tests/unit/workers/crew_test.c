/*
 * crew_test.c: leader and followers, with a pipe for a channel: each byte is a command to the leader.
 */
#include "workers/crew.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_clock.h"
#include "tests/support/failalloc.h"
#include "workers/model.h"

/* What the leader is told. */
enum {
	QUICK = 'q', /* run lane 0 on the spot */
	STUCK = 's', /* the same, and stay in it until the gate opens */
	PUSH = 'p',  /* let a job wait for lane 0, which waits for the gate */
	OTHER = 'o', /* let a job wait for lane 1 */
	BOTH = 'b', /* the same, and then be stuck: as what comes in one record. The job waits for the gate, too */
	FIRST = '1', /* ... to '9': nobody waits for so many-th batch of lane 0 */
	END = 'e',
};

struct rig {
	struct crew *crew;
	struct model model;
	struct lane lanes[2];
	int pipe[2];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	bool holds_other; /* jobs of lane 1 wait for the gate */
	unsigned n_hands, n_leaders, n_deposed, n_quick, n_jobs[2];
	unsigned inside;    /* in lane 0 */
	uint64_t n_pushed;  /* to lane 0: the numbers of its batches */
	bool cancelled[10]; /* what they knew of themselves in the end, by number */
};

static void count(struct rig *g, unsigned *n)
{
	pthread_mutex_lock(&g->lock);
	++*n;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void wait_for(struct rig *g, const unsigned *n, unsigned value)
{
	pthread_mutex_lock(&g->lock);
	while (*n < value)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void wait_until_open(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void wait_for_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	cr_assert_eq(++g->inside, 1, "one at a time in a lane");
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	g->inside--;
	pthread_mutex_unlock(&g->lock);
}

static int equip(void *data, void **ret_tools)
{
	struct rig *g = data;

	*ret_tools = malloc(1);
	if (!*ret_tools)
		return -ENOMEM;
	g->n_hands++; /* under the crew's lock */
	return 0;
}

static void strip(void *data, void *tools)
{
	free(tools);
}

static void work(void *data, void *tools, struct lane *lane, struct job *job, bool last)
{
	struct rig *g = data;
	uint64_t batch = job->batch;

	free(job);
	if (lane->index == 0)
		wait_for_gate(g);
	else if (g->holds_other)
		wait_until_open(g);
	if (lane->index == 0 && batch < 10)
		g->cancelled[batch] = lane_is_cancelled(lane, batch);
	count(g, &g->n_jobs[lane->index]);
}

static void push(struct rig *g, struct hand *h, struct lane *lane)
{
	struct job *j = job_new(lane->index == 0 ? ++g->n_pushed : 0, NULL, 0);

	if (j)
		crew_push(h, lane, j);
}

static void command(struct rig *g, struct hand *h, char c)
{
	if (c == PUSH || c == OTHER) {
		push(g, h, &g->lanes[c == OTHER]);
	} else if (c == BOTH) {
		push(g, h, &g->lanes[1]);
		command(g, h, STUCK);
	} else if (c == END) {
		crew_end(g->crew);
	} else if (c >= FIRST && c <= '9') {
		crew_cancel(h, &g->lanes[0], (uint64_t)(c - '0'));
	} else if (!crew_take(h, &g->lanes[0], clock_ns())) {
		push(g, h, &g->lanes[0]);
	} else {
		if (c == STUCK)
			wait_for_gate(g);
		count(g, crew_give_back(h, &g->lanes[0]) ? &g->n_quick : &g->n_deposed);
	}
}

static void lead(void *data, struct hand *h, void *tools, void *from)
{
	struct rig *g = data;
	char c;

	count(g, &g->n_leaders);
	while (crew_leads(h) && !crew_resign(h)) {
		if (read(g->pipe[0], &c, 1) != 1)
			crew_end(g->crew);
		else
			command(g, h, c);
	}
}

static const struct crew_events events = {equip, strip, lead, work};

static void tell(struct rig *g, const char *commands)
{
	for (; *commands; commands++)
		cr_assert_eq(write(g->pipe[1], commands, 1), 1);
}

static void rig_init(struct rig *g)
{
	memset(g, 0, sizeof(*g));
	cr_assert_eq(pipe(g->pipe), 0);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	for (uint32_t i = 0; i < 2; i++)
		lane_init(&g->lanes[i], &g->model, i);
}

static void start(struct rig *g)
{
	rig_init(g);
	cr_assert_eq(crew_new(&g->crew, &events, g), 0);
	cr_assert_eq(crew_start(g->crew), 0);
}

static void open_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void close_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = false;
	pthread_mutex_unlock(&g->lock);
}

static void rig_deinit(struct rig *g)
{
	open_gate(g);
	for (uint32_t i = 0; i < 2; i++)
		lane_deinit(&g->lanes[i]);
	close_fd(&g->pipe[0]);
	close_fd(&g->pipe[1]);
}

static void end(struct rig *g)
{
	tell(g, "e");
	crew_wait_end(g->crew);
	open_gate(g);
	crew_free(g->crew);
	rig_deinit(g);
}

Test(crew, quick_runs_take_one_thread)
{
	struct rig g;

	/* None of them is long, however busy the host is. */
	fake_clock_stop(true);
	start(&g);
	tell(&g, "qqqqqqqq");
	wait_for(&g, &g.n_quick, 8);
	cr_assert_eq(g.n_hands, 1);
	cr_assert_eq(g.n_leaders, 1);
	cr_assert(crew_is_idle(g.crew));
	end(&g);
	fake_clock_stop(false);
}

Test(crew, lanes_run_beside_each_other_and_the_channel_is_read)
{
	struct rig g;

	start(&g);
	tell(&g, "p");
	wait_for(&g, &g.inside, 1);
	tell(&g, "po");
	wait_for(&g, &g.n_jobs[1], 1);
	cr_assert_eq(g.n_jobs[0], 0);
	cr_assert_not(crew_is_idle(g.crew));
	tell(&g, "o");
	wait_for(&g, &g.n_jobs[1], 2);
	open_gate(&g);
	wait_for(&g, &g.n_jobs[0], 2);
	cr_assert_leq(g.n_hands, 3);
	end(&g);
}

Test(crew, a_leader_that_is_stuck_is_deposed)
{
	struct rig g;

	start(&g);
	for (int i = 0; i < 3; i++) {
		tell(&g, "s");
		wait_for(&g, &g.inside, 1);
		/* Nobody but another leader can read this. */
		tell(&g, "op");
		wait_for(&g, &g.n_jobs[1], 1 + (unsigned)i);
		cr_assert_eq(g.n_jobs[0], (unsigned)i, "it waits for the lane");
		open_gate(&g);
		wait_for(&g, &g.n_jobs[0], 1 + (unsigned)i);
		wait_for(&g, &g.n_deposed, 1 + (unsigned)i);
		/* Else the next one finds its lane busy, and is a job like any other. */
		while (!crew_is_idle(g.crew))
			sched_yield();
		close_gate(&g);
	}
	end(&g);
}

Test(crew, who_is_called_for_a_lane_does_not_keep_another_from_leading)
{
	struct rig g;

	start(&g);
	g.holds_other = true;
	for (unsigned i = 0; i < 3; i++) {
		tell(&g, "b");
		wait_for(&g, &g.n_leaders, 2 + i);
		open_gate(&g);
		wait_for(&g, &g.n_jobs[1], 1 + i);
		wait_for(&g, &g.n_deposed, 1 + i);
		while (!crew_is_idle(g.crew))
			sched_yield();
		close_gate(&g);
	}
	end(&g);
}

/* A byte behind what is told: when its job is done, all of that was heard. */
static void tell_and_wait(struct rig *g, const char *commands)
{
	unsigned n = g->n_jobs[1];

	tell(g, commands);
	tell(g, "o");
	wait_for(g, &g->n_jobs[1], n + 1);
}

Test(crew, a_batch_learns_that_nobody_waits_for_it)
{
	struct rig g;

	start(&g);
	tell(&g, "p");
	wait_for(&g, &g.inside, 1);
	cr_assert_not(lane_is_cancelled(&g.lanes[0], 1));
	/* One that waits, and one that runs. */
	tell_and_wait(&g, "pp21");
	open_gate(&g);
	wait_for(&g, &g.n_jobs[0], 3);
	cr_assert(g.cancelled[1]);
	cr_assert(g.cancelled[2]);
	cr_assert_not(g.cancelled[3]);
	end(&g);
}

Test(crew, what_is_over_cannot_be_cancelled)
{
	struct rig g;

	start(&g);
	open_gate(&g);
	tell(&g, "p");
	wait_for(&g, &g.n_jobs[0], 1);
	close_gate(&g);
	tell_and_wait(&g, "1");
	tell(&g, "p");
	wait_for(&g, &g.inside, 1);
	tell_and_wait(&g, "p21");
	open_gate(&g);
	wait_for(&g, &g.n_jobs[0], 3);
	cr_assert(g.cancelled[2], "what is heard of an older one says nothing of it");
	cr_assert_not(g.cancelled[3]);
	end(&g);
}

Test(crew, a_lane_may_still_be_had_at_the_end)
{
	struct rig g;

	start(&g);
	cr_assert(crew_wait_lane(g.crew, &g.lanes[0]));
	tell(&g, "p");
	wait_for(&g, &g.inside, 1);
	crew_end(g.crew);
	cr_assert_not(crew_wait_lane(g.crew, &g.lanes[0]));
	end(&g);
}

Test(crew, ends_with_jobs_waiting)
{
	struct rig g;

	start(&g);
	tell(&g, "pppo");
	wait_for(&g, &g.n_jobs[1], 1);
	end(&g);
}

static int live(void *arg)
{
	struct rig g;
	int r;

	rig_init(&g);
	g.open = true;
	r = crew_new(&g.crew, &events, &g);
	if (!r)
		r = crew_start(g.crew);
	if (!r) {
		tell(&g, "qpoqpoe");
		crew_wait_end(g.crew);
	}
	g.crew = crew_free(g.crew);
	rig_deinit(&g);
	return r;
}

Test(crew, faults)
{
	FAULT_LOOP_KINDS(live, NULL, FAIL_ALLOCATIONS);
}

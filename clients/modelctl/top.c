/*
 * top.c: `modelctl top`: a live view of the daemon. On a terminal it is drawn anew in place; otherwise, or on a dumb one,
 * views are printed one after the other. modelctl, one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/kserve_call.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/screen.h"
#include "clients/modelctl/server_status.h"
#include "clients/modelctl/top_view.h"

#define INTERVAL_MAX_S 3600.0

static const char top_usage[] =
	"usage: modelctl top [options]\n"
	"\n"
	"Shows workers, GPUs, models and memory of the daemon as they change: requests\n"
	"and batches a second, how long requests took since the last look (MS) and how\n"
	"much of that the model ran (RUN MS). q ends it.\n"
	"\n"
	"  -i, --interval SEC   between two looks (default 1)\n"
	"  -1, --once           print one view, after one interval, and end\n"
	"\n"
	"Where standard input or output is no terminal, or a dumb one, views are printed\n"
	"one after the other. Options of every command: see modelctl --help.\n";

struct top {
	struct modelctl *m;	     /* borrow */
	struct grpc_client *client;  /* own */
	struct screen *screen;	     /* own; NULL: views are printed */
	struct top_look now, before; /* own */
	double interval_s;
	bool once;
};

static void top_release(struct top *t)
{
	screen_free(t->screen);
	top_look_release(&t->now);
	top_look_release(&t->before);
	grpc_client_free(t->client);
}

/* --- The command line --------------------------------------------------------------------------- */

static int take_option(void *data, int c, char *value)
{
	struct top *t = data;

	if (c == '1') {
		t->once = true;
		return 0;
	}
	if (c != 'i')
		return -1;
	if (!real_parse(value, &t->interval_s) && t->interval_s >= 0.01 &&
		t->interval_s <= INTERVAL_MAX_S)
		return 0;
	return modelctl_fail(MODELCTL_USAGE,
		"--interval '%s': seconds from 0.01 to %.0f are expected", value, INTERVAL_MAX_S);
}

/* An exit code, or -1 to go on. */
static int parse(struct top *t, int argc, char **argv)
{
	static const struct option options[] = {
		{"interval", required_argument, NULL, 'i'}, {"once", no_argument, NULL, '1'}, {0}};
	const struct modelctl_line line = {
		.usage = top_usage,
		.options = options,
		.take = take_option,
		.data = t,
		.arguments = "no argument",
	};
	int r = modelctl_parse(t->m, argc, argv, &line);

	if (r < 0 && t->m->json)
		return modelctl_fail(MODELCTL_USAGE,
			"top is for people: for programs there are status and stats -o json");
	return r;
}

/* --- Looks -------------------------------------------------------------------------------------- */

static int look(struct top *t)
{
	static const Inference__ModelStatisticsRequest all =
		INFERENCE__MODEL_STATISTICS_REQUEST__INIT;
	int r;

	top_look_release(&t->before);
	t->before = t->now;
	t->now = (struct top_look){0};
	r = modelctl_renew(t->m, &t->client);
	if (!r)
		r = server_status_fetch(t->m, t->client, &t->now.status);
	if (!r)
		r = kserve_call_on(t->m, t->client, "ModelStatistics", &all.base,
			&inference__model_statistics_response__descriptor,
			(void **)&t->now.statistics);
	t->now.at_ns = clock_ns();
	return r;
}

/* The view is put together in memory: a slow terminal never shows half of one with half of another. */
static int show(struct top *t)
{
	_cleanup_(freep) char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	top_view_print(out, &t->now, &t->before);
	if (fclose(out))
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	if (t->screen)
		screen_show(t->screen, text);
	else if (fputs(text, stdout) < 0 || (!t->once && putchar('\n') < 0) || fflush(stdout))
		return modelctl_fail(MODELCTL_FAILED, "cannot write: %s", err_str(-errno));
	return 0;
}

/* Until the next look is due. Returns whether there is to be one. */
static bool wait_on_screen(struct top *t)
{
	uint64_t due = clock_add(clock_ns(), (uint64_t)(t->interval_s * 1e9));

	for (;;) {
		uint64_t now = clock_ns();
		int ms = now < due ? (int)((due - now + NS_PER_MS - 1) / NS_PER_MS) : 0;
		enum screen_key key = screen_key(t->screen, ms);

		if (key == SCREEN_QUIT)
			return false;
		if (key == SCREEN_RESIZE && show(t))
			return false;
		if (clock_ns() >= due)
			return true;
	}
}

static void wait_an_interval(const struct top *t)
{
	double whole = (double)(time_t)t->interval_s;
	const struct timespec pause = {
		.tv_sec = (time_t)whole, .tv_nsec = (long)((t->interval_s - whole) * 1e9)};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static int run_on_screen(struct top *t)
{
	int r = screen_new(&t->screen);

	if (r)
		return modelctl_fail(MODELCTL_FAILED, "the terminal: %s", err_str(r));
	do {
		r = look(t);
		if (!r)
			r = show(t);
	} while (!r && wait_on_screen(t));
	if (!r)
		return r;
	/* What was said is gone with the page that it was said on. */
	t->screen = screen_free(t->screen);
	return modelctl_fail(r, "%s does not answer as it should", modelctl_address(t->m));
}

static int run_in_lines(struct top *t)
{
	int r = look(t);

	while (!r) {
		wait_an_interval(t);
		r = look(t);
		if (!r)
			r = show(t);
		if (t->once)
			break;
	}
	return r;
}

int command_top(struct modelctl *m, int argc, char **argv)
{
	struct top t = {.m = m, .interval_s = 1};
	int r = parse(&t, argc, argv);

	if (r < 0) {
		r = modelctl_connect(m, &t.client);
		if (!r)
			r = !t.once && screen_is_there() ? run_on_screen(&t) : run_in_lines(&t);
	}
	top_release(&t);
	return r;
}

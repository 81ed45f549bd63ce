/* log.c: `modelctl logs` and `modelctl events`: what the daemon keeps of its log. modelctl, one thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/modelctl.h"
#include "proto/control.pb-c.h"

#define LOG_PATH  "/modeld.control.v1.Control/GetLog"
#define REPLY_MAX (4u * 1024u * 1024u)
#define PAUSE_MS  300 /* between two looks for new lines */
#define LINES_MAX 1000000u

typedef Modeld__Control__V1__LogResponse Response;
typedef Modeld__Control__V1__LogLine Line;

static const char logs_usage[] =
	"usage: modelctl logs [options]\n"
	"\n"
	"Prints the last lines of the daemon's log that it keeps in memory ([server]\n"
	"log_keep_bytes); all of it is where its standard error goes, under systemd:\n"
	"journalctl -u modeld. Workers' own lines are there alone. On this host only.\n"
	"\n"
	"  -f, --follow         go on with new lines, until interrupted\n"
	"  -n, --lines N        only the last N\n"
	"\n"
	"Options of every command: see modelctl --help. With -o json each line is an\n"
	"object.\n";

static const char events_usage[] =
	"usage: modelctl events [options]\n"
	"\n"
	"Prints what happened to the daemon, its workers and its models, of late: the\n"
	"lines of modelctl logs that are not for debugging and not about one client.\n"
	"\n"
	"  -f, --follow         go on with new ones, until interrupted\n"
	"  -n, --lines N        only the last N\n"
	"\n"
	"Options of every command: see modelctl --help. With -o json each event is an\n"
	"object.\n";

struct reading {
	struct modelctl *m;	    /* borrow */
	struct grpc_client *client; /* own */
	bool events;		    /* not all lines */
	bool follows;
	uint64_t last;	/* so many at most, of those that are there; 0: all */
	uint64_t after; /* the number of the line that was seen last */
};

/* --- Lines -------------------------------------------------------------------------------------- */

static bool is_wanted(const struct reading *x, const Line *line)
{
	return !x->events || (strcmp(line->level, "debug") != 0 && !strstr(line->text, " client="));
}

/* "2026-01-31T12:00:00.123Z" */
static const char *time_text(uint64_t ns, char out[64])
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		return "?";
	n = strftime(out, 64, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, 64 - n, ".%03uZ", (unsigned)(ns % NS_PER_S / NS_PER_MS));
	return out;
}

static void print_line(const struct reading *x, const Line *line)
{
	char text[64];
	struct json j;

	if (!x->m->json) {
		(void)printf("%s %-7s %s\n", time_text(line->time_unix_ns, text), line->level,
			line->text);
		return;
	}
	json_init(&j, stdout);
	j.one_line = true;
	json_open(&j, NULL, '{');
	json_u64(&j, "number", line->number);
	json_string(&j, "time", time_text(line->time_unix_ns, text));
	json_string(&j, "level", line->level);
	json_string(&j, "text", line->text);
	json_close(&j, '}');
	json_end(&j);
}

static uint64_t count_wanted(const struct reading *x, const Response *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n_lines; i++)
		n += is_wanted(x, r->lines[i]);
	return n;
}

/* Those that are there are printed, but for `skip` at the front; *ret_skip: so many are to be left out yet. */
static void print_lines(struct reading *x, const Response *r, uint64_t *skip)
{
	if (r->n_lines > 0 && x->after > 0 && r->lines[0]->number > x->after + 1)
		(void)modelctl_fail(0, "%" PRIu64 " lines were not kept long enough to be seen",
			r->lines[0]->number - x->after - 1);
	for (size_t i = 0; i < r->n_lines; i++) {
		x->after = r->lines[i]->number;
		if (!is_wanted(x, r->lines[i]))
			continue;
		if (*skip > 0)
			(*skip)--;
		else
			print_line(x, r->lines[i]);
	}
}

/* --- The calls ---------------------------------------------------------------------------------- */

static int fetch(const struct reading *x, uint64_t after, Response **ret)
{
	Modeld__Control__V1__LogRequest q = MODELD__CONTROL__V1__LOG_REQUEST__INIT;
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	uint8_t packed[32];
	struct grpc_piece piece = {.data = packed};
	int r;

	q.after = after;
	piece.n = modeld__control__v1__log_request__pack(&q, packed);
	r = modelctl_call(x->m, x->client, LOG_PATH, &piece, 1, &reply);
	if (r)
		return r;
	*ret = modeld__control__v1__log_response__unpack(NULL, reply.len, reply.data);
	return *ret ? 0 : modelctl_fail(MODELCTL_FAILED, "the answer is malformed");
}

/* How many of those that are there are to be left out. What comes meanwhile does not count: each look may make a line. */
static int count_skipped(const struct reading *x, uint64_t *ret)
{
	uint64_t n = 0, after = 0, until = 0;
	bool more = x->last > 0;
	int r = 0;

	while (!r && more) {
		Response *answer = NULL;

		r = fetch(x, after, &answer);
		if (r)
			break;
		n += count_wanted(x, answer);
		until = until ? until : answer->last;
		if (answer->n_lines > 0)
			after = answer->lines[answer->n_lines - 1]->number;
		more = answer->n_lines > 0 && after < until;
		modeld__control__v1__log_response__free_unpacked(answer, NULL);
	}
	*ret = n > x->last && x->last > 0 ? n - x->last : 0;
	return r;
}

/* Another daemon than the one before, which counts from 1. */
static bool is_another(const struct reading *x, const Response *r)
{
	return r->last < x->after;
}

/* All that there is after x->after; what comes meanwhile is the next look's. */
static int print_all(struct reading *x, uint64_t *skip)
{
	uint64_t until = 0;

	for (bool more = true; more;) {
		Response *answer = NULL;
		int r = fetch(x, x->after, &answer);

		if (r)
			return r;
		more = answer->n_lines > 0;
		if (is_another(x, answer)) {
			(void)modelctl_fail(0, "another daemon answers: these are its lines");
			x->after = until = 0;
			more = true;
		}
		print_lines(x, answer, skip);
		until = until ? until : answer->last;
		more = more && x->after < until;
		modeld__control__v1__log_response__free_unpacked(answer, NULL);
	}
	return 0;
}

static int run(struct reading *x)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	uint64_t skip = 0;
	int r = modelctl_connect(x->m, &x->client);

	if (!r)
		r = count_skipped(x, &skip);
	while (!r) {
		r = print_all(x, &skip);
		if (fflush(stdout))
			return modelctl_fail(MODELCTL_FAILED, "cannot write: %s", err_str(-errno));
		if (r || !x->follows)
			break;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		r = modelctl_renew(x->m, &x->client);
	}
	return r;
}

/* --- The command line --------------------------------------------------------------------------- */

static int take_option(void *data, int c, char *value)
{
	struct reading *x = data;

	if (c == 'f') {
		x->follows = true;
		return 0;
	}
	if (c != 'n')
		return -1;
	if (!decimal_parse(value, &x->last) && x->last >= 1 && x->last <= LINES_MAX)
		return 0;
	return modelctl_fail(MODELCTL_USAGE, "--lines '%s': a number from 1 to %u is expected",
		value, LINES_MAX);
}

/* An exit code, or -1 to go on. */
static int parse(struct reading *x, int argc, char **argv)
{
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'}, {"lines", required_argument, NULL, 'n'}, {0}};
	const struct modelctl_line line = {
		.usage = x->events ? events_usage : logs_usage,
		.options = options,
		.take = take_option,
		.data = x,
		.arguments = "no argument",
	};

	return modelctl_parse(x->m, argc, argv, &line);
}

static int command(struct modelctl *m, bool events, int argc, char **argv)
{
	struct reading x = {.m = m, .events = events};
	int r = parse(&x, argc, argv);

	if (r < 0)
		r = run(&x);
	grpc_client_free(x.client);
	return r;
}

int command_logs(struct modelctl *m, int argc, char **argv)
{
	return command(m, false, argc, argv);
}

int command_events(struct modelctl *m, int argc, char **argv)
{
	return command(m, true, argc, argv);
}

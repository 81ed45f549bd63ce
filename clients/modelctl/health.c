/* health.c: `modelctl health` and `modelctl wait-ready`. modelctl, one thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/server_status.h"
#include "proto/health.pb-c.h"

#define CHECK_PATH "/grpc.health.v1.Health/Check"
#define WATCH_PATH "/grpc.health.v1.Health/Watch"
#define REPLY_MAX  (64u * 1024u)

static const char health_usage[] =
	"usage: modelctl health [NAME] [--watch] [options]\n"
	"\n"
	"Prints SERVING or NOT_SERVING for the whole server, or for NAME: a model or a\n"
	"service.\n"
	"\n"
	"  -w, --watch          print every change until interrupted\n"
	"\n"
	"Options of every command: see modelctl --help. Exit status 0 only when SERVING.\n";

static const char wait_usage[] =
	"usage: modelctl wait-ready [NAME] [options]\n"
	"\n"
	"Returns 0 as soon as the server (or the model NAME) is SERVING. A server that\n"
	"is not up yet is waited for. --timeout limits the whole wait (default 10).\n"
	"Models that are not ready are named.\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

/* Packed HealthCheckRequest. The caller frees. */
static uint8_t *pack_name(const char *name, size_t *ret_n)
{
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	uint8_t *out;

	request.service = (char *)name;
	out = malloc(grpc__health__v1__health_check_request__get_packed_size(&request) + 1);
	if (out)
		*ret_n = grpc__health__v1__health_check_request__pack(&request, out);
	return out;
}

/* The status in a reply; -1 where it is malformed. */
static int unpack_status(const uint8_t *message, size_t n)
{
	Grpc__Health__V1__HealthCheckResponse *r =
		grpc__health__v1__health_check_response__unpack(NULL, n, message);
	int status = r ? (int)r->status : -1;

	grpc__health__v1__health_check_response__free_unpacked(r, NULL);
	return status;
}

static const char *status_text(int status)
{
	static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

	return status >= 0 && status < 4 ? names[status] : "malformed reply";
}

static bool serving(int status)
{
	return status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}

static void print_status(const struct modelctl *m, const char *name, int status)
{
	struct json j;

	if (!m->json) {
		(void)printf("%s\n", status_text(status));
		return;
	}
	json_init(&j, stdout);
	j.one_line = true;
	json_open(&j, NULL, '{');
	json_string(&j, "name", name);
	json_string(&j, "status", status_text(status));
	json_close(&j, '}');
	json_end(&j);
}

struct watch {
	const struct modelctl *m; /* borrow */
	const char *name;	  /* borrow */
	bool until_serving;	  /* wait-ready: print nothing */
	int last;
};

static void on_watch(void *data, const uint8_t *message, size_t n)
{
	struct watch *w = data;

	w->last = unpack_status(message, n);
	if (w->until_serving)
		return;
	print_status(w->m, w->name, w->last);
	(void)fflush(stdout);
}

static int check(const struct modelctl *m, const char *name)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	_cleanup_(freep) uint8_t *request = NULL;
	struct grpc_piece piece = {0};
	int r = modelctl_connect(m, &c);
	int status;

	if (r)
		return r;
	request = pack_name(name, &piece.n);
	if (!request)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	piece.data = request;
	r = modelctl_call(m, c, CHECK_PATH, &piece, 1, &reply);
	if (r)
		return r;
	status = unpack_status(reply.data, reply.len);
	print_status(m, name, status);
	return serving(status) ? MODELCTL_OK : MODELCTL_FAILED;
}

/*
 * Watch until the call ends, the deadline passes or (w->until_serving) it is serving. 0; -errno of
 * grpc_client_run(); or the call's end as -ECONNABORTED.
 */
static int watch(
	struct grpc_client *c, struct watch *w, uint64_t deadline_ns, char *text, size_t cap)
{
	_cleanup_(freep) uint8_t *request = NULL;
	_cleanup_(grpc_call_freep) struct grpc_call *k = NULL;
	struct grpc_piece piece = {0};
	const struct grpc_call_options options = {
		.path = WATCH_PATH,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = CLOCK_NO_DEADLINE,
		.max_message_bytes = REPLY_MAX,
		.on_message = on_watch,
		.data = w,
	};
	int r;

	request = pack_name(w->name, &piece.n);
	piece.data = request;
	r = request ? grpc_call_new(&k, c, &options) : -ENOMEM;
	while (!r && !grpc_call_done(k) && !(w->until_serving && serving(w->last)))
		r = grpc_client_run(c, NULL, deadline_ns);
	if (k && grpc_call_done(k)) {
		(void)snprintf(text, cap, "%s: %s", grpc_status_name((int)grpc_call_status(k)),
			grpc_call_message(k));
		return -ECONNABORTED;
	}
	return r;
}

static int follow(const struct modelctl *m, const char *name)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	struct watch w = {.m = m, .name = name, .last = -1};
	char text[GRPC_MESSAGE_MAX + 64] = "the connection was lost";
	int r = modelctl_connect(m, &c);

	if (r)
		return r;
	if (watch(c, &w, CLOCK_NO_DEADLINE, text, sizeof(text)))
		return modelctl_fail(MODELCTL_FAILED, "%s", text);
	return MODELCTL_OK;
}

static int take_watch(void *data, int c, char *value)
{
	bool *follows = data;

	if (c != 'w')
		return -1;
	*follows = true;
	return 0;
}

int command_health(struct modelctl *m, int argc, char **argv)
{
	static const struct option options[] = {{"watch", no_argument, NULL, 'w'}, {0}};
	bool follows = false;
	const struct modelctl_line line = {
		.usage = health_usage,
		.options = options,
		.take = take_watch,
		.data = &follows,
		.n_max = 1,
		.arguments = "one NAME at most",
	};
	int r = modelctl_parse(m, argc, argv, &line);

	if (r >= 0)
		return r;
	return (follows ? follow : check)(m, optind < argc ? argv[optind] : "");
}

/* A server that does not answer yet is tried again after a pause that grows. */
static void pause_before_retry(unsigned attempt)
{
	const long ms = attempt < 6 ? 10L << attempt : 500;
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static bool is_at_fault(const Modeld__Control__V1__ModelStatus *s)
{
	return strcmp(s->state, "ready") != 0 && strcmp(s->state, "loading") != 0;
}

/* Each model that is not ready, and why; of one name, or of all (""). */
static void name_faults(const struct modelctl *m, struct grpc_client *c, const char *name)
{
	_cleanup_(server_status_freep) Modeld__Control__V1__ServerStatusResponse *s = NULL;

	if (server_status_fetch(m, c, &s))
		return;
	for (size_t i = 0; i < s->n_models; i++) {
		const Modeld__Control__V1__ModelStatus *model = s->models[i];

		if (is_at_fault(model) && (!*name || !strcmp(model->name, name)))
			(void)modelctl_fail(0, "model %s%s%s is %s: %s", model->name,
				*model->version ? ":" : "", model->version, model->state,
				*model->detail ? model->detail : "no reason is known");
	}
}

int command_wait_ready(struct modelctl *m, int argc, char **argv)
{
	static const struct modelctl_line line = {
		.usage = wait_usage, .n_max = 1, .arguments = "one NAME at most"};
	struct watch w = {.m = m, .until_serving = true, .last = -1};
	char text[GRPC_MESSAGE_MAX + 64] = "nobody answers";
	uint64_t deadline;
	int r = modelctl_parse(m, argc, argv, &line);

	if (r >= 0)
		return r;
	w.name = optind < argc ? argv[optind] : "";
	deadline = clock_add(clock_ns(), m->timeout_ns);
	for (unsigned attempt = 0; clock_ns() < deadline; attempt++) {
		_cleanup_(grpc_client_freep) struct grpc_client *client = NULL;

		if (!grpc_client_new(&client, modelctl_address(m), deadline - clock_ns(), text,
			    sizeof(text))) {
			(void)watch(client, &w, deadline, text, sizeof(text));
			if (serving(w.last) || clock_ns() >= deadline)
				name_faults(m, client, w.name);
			if (serving(w.last))
				return MODELCTL_OK;
		}
		if (clock_ns() < deadline)
			pause_before_retry(attempt);
	}
	if (w.last >= 0)
		return modelctl_fail(MODELCTL_FAILED, "%s is %s, not SERVING, after %.3g s",
			*w.name ? w.name : "the server", status_text(w.last),
			(double)m->timeout_ns / 1e9);
	return modelctl_fail(MODELCTL_UNREACHABLE, "%s", text);
}

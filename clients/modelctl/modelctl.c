/* modelctl.c: what the commands share: options, the connection, a call, and how a failure is told. */
#include "clients/modelctl/modelctl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/c/connect.h"

int modelctl_fail(int code, const char *format, ...)
{
	va_list args;

	(void)fputs("modelctl: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return code;
}

static int parse_timeout(struct modelctl *m, const char *value)
{
	double seconds;

	if (real_parse(value, &seconds) || seconds <= 0 || seconds > 1e9)
		return modelctl_fail(MODELCTL_USAGE,
			"--timeout '%s': a number of seconds above 0 is expected", value);
	m->timeout_ns = (uint64_t)(seconds * 1e9);
	return 0;
}

static int parse_format(struct modelctl *m, const char *value)
{
	m->json = !strcmp(value, "json");
	m->wide = !strcmp(value, "wide");
	if (m->json || m->wide || !strcmp(value, "table"))
		return 0;
	return modelctl_fail(
		MODELCTL_USAGE, "--format '%s': json, table or wide is expected", value);
}

int modelctl_option(struct modelctl *m, int c, const char *value)
{
	switch (c) {
	case 'a':
		m->address = value;
		return 0;
	case 't':
		return parse_timeout(m, value);
	case 'j':
		m->json = true;
		return 0;
	case 'o':
	case 'O':
		return parse_format(m, value);
	case 'W':
		m->watch = true;
		return 0;
	default:
		return -1;
	}
}

const char *modelctl_address(const struct modelctl *m)
{
	return m->address ? m->address : connect_first(&m->places);
}

/* The last place is the one that `text` is about. */
static int nobody_answers(const struct modelctl *m, const char *text)
{
	char looked[512] = "";
	size_t n = 0;

	for (size_t i = 0; i + 1 < m->places.n && n < sizeof(looked); i++)
		n += (size_t)snprintf(looked + n, sizeof(looked) - n, "%s%s", i ? ", " : "",
			m->places.address[i]);
	return modelctl_fail(MODELCTL_UNREACHABLE,
		"%s; nobody answers at %s either: is modeld running? --address names another place",
		text, looked);
}

int modelctl_connect(const struct modelctl *m, struct grpc_client **ret_client)
{
	char text[512];

	int r = grpc_client_new(ret_client, modelctl_address(m), m->timeout_ns, text, sizeof(text));

	if (!r)
		return 0;
	if (m->address)
		return modelctl_fail(
			r == -EINVAL ? MODELCTL_USAGE : MODELCTL_UNREACHABLE, "%s", text);
	if (m->places.n == 1)
		return modelctl_fail(r == -EINVAL ? MODELCTL_USAGE : MODELCTL_UNREACHABLE,
			"%s ($MODELD_ADDRESS names it)", text);
	return nobody_answers(m, text);
}

int modelctl_renew(const struct modelctl *m, struct grpc_client **client)
{
	while (grpc_client_run(*client, NULL, 0) == 0)
		;
	if (!grpc_client_is_going(*client))
		return 0;
	*client = grpc_client_free(*client);
	return modelctl_connect(m, client);
}

struct reply {
	struct buf *buf; /* borrow */
	int error;
};

static void on_reply(void *data, const uint8_t *message, size_t n)
{
	struct reply *r = data;

	buf_reset(r->buf);
	r->error = buf_append(r->buf, message, n);
}

static int print_usage(int c, const char *usage)
{
	if (fputs(usage, c == 'h' ? stdout : stderr) < 0)
		return MODELCTL_FAILED;
	return c == 'h' ? MODELCTL_OK : MODELCTL_USAGE;
}

/* Those of every command and those of its own, and the short ones of both. */
struct options {
	struct option longs[MODELCTL_OWN_MAX + 8];
	char shorts[sizeof(MODELCTL_SHORT) + 2 * MODELCTL_OWN_MAX];
};

static void list_options(struct options *all, const struct option *own)
{
	static const struct option common[] = {MODELCTL_OPTIONS};
	const size_t n_common = sizeof(common) / sizeof(common[0]);
	char *s = all->shorts + sizeof(MODELCTL_SHORT) - 1;

	*all = (struct options){.shorts = MODELCTL_SHORT};
	memcpy(all->longs, common, sizeof(common));
	for (size_t i = 0; own && own[i].name; i++) {
		assert(i < MODELCTL_OWN_MAX);
		all->longs[n_common + i] = own[i];
		if (!islower(own[i].val) && !isdigit(own[i].val))
			continue;
		*s++ = (char)own[i].val;
		if (own[i].has_arg == required_argument)
			*s++ = ':';
	}
}

int modelctl_parse(struct modelctl *m, int argc, char **argv, const struct modelctl_line *line)
{
	struct options all;
	int c;

	list_options(&all, line->options);
	while ((c = getopt_long(argc, argv, all.shorts, all.longs, NULL)) != -1) {
		int r = line->take ? line->take(line->data, c, optarg) : -1;

		if (r < 0)
			r = modelctl_option(m, c, optarg);
		if (r)
			return r > 0 ? r : print_usage(c, line->usage);
	}
	if (argc - optind < line->n_min || argc - optind > line->n_max)
		return modelctl_fail(MODELCTL_USAGE, "%s takes %s", argv[0], line->arguments);
	return -1;
}

/* 0: the server has answered, *ret_call says what; else an exit code. */
static int run_call(const struct modelctl *m, struct grpc_client *c, const char *path,
	const struct grpc_piece *pieces, size_t n_pieces, struct buf *reply,
	struct grpc_call **ret_call)
{
	struct reply r = {.buf = reply};
	const struct grpc_call_options options = {
		.path = path,
		.pieces = pieces,
		.n_pieces = n_pieces,
		.timeout_ns = m->timeout_ns,
		.max_message_bytes = reply->max,
		.on_message = on_reply,
		.data = &r,
	};
	int e = grpc_call_new(ret_call, c, &options);

	/* The server keeps the deadline; ours is a little later and only for a server that is stuck. */
	if (!e)
		e = grpc_client_run(c, *ret_call, clock_add(clock_ns(), m->timeout_ns + NS_PER_S));
	if (e && !(*ret_call && grpc_call_done(*ret_call)))
		return modelctl_fail(
			MODELCTL_UNREACHABLE, "%s: %s: %s", modelctl_address(m), path, err_str(e));
	if (grpc_call_status(*ret_call) == GRPC_OK && r.error)
		return modelctl_fail(MODELCTL_FAILED, "%s: %s", path, err_str(r.error));
	return 0;
}

int modelctl_call(const struct modelctl *m, struct grpc_client *c, const char *path,
	const struct grpc_piece *pieces, size_t n_pieces, struct buf *reply)
{
	_cleanup_(grpc_client_freep) struct grpc_client *other = NULL;
	_cleanup_(grpc_call_freep) struct grpc_call *k = NULL;
	bool over = grpc_client_is_going(c);
	int r = over ? 0 : run_call(m, c, path, pieces, n_pieces, reply, &k);

	/* What this connection has not begun goes over one of its own. */
	if (!r && (over || grpc_call_is_refused(k))) {
		k = grpc_call_free(k);
		r = modelctl_connect(m, &other);
		if (!r)
			r = run_call(m, other, path, pieces, n_pieces, reply, &k);
	}
	if (r)
		return r;
	if (grpc_call_is_lost(k))
		return modelctl_fail(MODELCTL_UNREACHABLE, "%s: %s: %s", modelctl_address(m), path,
			grpc_call_message(k));
	if (grpc_call_status(k) != GRPC_OK)
		return modelctl_fail(MODELCTL_FAILED, "%s: %s: %s", path,
			grpc_status_name((int)grpc_call_status(k)), grpc_call_message(k));
	return 0;
}

/*
 * modeld.c: libmodeld's connection as its user sees it: the handoff socket, over which memory is passed and, unless
 * gRPC is asked for, requests go.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "clients/c/connect.h"
#include "clients/c/modeld_private.h"

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)
#define ADDRESS_MAX	   512u

static void drop_all(struct modeld *m)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++) {
		list_for_each (&m->open[i], node)
			call_free(list_entry(node, struct modeld_call, node));
	}
	list_for_each (&m->ended, node)
		call_free(list_entry(node, struct modeld_call, node));
	list_for_each (&m->idle_calls, node)
		call_free(list_entry(node, struct modeld_call, node));
	list_for_each (&m->idle_results, node)
		result_drop(list_entry(node, struct modeld_result, node));
	list_for_each (&m->regions, node)
		region_drop(list_entry(node, struct modeld_region, node));
	/* Results belong to the caller, who frees them. */
	list_for_each (&m->results, node) {
		list_entry(node, struct modeld_result, node)->m = NULL;
		list_entry(node, struct modeld_result, node)->room = NULL;
		list_remove(node);
	}
}

void modeld_close(struct modeld *m)
{
	if (!m)
		return;
	close_fd(&m->fd);
	drop_all(m);
	channel_close(m);
	handoff_scratch_free(m->scratch);
	free(m->record);
	free(m->path);
	free(m->address);
	free(m);
}

static void modeld_closep(struct modeld **m)
{
	modeld_close(*m);
}

/* NULL: out of memory */
static char *copy(const char *text)
{
	size_t n = strlen(text) + 1;
	char *made = malloc(n);

	return made ? memcpy(made, text, n) : NULL;
}

/* Without a connection; NULL when out of memory. */
static struct modeld *modeld_new(const char *path)
{
	_cleanup_(modeld_closep) struct modeld *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->fd = -1;
	m->watch = -1;
	list_init(&m->ending);
	m->next_seq = 1;
	m->on_answer = call_answer;
	m->on_lost = call_all_over;
	for (size_t i = 0; i < CALL_BUCKETS; i++)
		list_init(&m->open[i]);
	list_init(&m->ended);
	list_init(&m->regions);
	list_init(&m->results);
	list_init(&m->idle_calls);
	list_init(&m->idle_results);
	m->path = copy(path);
	m->record = malloc(HANDOFF_MESSAGE_MAX);
	if (!m->path || !m->record || handoff_scratch_new(&m->scratch))
		return NULL;
	m->lost.code = MODELD_E_SYSTEM; /* not connected yet */
	return steal_ptr(m);
}

/* The first that is there and not empty. */
static const char *first(const char *given, const char *variable, const char *otherwise)
{
	const char *value = given ? given : secure_getenv(variable);

	return value && *value ? value : otherwise;
}

/* Where gRPC is, which is asked for. */
static int find_grpc(
	struct modeld *m, const struct modeld_options *options, struct modeld_error *error)
{
	char beside[ADDRESS_MAX];
	const char *slash = strrchr(m->path, '/');
	int n = snprintf(beside, sizeof(beside), "unix:%.*s" PLACES_SOCKET,
		slash ? (int)(slash - m->path) + 1 : 0, m->path);

	if (n < 0 || (size_t)n >= sizeof(beside))
		return error_set(error, MODELD_E_USAGE, "%s: the path is too long", m->path);
	m->address = copy(first(options->address, "MODELD_ADDRESS", beside));
	return m->address ? 0 : error_system(error, -ENOMEM, "a connection");
}

/* Where the handoff socket is: what somebody says, else beside the gRPC socket, wherever that is. */
static const char *handoff_path(const struct modeld_options *options, char *beside, size_t cap)
{
	const char *said = first(options->handoff, "MODELD_HANDOFF", "");
	struct places p;

	if (*said)
		return said;
	places_list(&p, options->address);
	if (places_handoff(connect_first(&p), beside, cap))
		return beside;
	return PLACES_SYSTEM_DIR "/" PLACES_HANDOFF;
}

int modeld_connect(struct modeld **ret_modeld, const struct modeld_options *options,
	struct modeld_error *error)
{
	static const struct modeld_options defaults = {0};
	_cleanup_(modeld_closep) struct modeld *m = NULL;
	char beside[ADDRESS_MAX];
	int e;

	if (!options)
		options = &defaults;
	m = modeld_new(handoff_path(options, beside, sizeof(beside)));
	if (!m)
		return error_system(error, -ENOMEM, "a connection");
	m->timeout_ns = DEFAULT_TIMEOUT_NS;
	if (options->timeout_us &&
		__builtin_mul_overflow(options->timeout_us, NS_PER_US, &m->timeout_ns))
		m->timeout_ns = CLOCK_NO_DEADLINE;
	m->busy_poll_us = options->busy_poll_us;
	e = options->grpc ? find_grpc(m, options, error) : 0;
	if (!e)
		e = connection_ready(m, clock_add(clock_ns(), m->timeout_ns), error);
	if (e)
		return e;
	*ret_modeld = steal_ptr(m);
	return 0;
}

int modeld_descriptor(const struct modeld *m)
{
	return m->address ? channel_descriptor(m) : m->fd;
}

int modeld_get_limits(
	struct modeld *m, struct modeld_limits *ret_limits, struct modeld_error *error)
{
	struct handoff_limits limits;
	int e = connection_limits(m, clock_add(clock_ns(), m->timeout_ns), &limits, error);

	if (e)
		return e;
	*ret_limits = (struct modeld_limits){
		.total_bytes = limits.total_bytes,
		.total_used_bytes = limits.total_used_bytes,
		.user_bytes = limits.user_bytes,
		.user_used_bytes = limits.user_used_bytes,
		.user_regions = limits.user_regions,
		.user_used_regions = limits.user_used_regions,
		.max_inline_bytes = limits.max_inline_bytes,
		.max_requests = limits.max_requests,
		.busy_poll_us = limits.busy_poll_us,
		.user_device_bytes = limits.user_device_bytes,
		.user_device_used_bytes = limits.user_device_used_bytes,
	};
	return 0;
}

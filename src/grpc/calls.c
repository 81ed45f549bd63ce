/* calls.c: the door of src/grpc: what calls share. Daemon process, loop thread. */
#include "grpc/calls.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "grpc/call_private.h"
#include "grpc/page.h"

static void on_forget(void *data, void *kept)
{
	struct calls *s = data;

	s->events->on_connection_gone(s->data, kept);
}

static void on_drained(void *data)
{
	struct calls *s = data;

	s->events->on_drained(s->data);
}

static const struct transport_events transport_events = {
	.streams = &call_events,
	.on_stranger = page_for_http1,
	.on_forget = on_forget,
	.on_drained = on_drained,
};

static void on_next_turn(struct deadline *d)
{
	struct calls *s = container_of(d, struct calls, next_turn);

	s->transport->now_ns = clock_ns();
	call_compress_next_turn(s);
	call_turn_next(s, call_receive_held);
	call_receive_next_turn(s);
}

static enum codec reply_codec(const struct grpc_settings *settings)
{
	if (!strcmp(settings->compression, "none"))
		return CODEC_IDENTITY;
	return codec_parse(settings->compression, strlen(settings->compression));
}

int calls_new(struct calls **ret_calls, uv_loop_t *loop, const struct http2_settings *http2,
	const struct grpc_settings *settings, const struct calls_events *events, void *data)
{
	_cleanup_(calls_freep) struct calls *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->settings = settings;
	s->events = events;
	s->data = data;
	s->reply_codec = reply_codec(settings);
	if (s->reply_codec == CODEC_UNKNOWN)
		return -EINVAL;
	list_init(&s->late);
	list_init(&s->inflating);
	list_init(&s->compressing);
	s->next_turn.on_due = on_next_turn;
	s->inflate_buffer = malloc(CALL_INFLATE_BYTES);
	if (!s->inflate_buffer)
		return -ENOMEM;
	r = transport_new(&s->transport, loop, http2, &transport_events, s);
	if (!r)
		*ret_calls = steal_ptr(s);
	return r;
}

struct transport *calls_transport(struct calls *s)
{
	return s->transport;
}

void calls_drain(struct calls *s)
{
	s->draining = true;
	transport_drain(s->transport);
}

void calls_kill(struct calls *s)
{
	s->draining = true;
	transport_kill(s->transport);
}

struct calls_counters calls_counters(const struct calls *s)
{
	struct calls_counters counters = s->counters;

	counters.held_bytes = transport_held_bytes(s->transport);
	counters.compressing_bytes = s->compressing_bytes;
	return counters;
}

/* Whatever somebody was charged for is back. */
static void close_accounts(const struct calls *s)
{
	const struct calls_counters counters = calls_counters(s);

	log_debug("accounts of calls",
		"connections=%" PRIu32 " calls=%" PRIu32 " held_bytes=%" PRIu64
		" compressing_bytes=%" PRIu64,
		transport_n_connections(s->transport), counters.open, counters.held_bytes,
		counters.compressing_bytes);
	assert(counters.open == 0 && counters.held_bytes == 0 && counters.compressing_bytes == 0);
}

struct calls *calls_free(struct calls *s)
{
	if (!s)
		return NULL;
	if (s->transport) {
		close_accounts(s);
		deadline_clear(&s->transport->deadlines, &s->next_turn);
	}
	transport_free(s->transport);
	inflater_free(s->spare_inflater);
	free(s->inflate_buffer);
	free(s);
	return NULL;
}

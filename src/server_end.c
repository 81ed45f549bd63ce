/* server_end.c: how struct server comes to its end, once it is told to. Daemon process, main thread. */
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "handoff/handoff.h"
#include "models/lifecycle.h"
#include "server_private.h"
#include "services/frontend.h"

/* What is left of drain_timeout_s for answers to calls that a model still holds: a fifth, and no more than
 * this. */
#define ENDING_MS_MAX 2000u

static const char *const state_names[] = {
	[SERVER_STARTING] = "starting",
	[SERVER_SERVING] = "serving",
	[SERVER_DRAINING] = "draining",
	[SERVER_STOPPED] = "stopped",
};

const char *server_state_name(enum server_state state)
{
	return state_names[state];
}

void server_give_up(struct server *s, int exit_code)
{
	s->exit_code = exit_code;
	s->killed = true;
	s->frontend_drained = s->handoff_drained = true;
	handoff_kill(s->handoff);
	dispatch_kill(s->dispatch);
}

void server_kill(struct server *s)
{
	if (s->killed)
		return;
	s->killed = true;
	lifecycle_stop(s->lifecycle);
	s->exit_code = SERVER_EXIT_INTERNAL;
	if (!s->ending)
		dispatch_kill(s->dispatch);
	handoff_kill(s->handoff);
	frontend_kill(s->frontend);
}

static uint64_t ending_ms(const struct server *s)
{
	uint64_t part = s->config->drain_timeout_ms / 5;

	return part < ENDING_MS_MAX ? part : ENDING_MS_MAX;
}

static void on_drain_timeout(uv_timer_t *h)
{
	struct server *s = h->data;

	log_warning("drain timed out: ending at once", "drain_timeout_s=%llu calls=%u",
		(unsigned long long)(s->config->drain_timeout_ms / 1000),
		frontend_n_calls(s->frontend));
	server_kill(s);
}

/* A model that hangs, or is only slow, must not keep its callers from an answer. */
static void on_drain_ending(uv_timer_t *h)
{
	struct server *s = h->data;

	log_warning("drain takes long: what runs is ended", "drain_timeout_s=%llu calls=%u",
		(unsigned long long)(s->config->drain_timeout_ms / 1000),
		frontend_n_calls(s->frontend));
	s->ending = true;
	dispatch_kill(s->dispatch);
	uv_timer_start(&s->drain_timer, on_drain_timeout, ending_ms(s), 0);
}

void server_drain(struct server *s)
{
	s->state = SERVER_DRAINING;
	/* A successor that has not begun to serve ends, too. */
	succession_let_go(&s->succession);
	lifecycle_stop(s->lifecycle);
	manager_tell(&s->manager, "STOPPING=1\nSTATUS=draining", true);
	frontend_drain(s->frontend);
	handoff_drain(s->handoff);
	uv_timer_start(
		&s->drain_timer, on_drain_ending, s->config->drain_timeout_ms - ending_ms(s), 0);
}

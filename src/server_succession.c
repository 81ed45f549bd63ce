/* server_succession.c: struct server as the one before, and as the one after another daemon (succession.h). Main thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "server_private.h"
#include "services/frontend.h"

struct doors server_doors(const struct server *s)
{
	return (struct doors){s->config, s->frontend, s->handoff};
}

bool server_succeed(struct server *s)
{
	const struct doors doors = server_doors(s);
	int r = doors_open(&doors);

	if (r)
		server_give_up(s, r);
	else
		succession_tell(&s->succession);
	return r == 0;
}

static void on_successor(void *data, pid_t successor)
{
	struct server *s = data;
	const struct doors doors = server_doors(s);

	log_info("another process serves now: this one ends", "pid=%d calls=%u", (int)successor,
		frontend_n_calls(s->frontend));
	doors_let_go(&doors);
	manager_hand_over(&s->manager, successor);
	server_drain(s);
}

static void on_alone(void *data, bool early)
{
	struct server *s = data;
	const struct doors doors = server_doors(s);

	if (s->state == SERVER_DRAINING || s->state == SERVER_STOPPED)
		return;
	if (early) {
		log_warning("the daemon before this one has ended: so does this one", "state=%s",
			server_state_name(s->state));
		server_give_up(s, SERVER_EXIT_OK);
		return;
	}
	doors_take_over(&doors);
	doors_store(&doors);
	manager_tell(&s->manager, "READY=1\nSTATUS=serving", false);
}

static void tell_failure(struct server *s, const char *why)
{
	manager_tell_status(
		&s->manager, "serving; takeover %" PRIu32 " has failed: %s", s->n_takeovers, why);
}

static void on_failure(void *data, pid_t started)
{
	struct server *s = data;
	char why[48];

	snprintf(why, sizeof(why), "process %d has ended", (int)started);
	if (s->state == SERVER_SERVING)
		tell_failure(s, why);
}

const struct succession_events server_succession_events = {
	.on_successor = on_successor, .on_failure = on_failure, .on_alone = on_alone};

static int start_successor(struct server *s)
{
	const struct doors doors = server_doors(s);
	int fds[SUCCESSION_SOCKETS_MAX];
	size_t n = doors_sockets(&doors, fds, SUCCESSION_SOCKETS_MAX);
	int r = s->program && s->state == SERVER_SERVING
			? succession_begin(&s->succession, s->program, s->argv, fds, n)
			: -EBUSY;

	if (r) {
		log_error("no process can be started to take our place", "program=%s error=%s",
			s->program ? s->program : "", err_str(r));
		return r;
	}
	log_info("a process is started to take our place", "program=%s pid=%d sockets=%zu",
		s->program, (int)s->succession.successor, n);
	return 0;
}

void server_begin_succession(struct server *s)
{
	bool under_way = s->succession.successor != 0;
	int r = start_successor(s);

	if (under_way || s->state != SERVER_SERVING)
		return;
	s->n_takeovers++;
	if (r)
		tell_failure(s, err_str(r));
	else
		manager_tell_status(&s->manager, "serving; takeover %" PRIu32 ": process %d starts",
			s->n_takeovers, (int)s->succession.successor);
}

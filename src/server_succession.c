/* server_succession.c: struct server as the one before, and as the one after another daemon (succession.h). Main thread. */
#include <errno.h>

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

const struct succession_events server_succession_events = {
	.on_successor = on_successor, .on_alone = on_alone};

void server_begin_succession(struct server *s)
{
	const struct doors doors = server_doors(s);
	int fds[SUCCESSION_SOCKETS_MAX];
	size_t n = doors_sockets(&doors, fds, SUCCESSION_SOCKETS_MAX);
	int r = s->program && s->state == SERVER_SERVING
			? succession_begin(&s->succession, s->program, s->argv, fds, n)
			: -EBUSY;

	if (r)
		log_error("no process can be started to take our place", "program=%s error=%s",
			s->program ? s->program : "", err_str(r));
	else
		log_info("a process is started to take our place", "program=%s pid=%d sockets=%zu",
			s->program, (int)s->succession.successor, n);
}

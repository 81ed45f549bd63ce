/* server_private.h: struct server, for the files of it alone: server.c > server_succession.c > server_end.c. */
#ifndef SERVER_PRIVATE_H
#define SERVER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "doors.h"
#include "manager.h"
#include "models_source.h"
#include "server.h"
#include "succession.h"
#include "trace/tracer.h"
#include "turn.h"

#define N_SIGNALS 4u

enum server_state {
	SERVER_STARTING,
	SERVER_SERVING,
	SERVER_DRAINING,
	SERVER_STOPPED,
};

struct server {
	const struct config *config; /* borrow */
	uv_loop_t loop;
	struct turn turn;
	uv_signal_t signals[N_SIGNALS];
	uv_signal_t child; /* SIGCHLD: for orphans; workers are seen through their pidfds */
	uv_timer_t drain_timer;
	struct manager manager;
	struct succession succession;
	const char *program; /* borrow: of a successor; NULL: there is to be none */
	char *const *argv;   /* borrow */
	struct models_source source;
	struct log_ring *log;	     /* own; NULL: no lines are kept */
	struct spool *spool;	     /* own; NULL: no files of models are taken */
	struct dispatch *dispatch;   /* own */
	struct lifecycle *lifecycle; /* own */
	struct handoff *handoff;     /* own */
	struct frontend *frontend;   /* own */
	struct metrics *metrics;     /* own; NULL: nowhere to be seen */
	struct tracer *tracer;	     /* own; NULL: nothing is traced */
	enum server_state state;
	uint64_t started_ns;
	uint32_t n_takeovers; /* that were begun by this process */
	bool loop_open;
	bool look_for_orphans;
	bool ending; /* work is ended: the last part of drain_timeout_s */
	bool killed;
	bool frontend_drained; /* or it never listened */
	bool handoff_drained;
	bool dispatch_drained;
	int exit_code;
};

const char *server_state_name(enum server_state state);

/* --- The end (server_end.c) -------------------------------------------------------------------- */

/* No new work; what is in flight finishes, or is ended when drain_timeout_s is nearly over. */
void server_drain(struct server *s);
/* All is ended at once. */
void server_kill(struct server *s);
/* Nothing listens; exit_code: why. */
void server_give_up(struct server *s, int exit_code);

/* --- One after the other (server_succession.c) -------------------------------------------------- */

struct doors server_doors(const struct server *s);
extern const struct succession_events
	server_succession_events; /* for succession_init(), with the server */
/* Models are loaded: listen in the place of another daemon, which hears of it. False: it has given up. */
_must_use_ bool server_succeed(struct server *s);
/* Start a process to take our place. */
void server_begin_succession(struct server *s);

#endif

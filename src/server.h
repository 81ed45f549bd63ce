/*
 * server.h: the composition root. Everything hangs from a struct server; a second one can live in
 * the same process. Builds bottom-up (dispatch with its pool, then the frontend), drains top-down.
 */
#ifndef SERVER_H
#define SERVER_H

#include "base/cleanup.h"
#include "config.h"
#include "config_source.h"
#include "models/repository.h"

/* Exit codes of the daemon (sysexits.h where one fits). */
enum server_exit {
	SERVER_EXIT_OK = 0,
	SERVER_EXIT_USAGE = 64,
	SERVER_EXIT_INTERNAL = 70,
	SERVER_EXIT_OS = 71,	 /* cannot bind, spawn, map */
	SERVER_EXIT_CONFIG = 78, /* do not restart: it would fail the same way */
};

struct server;

/* config is borrowed for the server's life; repository, the first reading, is taken over whatever comes of it. Logs
 * what failed; returns an exit code. */
_must_use_ int server_new(
	struct server **ret_server, const struct config *config, struct repository *repository);
/* How a successor is started at SIGUSR2: a program's path and its arguments, borrowed for the server's life. Without: not. */
void server_set_command(struct server *s, const char *program, char *const *argv);
/* Where SIGHUP has the configuration read from again; borrowed for the server's life. Without: nowhere. */
void server_set_source(struct server *s, const struct config_source *source);
/*
 * Spawn the workers, then listen, then serve until SIGTERM or SIGINT; drain; return an exit code. A second signal ends
 * at once. READY=1 is sent when every worker is ready or has failed once.
 */
_must_use_ int server_run(struct server *s);
struct server *server_free(struct server *s);
DEFINE_CLEANUP(struct server *, server_free)

#endif

/*
 * reload.h: the models' part of the configuration and the repository, read again while the daemon serves
 * (SIGHUP). Reading happens on a thread of libuv's, since a repository may be large or far away; what
 * differs is applied on the loop: new models are added, vanished ones removed, changed ones replaced.
 *
 * What is wrong changes nothing: a configuration that cannot be read leaves all as it is, a model that is
 * wrong leaves that model as it is; both are logged with file, line and key.
 */
#ifndef RELOAD_H
#define RELOAD_H

#include <stdbool.h>
#include <uv.h>

#include "base/cleanup.h"
#include "config_source.h"
#include "dispatch/dispatch.h"

struct repository;

/* Embedded; zeroed: asks for nothing. */
struct reload {
	uv_loop_t *loop;		    /* borrow */
	const struct config_source *source; /* borrow; NULL: there is nothing to read */
	struct dispatch *dispatch;	    /* borrow */
	uv_work_t work;
	bool busy;    /* the thread reads: what is below is its own */
	bool again;   /* asked for while it read */
	bool stopped; /* what is read is dropped */

	struct config config;
	struct repository *repository; /* own; NULL: it could not be read */
	int error;
	char text[1024];
};

void reload_init(
	struct reload *r, uv_loop_t *loop, const struct config_source *source, struct dispatch *d);
/* Read, soon, and apply. Asked for several times while it reads, it reads once more. */
void reload_ask(struct reload *r);
/* Apply nothing any more. While r->busy the loop must run on before *r goes. */
void reload_stop(struct reload *r);

#endif

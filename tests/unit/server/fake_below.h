/* fake_below.h: stands in for dispatch, handoff and frontend below server.c; writes down what is asked. */
#ifndef TESTS_UNIT_SERVER_FAKE_BELOW_H
#define TESTS_UNIT_SERVER_FAKE_BELOW_H

#include <stdbool.h>
#include <uv.h>

#include "dispatch/version_settings.h"

/* What the fake dispatch serves. */
struct version {
	struct version_settings settings;
};

struct countdown;

struct fake_below {
	char trace[1024]; /* "dispatch_start listen ..." */
	int dispatch_new_error, dispatch_start_error, frontend_new_error, listen_error;
	/* Loop iterations until each is drained, once it is asked; -1: only when it is killed. */
	int frontend_takes, dispatch_takes;
	/* The frontend is drained when dispatch was killed: a call waited for a model. */
	bool frontend_waits_for_dispatch;
	struct countdown *frontend_holds; /* inside */
	int handoff_takes;		  /* flushes; -1: only when it is killed */
	int handoff_new_error, handoff_listen_error;
	int metrics_new_error, metrics_listen_error;
	struct version versions[8];
	size_t n_versions;
	int sockets[4]; /* that the frontend listens on */
	size_t n_sockets;
	unsigned n_added; /* dispatch_add_version() was called so often */
	/* Called when start-up is over, and when the frontend is told to drain. */
	void (*on_serving)(void);
	void (*on_draining)(void);
};

extern struct fake_below below;

#endif

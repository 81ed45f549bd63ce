/* fake_below.h: stands in for dispatch, handoff and frontend below server.c; writes down what is asked. */
#ifndef TESTS_UNIT_SERVER_FAKE_BELOW_H
#define TESTS_UNIT_SERVER_FAKE_BELOW_H

#include <stdbool.h>
#include <uv.h>

#include "dispatch/version_settings.h"

/* What the fake dispatch serves. */
struct version {
	struct version_settings settings;
	const struct version *replaces;
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
	struct version versions[8];
	size_t n_versions;
	char changes[1024];	/* "add a/1 replace b/2 remove c/1" */
	char default_model[64]; /* as dispatch_set_default() had it */
	int add_error;		/* what dispatch_add_version() returns */
	/* Called when start-up is over, and when the frontend is told to drain. */
	void (*on_serving)(void);
	void (*on_draining)(void);
};

extern struct fake_below below;

#endif

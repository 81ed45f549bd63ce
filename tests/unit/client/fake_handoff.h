/*
 * fake_handoff.h: a daemon's handoff socket in a process of its own, so that failing calls of the test
 * do not fail there. What it does with an Infer is said by the request's model, see fake_handoff.c.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_HANDOFF_H
#define TESTS_UNIT_CLIENT_FAKE_HANDOFF_H

#include <sys/types.h>

#include "proto/handoff.pb-c.h"

#define FAKE_INLINE_MAX 4096u
#define FAKE_BUSY_US	7u

struct fake_handoff {
	pid_t pid;
	char dir[32];
	char path[64]; /* of the socket */
};

/* Misbehaviour of the control messages. */
enum fake_mode {
	FAKE_GOOD,
	FAKE_OTHER_PROTOCOL,
	FAKE_FULL,	       /* an Error that answers nothing, and the end */
	FAKE_SILENT,	       /* never answers */
	FAKE_GARBAGE,	       /* answers the first request with no message at all */
	FAKE_NO_DESCRIPTOR,    /* Allocate: none comes */
	FAKE_TWO_DESCRIPTORS,  /* Allocate: two come */
	FAKE_UNSEALED,	       /* Allocate: without seals */
	FAKE_SHORT,	       /* Allocate: smaller than said */
	FAKE_LESS,	       /* Allocate: smaller than asked */
	FAKE_WRONG_ANSWER,     /* Allocate and Register: answered by Unregistered */
	FAKE_WRONG_SIZE,       /* Register: another size */
	FAKE_EXTRA_DESCRIPTOR, /* Register, Unregister: one comes with the answer */
	FAKE_REFUSING,	       /* Allocate and Register: RESOURCE_EXHAUSTED */
	FAKE_GONE,	       /* Allocate and Register: end of file */
	FAKE_LEAVING,	       /* Allocate: it is answered, and the connection ends */
	FAKE_FUTURE,	       /* Allocate and Register: answered with a number never sent */
};

/* Listens when it returns. Serves connections one after the other until stopped. */
void fake_handoff_start(struct fake_handoff *f, enum fake_mode mode);
void fake_handoff_stop(struct fake_handoff *f);

#endif

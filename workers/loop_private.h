/* loop_private.h: what loop.c and setup.c share. */
#ifndef WORKERS_LOOP_PRIVATE_H
#define WORKERS_LOOP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/busy_poll.h"
#include "proto/wire.h"
#include "shm/view.h"
#include "workers/backend_loader.h"
#include "workers/device.h"
#include "workers/executor.h"
#include "workers/host.h"
#include "workers/loop.h"
#include "workers/models.h"
#include "workers/outputs.h"
#include "workers/pinned.h"
#include "workers/regions.h"

enum loop_state {
	LOOP_NEW,     /* waiting for setup */
	LOOP_LOADING, /* hello was sent; loads come */
	LOOP_READY,   /* ready was sent */
	LOOP_DRAINED, /* drain came: bye is to be said */
	LOOP_N_STATES,
};

struct loop {
	enum loop_state state;
	int channel_fd; /* own */
	int arena_fd;	/* own; -1 once mapped */
	void (*on_name)(void *data, const char *name);
	void *data;
	uint8_t *record; /* own: WIRE_MESSAGE_MAX bytes, the record received */
	uint8_t *answer; /* own: WIRE_MESSAGE_MAX bytes, messages to be flushed */
	size_t n_answer;
	uint64_t answer_ns;	   /* when the first of them was begun */
	uint32_t answer_model;	   /* of the last run */
	struct wire_scratch *in;   /* own: the message being handled lives here */
	struct wire_scratch *out;  /* own */
	struct host *host;	   /* own; NULL before setup, and so are those below */
	struct device *device;	   /* own */
	struct pinned *pinned;	   /* own: what of the memory below the device may use */
	struct view *input;	   /* own */
	struct outputs *outputs;   /* own */
	struct backends *backends; /* own */
	struct executor *executor; /* own */
	struct models models;
	struct regions regions;
	struct busy_poll busy;
	uint32_t n_loads;    /* still to come before ready */
	const char *stopped; /* why the loop ends without bye; NULL: it goes on */
	int exit;	     /* with it, enum worker_exit */
};

/* Ends the loop. Returns -ECANCELED. */
_must_use_ int loop_stop(struct loop *l, enum worker_exit status, const char *why);
/* Send with the next loop_flush(), or earlier; with descriptors (n_fds > 0) at once, and all before
 * it too. -EMSGSIZE: nothing has happened */
_must_use_ int loop_send(
	struct loop *l, const struct wire_message *m, const int *fds, size_t n_fds);
_must_use_ int loop_flush(struct loop *l);
/* Let the device use memory that is mapped here, until pinned_remove(). 0, or -ECANCELED after
 * loop_stop(). */
_must_use_ int loop_pin(struct loop *l, const struct view *v, enum device_access access);
_must_use_ int loop_pin_memory(
	struct loop *l, void *data, uint64_t bytes, enum device_access access);
/* The worker's name for log lines. */
const char *loop_name(const struct loop *l);

/* setup.c: builds everything that a Setup message asks for and answers Hello. -errno, or
 * -ECANCELED after loop_stop(). */
_must_use_ int loop_setup(struct loop *l, const struct wire_setup *setup);

#endif

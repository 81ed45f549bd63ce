/* services.h: what all services of one server hang from: call_context(). Owned by the frontend. */
#ifndef SERVICES_SERVICES_H
#define SERVICES_SERVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/digits.h"
#include "dispatch/dispatch.h"
#include "grpc/calls.h"
#include "grpc/service.h"
#include "services/key_move.h"
#include "services/key_region.h"
#include "services/model_handles.h"
#include "services/settings.h"

struct busy_poll;
struct handoff;
struct health;
struct lifecycle;
struct spool;
struct tracer;
struct log_ring;

struct services {
	const struct services_settings *settings; /* borrow */
	const struct service *const *list;	  /* every service offered; NULL-terminated */
	struct dispatch *dispatch;		  /* borrow */
	struct handoff *handoff;		  /* borrow; NULL: there is none */
	struct lifecycle *lifecycle;		  /* borrow; NULL: there is none */
	struct log_ring *log;			  /* borrow; NULL: no lines are kept */
	struct spool *spool;	       /* borrow: for files of models; NULL: none are taken */
	struct calls *calls;	       /* borrow */
	struct tracer *tracer;	       /* borrow; NULL: nothing is traced */
	const struct busy_poll *polls; /* borrow: of the loop */
	size_t n_polls;
	struct health *health;	      /* own */
	uv_loop_t *loop;	      /* borrow */
	struct key_regions keys;      /* memory that clients name by its key */
	struct key_mover mover;	      /* of what is in it */
	struct model_handles handles; /* of clients on models */
	uint64_t handle_hits,
		handle_misses; /* models that were there when a handle was asked for, or not */
	uint64_t started_ns;
	bool draining;
	uint64_t tensor_bytes_received;
	uint64_t tensor_bytes_copied_in; /* equals received, when there is one copy */
	char id_boot[HEX64_DIGITS +
		     1]; /* begins request ids made here (infer.c); empty: not chosen yet */
	uint64_t id_last;
};

#endif

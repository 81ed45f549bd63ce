/*
 * demand.h: who asks for a model that is not served, where it can be loaded for that. Nobody knows yet what belongs into
 * such a request: a demand is no more than a place in line and a charge, for so long. Others call dispatch_demand().
 *
 *   demand_new() -> on_demand of the first that asks for the model -> demands_end(), or waited long enough -> on_end
 */
#ifndef DISPATCH_DEMAND_H
#define DISPATCH_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "proto/grpc_status.h"

struct client;
struct demand;

struct demand_wish {
	const char *model;   /* borrow, as all below: during the call */
	const char *version; /* "": what the model's policy says */
	struct client *client;
	uint64_t deadline_ns; /* CLOCK_NO_DEADLINE: none */
	bool allows_excess;   /* the limit on the client's requests does not refuse it */
	/* Once, from the loop, unless it is given up. GRPC_OK: look for the model again. text is borrowed during it;
	 * the demand is gone when it returns. */
	void (*on_end)(void *data, enum grpc_status status, const char *text);
	void *data; /* borrow */
};

/* All of one dispatch. */
struct demands {
	struct list list; /* struct demand */
	uint64_t wait_ms; /* that one waits, at most */
	uint64_t
		wait_ns; /* when the first of them has waited long enough; CLOCK_NO_DEADLINE: there is none */
	uint32_t max_per_client;
	bool closed; /* none waits any more */
	/* Have this loaded: "model", or "model:version". False: nobody may. NULL: nobody ever may */
	bool (*on_demand)(void *data, const char *name);
	void (*wake)(void *data); /* demands_run() is to be called */
	void *data;		  /* borrow: of both */
};

enum {
	DEMAND_E_NOBODY = 1, /* it is not to be had: it is not found */
	DEMAND_E_FULL = 2,   /* the client has as many requests as it may: DEMAND_FULL_TEXT */
};

#define DEMAND_FULL_TEXT                                                                           \
	"as many requests of this connection are queued or running as may be ([dispatch] "         \
	"max_requests_per_client)"

/* wait_ms 0: none waits. on_demand may be NULL; it must not end demands from inside. */
void demands_init(struct demands *d, uint64_t wait_ms, uint32_t max_per_client,
	bool (*on_demand)(void *data, const char *name), void (*wake)(void *data), void *data);
/* Borrowed until on_end or demand_free(). DEMAND_E_NOBODY, DEMAND_E_FULL, -ENOMEM */
_must_use_ int demand_new(
	struct demand **ret_demand, struct demands *d, const struct demand_wish *wish);
/* It is given up. Accepts NULL; returns NULL. */
struct demand *demand_free(struct demand *d);
/* What became of `name`, as on_demand had it. Calls on_end of those that wait for it. */
void demands_end(struct demands *d, const char *name, enum grpc_status status, const char *text);
/* Does anybody wait for this model, of whatever version? */
bool demands_has(const struct demands *d, const char *model);
/* End those that have waited long enough, or all when closed. Calls back. */
void demands_run(struct demands *d, uint64_t now_ns);

#endif

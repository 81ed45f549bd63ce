/* worker_private.h: struct worker, for src/pool alone. */
#ifndef POOL_WORKER_PRIVATE_H
#define POOL_WORKER_PRIVATE_H

#include "base/list.h"
#include "pool/channel.h"
#include "pool/flight.h"
#include "pool/lane.h"
#include "pool/output_memory.h"
#include "pool/process.h"
#include "pool/worker.h"

#define WORKER_NAME_MAX	   80u
#define WORKER_EXIT_MAX	   320u
#define WORKER_PARTING_MAX 200u

/* A place that has failed to start so often in a row does not count as a hope. */
#define WORKER_HOPELESS_STARTS 3u

/* What becomes of its news is the pool's to decide (pool.c): which models go where follows from it. */
struct worker_events {
	/* Its process was reaped: .verdict, .suspect, .was_loading say why, and what it had of models is forgotten
	 * next. */
	void (*on_reaped)(struct worker *w);
	/* It has loaded the model, or refused it in an orderly manner: `kept` says whether it may keep it. */
	void (*on_loaded)(struct worker *w, struct pool_model *m, bool kept);
	/* It has unloaded a model: .stayed_bytes is what it has left. */
	void (*on_unloaded)(struct worker *w);
	/* A batch of the model was answered, and the answer is as it should be. */
	void (*on_answered)(struct worker *w, struct pool_model *m);
	/* It has no process, and may have one now. */
	void (*on_restart)(struct worker *w);
};

struct worker {
	struct pool *pool; /* borrow */
	uint32_t index;	   /* in pool.workers */
	uint32_t device_index;
	const char *device; /* borrow; "": of a model's own that is nobody's now */
	char name[WORKER_NAME_MAX];

	enum worker_state state;
	struct process *process;      /* own; NULL: none */
	struct channel *channel;      /* own; NULL when LOST or REAPED */
	struct output_memory *output; /* ref; from hello until reaped */
	uint64_t generation;	      /* of the process */
	uint64_t number;	      /* of the process among all of the pool */
	uint64_t sandbox_width;	      /* pool.sandbox_width, when it was started */
	uint32_t slots;		      /* that it accepted */

	struct flight *flights; /* own: settings.slots + 1, one being for a callback */
	struct list spare;
	struct list in_flight; /* in the order sent */
	struct list busy;      /* struct pool_lane.node: with batches in flight */
	uint32_t n_busy;
	struct backlog backlog; /* of all lanes */
	uint32_t n_in_flight;
	uint64_t next_batch;

	uint32_t column;	  /* of pool_model.holdings; a model's own has none */
	bool own;		  /* for a model alone, see own.h; then: */
	struct pool_model *model; /* borrow: whose it is; NULL: it is free */
	struct holding *holding;  /* own: of that model */
	bool leaving;		  /* free again when its process has ended */

	/* Of a shared one, see recycle.h */
	bool resting;		 /* it has no process, or one that ends and is the last */
	struct worker *replaces; /* borrow: whose place it is to take; NULL */
	bool replaced;		 /* another one has taken its place */
	uint64_t kept_bytes;	 /* stayed_bytes, when it could not be replaced */
	uint64_t kept_width;	 /* pool.sandbox_width then */
	bool leaves_loads;	 /* what it would load is left to who is to replace it */
	uint32_t n_bound;

	bool trial; /* see trial.h */
	struct pool_model *
		tried; /* borrow: of a trial: it was loaded, or refused; NULL: not yet, or it goes */
	bool alone;    /* a batch runs beside which nothing is to be loaded */
	bool set_up;   /* the process takes Loads */
	struct list to_load; /* struct holding.load_node, in the order in which they are due */
	struct pool_model *loading; /* borrow: HOLDING_LOADING here; NULL: none */
	uint32_t n_leaving;	    /* models: HOLDING_LEAVING here */
	uint64_t stayed_bytes;	    /* what models have left in the process */

	uint64_t started_ns;
	uint64_t
		since_ns; /* when it came into its state; DRAINING and STOPPING: when draining began */
	uint64_t heard_ns; /* the last message */
	uint64_t load_ns;  /* when the load that is under way began */
	uint64_t ping_ns;  /* when the ping that is not answered was sent; 0: none */
	uint64_t nonce;	   /* of the last ping */
	uint64_t ready_since_ns;
	bool up;	      /* the process was READY ... */
	uint64_t up_since_ns; /* ... since then */
	bool credit;	      /* a slot became free since the last pause */
	bool bye;
	char parting
		[WORKER_PARTING_MAX]; /* why there was no hello, as it says itself; "": it does not */

	/* Why trust has ended; loss is "" when the exit status says it. */
	enum worker_verdict verdict;
	char loss[WORKER_EXIT_MAX];
	bool killed;			/* by SIGKILL, not by us */
	struct pool_model *suspect;	/* borrow: the model to blame; NULL: none, or several */
	struct pool_model *was_loading; /* borrow: the one that was being loaded then; NULL: none */
	const struct flight *overran;	/* borrow: the batch that took too long; NULL: none did */
	bool load_overran;		/* the load did */
	bool beside_load;		/* it ended while it loaded, also once blame is settled */

	bool came_up;		/* was READY, or has failed to get there once */
	uint32_t failures;	/* ends in a row without health between them */
	uint32_t failed_starts; /* ends in a row without being READY */
	uint64_t restart_at_ns; /* 0: not waiting */
	/* Of a worker on a GPU, see quarantine.h */
	uint64_t look;	      /* that was asked for when its process ended; 0: none */
	uint64_t look_by_ns;  /* so long it is waited for */
	bool awaits_look;     /* it is not started before its GPU was looked at */
	int64_t quarantine;   /* what its GPU has to have done first; 0: it is not in quarantine */
	uint64_t done;	      /* batches, of all processes */
	uint64_t done_before; /* the same when the process was started */
	uint64_t restarts;
	uint64_t ends[WORKER_VERDICTS_];
	char last_exit[WORKER_EXIT_MAX];
	char lost_text[WORKER_NAME_MAX + WORKER_EXIT_MAX + 4]; /* of worker_loss() */
	bool imports;			 /* as its process says, see worker_imports() */
	uint32_t numa_node;		 /* the same, see pool_model_numa_node() */
	char copies[WIRE_NAME_MAX + 1];	 /* as its process says, see worker_copies() */
	char sandbox[WIRE_NAME_MAX + 1]; /* what its process says of what holds it */
};

/* It has no process, and is to have none: it is nobody's (recycle.h). */
static inline bool worker_rests(const struct worker *w)
{
	return w->resting && w->state == WORKER_REAPED;
}
/* It is one of as many as the device is to have. */
static inline bool worker_counts(const struct worker *w)
{
	return !w->resting && !w->replaces;
}

/* `device` is borrowed; name: what follows "DEVICE/". -ENOMEM */
_must_use_ int worker_init(struct worker *w, struct pool *p, uint32_t index, const char *device,
	uint32_t device_index, const char *name);
/* REAPED, or never started. Accepts a zeroed worker. */
void worker_deinit(struct worker *w);

/* worker_start.c: start a process: REAPED -> SPAWNED. On failure it waits for the next try. -errno */
_must_use_ int worker_spawn(struct worker *w);
/* READY -> DRAINING, then STOPPING; what has not come up yet is killed. No restart. */
void worker_drain(struct worker *w);
/* SIGKILL. No restart. why: for log and status. */
void worker_kill(struct worker *w, const char *why);
/* When worker_tick() is due. */
uint64_t worker_deadline(const struct worker *w);
/* Do what is due: end a process that took too long, ping an idle one, restart. */
void worker_tick(struct worker *w, uint64_t now_ns);
/* Hand back the batches of a lost process. From the loop. */
void worker_deliver_lost(struct worker *w);

/* It has no process: when it is to have the next. */
void worker_plan_restart(struct worker *w);
/* Its process (data: the worker) has ended: REAPED, and whatever that could touch is let go of. */
void worker_on_exit(void *data, const struct process_exit *e);

/* The one setter: asserts that the move is in the table, and logs it. */
void worker_set_state(struct worker *w, enum worker_state to);
/* End trust: LOST, SIGKILL. Never calls back. format NULL: the exit status will say why. */
void worker_lose(struct worker *w, enum worker_verdict verdict, const char *format, ...)
	_printf_(3, 4);
/* Send with the next worker_flush(), or at once; a failure loses the worker. */
void worker_send(struct worker *w, const struct wire_message *m);
void worker_tell(struct worker *w, const struct wire_message *m);
/* The same with a descriptor, as channel_send(). */
void worker_tell_fd(struct worker *w, const struct wire_message *m, int fd);
/* worker_state.c: that what it runs on processors should use together; 0: not known. */
uint32_t worker_threads(const struct worker *w);
void worker_flush(struct worker *w);
/* It takes batches. */
bool worker_takes(const struct worker *w);
/* It reads what is sent to it, and is not about to end. */
bool worker_listens(const struct worker *w);
/* LOADING -> READY. */
void worker_set_ready(struct worker *w);
/* DRAINING -> STOPPING when nothing is in flight. */
void worker_stop_idle(struct worker *w);
/* A batch has been answered at now_ns, or is lost. */
void worker_leave_lane(struct worker *w, struct flight *f, uint64_t now_ns);

/* --- Its models (worker_models.c) ------------------------------------------------------------- */

/* It is to hold the model: load it behind those that are due already. Harmless when it has it, has failed to load
 * it, or may not. */
void worker_want(struct worker *w, struct pool_model *m);
/* The same for all that a new process should hold, those that failed before too: what is used most comes first. */
void worker_want_all(struct worker *w);
/* Load what is due next, one model at a time, as its device allows; LOADING -> READY when nothing is left. */
void worker_load_next(struct worker *w);
/* Those that were kept back by another one that loads. */
void worker_load_others(struct pool *p);
/* Send Unload once it is READY and no batch of the model is in flight. Harmless when it holds none. */
void worker_unload(struct worker *w, struct pool_model *m);
void worker_unload_idle(struct worker *w);
/* Loaded, Unloaded came. */
void worker_on_loaded(struct worker *w, const struct wire_loaded *l);
void worker_on_unloaded(struct worker *w, const struct wire_unloaded *u);
/* Its process is gone, and all that it had. */
void worker_forget_models(struct worker *w);

/* What its channel reports (worker_receive.c). */
extern const struct channel_events worker_channel_events;

#endif

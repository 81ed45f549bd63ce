/*
 * pool.h: the door of src/pool: keeps worker processes alive and carries batches to them.
 *
 * Daemon process, loop thread. The pool owns all workers; a `struct worker` (worker.h) is a place
 * ("cpu:0/1") that has one process after another, each with its own generation, channel and output
 * arena. Batches go down by worker_run(); everything comes back through struct pool_events.
 *
 *  SPAWNED -hello-> LOADING -ready-> READY -drain-> DRAINING -idle-> STOPPING -exit-> REAPED
 *     +-----------------+--- EOF | bad message | missed heartbeat | batch overran ---+-> LOST
 *  LOST (SIGKILL was sent) -exit-> REAPED -back-off-> SPAWNED
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/nvml.h"
#include "pool/group.h"
#include "pool/isolation.h"
#include "proto/wire.h"
#include "shm/slots.h"

struct pool;
struct pool_model;
struct worker;
struct output_lease;

/* `count` workers on `device`. */
struct pool_place {
	const char *device; /* "cpu:0" */
	uint32_t count;
};

/* The worker program of one backend's models. They have processes of their own, one an instance, which choose
 * their lanes. */
struct pool_program {
	const char *backend;
	const char *const *argv; /* NULL-terminated; the first is its path */
	const char *const *
		environment; /* NULL-terminated, "NAME=value": besides the daemon's own; NULL: nothing */
	const char *sandbox; /* "on", "relaxed", "off"; NULL: as pool_settings.sandbox says */
};

/* Who workers are: the first of them uid, and the others the numbers behind it, each another one, as far as n goes; all in one group. */
struct pool_users {
	uint32_t uid, gid;
	uint32_t n; /* 0: the daemon's user */
};

struct pool_settings {
	const char *worker_program;	     /* path of modeld-worker */
	const struct pool_program *programs; /* of backends that have their own */
	size_t n_programs;
	uint64_t
		isolation_return_ms; /* ISOLATION_AUTO: such good behaviour, and it shares again; 0: never */
	/* Variables of each worker's environment, NULL-terminated, unless its program's have them: what it is to give
	 * up (docs/protocol.md). NULL: none */
	const char *const *sandbox;
	struct pool_users users;
	/* A shared worker in which models have left so much behind is replaced by a new process; 0: never */
	uint64_t recycle_after_unload_bytes;
	uint32_t max_model_workers; /* processes of models' own, of all models together */
	struct worker_limits limits;
	bool core;			  /* workers may dump core */
	const char *const *backend_dirs;  /* NULL-terminated */
	const struct wire_pair *settings; /* "BACKEND.key" */
	size_t n_settings;
	const struct pool_place *places;
	size_t n_places;
	uint32_t processors;	     /* that workers may use; 0: not known */
	uint32_t slots;		     /* batches outstanding a worker, at most */
	uint64_t output_arena_bytes; /* of each worker */
	uint64_t output_segment_bytes;
	uint64_t output_populate_bytes;
	uint64_t output_idle_ms; /* a segment that was not used for so long is given up */
	uint64_t scratch_bytes;	 /* that a worker may copy inputs into, at most */
	uint32_t max_holds;	 /* answers of a worker's whose output memory is in use, at most */
	uint64_t output_wait_ms; /* that a run waits for output memory, at most */
	uint64_t start_timeout_ms; /* spawn to hello */
	uint64_t load_timeout_ms;  /* hello to ready; 0: none */
	uint64_t heartbeat_interval_ms;
	uint64_t heartbeat_timeout_ms; /* an idle worker that is silent for so long is lost */
	uint64_t drain_timeout_ms;     /* drain to exit */
	uint32_t busy_poll_us;	       /* of workers; 0: they sleep at once */
	uint64_t backoff_max_ms;       /* 60 s */
	uint32_t breaker_crashes;      /* so many crashes of a (model, device) ... */
	uint64_t breaker_window_ms;    /* ... within this time open its breaker ... */
	uint64_t breaker_cooldown_ms;  /* ... for this long */
};

/* A model that workers are to load. */
struct pool_model_settings {
	const char *name;
	const char *version;
	const char *path;
	const char *backend;
	/* NULL: all; else comma-separated device names, with a number of instances behind those that have others than
	 * `instances`: "cpu:0, cuda:0 x2" */
	const char *devices;
	const char *
		fallback; /* likewise: used where it could be loaded on none of those; NULL: none */
	enum wire_priority gpu_priority;
	uint32_t max_batch_size; /* UINT32_MAX: what the backend can and the default allow */
	uint32_t
		instances; /* batches of it that a device runs at once; 0: as the worker finds best */
	enum isolation isolation;
	bool keeps_state; /* of its own, from request to request: a worker that has it is not replaced */
	uint64_t run_timeout_ms; /* a batch that takes longer ends its worker */
	const struct wire_pair *parameters;
	size_t n_parameters;
	const char *warmup_path; /* NULL: no warm-up has a file */
	const struct wire_warmup *warmups;
	size_t n_warmups;
};

/* One output of one item, in the mapped output arena. */
struct pool_output {
	uint32_t index;
	enum dtype dtype;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	/* Valid while the lease is held; NULL when the output was written to the target that the
	 * item named for it: `length` bytes at the front of the target's span. One that does not fit
	 * its target has data. */
	const void *data;
	uint64_t length;
};

struct pool_result {
	uint32_t code;	     /* gRPC status */
	const char *message; /* "" when code is 0; borrowed during the callback */
	const struct pool_output
		*outputs; /* all that are wanted; of a decoupled model's last maybe none */
	size_t n_outputs;
	uint32_t joined; /* items of the batch that ran as one with this one, itself included */
	struct output_lease
		*lease; /* borrowed: take a reference to keep outputs' data; NULL: none has any */
};

struct pool_done {
	struct worker *worker;
	uint64_t now_ns; /* when it came */
	uint64_t compute_ns;
	const struct pool_result *results; /* one an item; borrowed during the callback */
	size_t n_results;
};

/* An answer of one item, of a model that is declared decoupled. */
struct pool_partial {
	struct worker *worker;
	size_t item;
	const struct pool_result *result; /* code is 0; borrowed during the callback */
	bool last;	     /* all of the item: its result in pool_done is to be ignored */
	uint64_t now_ns;     /* when it came */
	uint64_t compute_ns; /* where it is the last */
};

/* What a batch has to do with the loss of its worker. */
enum lost {
	LOST_SUSPECT,	  /* it may have been the reason */
	LOST_GUILTY,	  /* it was: one request alone, and its run overran run_timeout_ms */
	LOST_INNOCENT,	  /* it was not: another one, or a load, overran; or it was not sent yet */
	LOST_BESIDE_LOAD, /* it may have been, or the model that was being loaded */
};

/* How a place lost its process, for status and log. */
enum worker_verdict {
	WORKER_CLEAN,	   /* bye and exit status 0 */
	WORKER_CRASHED,	   /* signal, or a non-zero exit status */
	WORKER_HUNG,	   /* a batch, a load, its draining or its silence took too long */
	WORKER_MISBEHAVED, /* bad message */
	WORKER_UNUSABLE, /* it never came up, says so (worker_exit.h), or nothing can be kept of it or sent */
	WORKER_VERDICTS_,
};

/*
 * What comes back. All are called from the loop, never from inside a call into the pool, except
 * where noted. `data` is pool_new()'s. They may call worker_run() and any getter; they must not
 * free the pool.
 */
struct pool_events {
	/* A worker answered batch `tag`; the slot is free again. */
	void (*on_done)(void *data, void *tag, const struct pool_done *done);
	/* A worker has answered an item of `tag`, and that is not its last answer. */
	void (*on_partial)(void *data, void *tag, const struct pool_partial *partial);
	/* The worker that held `tag` is lost; the batch must be sent elsewhere or failed. Called in
	 * the order in which the batches were sent, those with targets later: when the process that
	 * could still write there was reaped. */
	void (*on_lost)(void *data, void *tag, struct worker *w, enum lost how);
	/* Some worker has a free slot, or became ready: time to schedule. */
	void (*on_credit)(void *data);
	/* A model's availability or declaration changed (loaded, failed, worker lost, breaker). Not
	 * after pool_model_retire(). `owner` is pool_model_new()'s. */
	void (*on_model)(void *data, void *owner);
	/* No process holds a retired model any more: it may be freed, from inside this, too. */
	void (*on_model_gone)(void *data, void *owner);
	/* Every place is READY, or has failed to get there once: start-up is over. Called once. */
	void (*on_started)(void *data);
	/* pool_drain() is complete: no process is left. */
	void (*on_drained)(void *data);
};

/*
 * Create, without models; spawns nothing. settings and everything they point to are borrowed for the
 * pool's life.
 *
 * -EINVAL settings out of range; -ENOMEM
 */
_must_use_ int pool_new(struct pool **ret_pool, uv_loop_t *loop,
	const struct pool_settings *settings, const struct pool_events *events, void *data);
/*
 * Workers that a backend's own program runs get one more descriptor, by which they may ask the daemon as its clients do:
 * *ret_fd, own. Before pool_start(). An error of it costs a worker that descriptor.
 */
void pool_set_invite(struct pool *p, int (*invite)(void *data, int *ret_fd), void *data);
/*
 * Workers that start from now on are told this in the place of pool_settings.sandbox; it is copied. wider: they may read
 * more than those before them, which models may need: shared workers are replaced, one of a device at a time, and load
 * nothing until then (recycle.h); where one cannot be, the log says so. -ENOMEM: nothing has changed
 */
_must_use_ int pool_set_sandbox(struct pool *p, const char *const *sandbox, bool wider);
/* Spawn all workers (fork and exec; they load in parallel). -errno when the worker program cannot
 * be executed at all. */
_must_use_ int pool_start(struct pool *p);
/* Let batches in flight finish, then stop every worker; SIGKILL after drain_timeout_ms. Calls
 * on_drained later, never before it returns. No worker is restarted any more. */
void pool_drain(struct pool *p);
/* SIGKILL all at once; on_drained follows when all are reaped. */
void pool_kill(struct pool *p);
/* Segments of output memory that each worker may have; the daemon has a descriptor of each. */
static inline uint32_t pool_output_segments(const struct pool_settings *s)
{
	uint64_t n = s->output_arena_bytes / s->output_segment_bytes;

	n += n / 2 + 8;
	return n < SLOTS_MAX ? (uint32_t)n : SLOTS_MAX;
}
/* Handles are closed asynchronously: call after on_drained (or before pool_start()) when all models are
 * freed, then run the loop once more before closing it. Accepts NULL; returns NULL. */
struct pool *pool_free(struct pool *p);

/* How the GPUs here are, as far as the driver tells: fills up to `cap`, returns how many there are. None
 * where no worker is on one. */
size_t pool_gpus(const struct pool *p, struct nvml_gpu *ret_list, size_t cap);
/* The device, as workers call it, that is this GPU: its number as CUDA counts them here, or its UUID ("GPU-...", "MIG-..."). NULL: no
 * worker is on it. The name lives as long as the pool. */
const char *pool_find_gpu(const struct pool *p, const char *gpu);
/* Places of workers that may serve: first those that models share, then models' own (own.h), some of which may be free
 * (worker_is_used()). There may be more or fewer of them later, a worker's number stays. */
size_t pool_n_workers(const struct pool *p);
/* As many as there ever are. */
size_t pool_max_workers(const struct pool *p);
/* Is this one of a worker's, of those that serve nobody, too? */
bool pool_has_process(const struct pool *p, int pid);
/* i: below pool_max_workers() */
struct worker *pool_worker(const struct pool *p, size_t i);
/* Send what worker_run(), worker_cancel() and output_lease_unref() left pending. Once a loop iteration, before it polls and
 * after. */
void pool_flush(struct pool *p);
/* Asked each time ahead of pool_flush(): true where that is better left out, over one poll at most; the loop must not
 * sleep in it (burst.h). */
_must_use_ bool pool_waits_for_more(struct pool *p);

/* --- Models ----------------------------------------------------------------------------------- */

/*
 * A model more, which each worker loads that it is meant for: with the others when a process starts, one
 * at a time when it runs. settings and all that they point to are borrowed until it is freed. `owner` is
 * borrowed, for events. Its number on the wire is never used again.
 *
 * -EINVAL settings out of range; -ENOMEM; -EOVERFLOW: all numbers were used
 */
_must_use_ int pool_model_new(struct pool_model **ret_model, struct pool *p,
	const struct pool_model_settings *settings, void *owner);
/* Unload it everywhere, behind its batches in flight; worker_run() takes none any more, and no worker
 * loads it again. on_model_gone follows, never before this returns. */
void pool_model_retire(struct pool_model *m);
/* Nothing of it may be left in a process (asserted): after on_model_gone, or when all processes have
 * ended. Accepts NULL; returns NULL. */
struct pool_model *pool_model_free(struct pool_model *m);

/* Its number on the wire. */
uint32_t pool_model_id(const struct pool_model *m);
/* Workers that serve and hold the model (worker_holds()). */
uint32_t pool_model_ready(const struct pool_model *m);
/* Workers that hold the model, are loading it, or will once respawned: 0 means that waiting is of
 * no use. */
uint32_t pool_model_hopeful(const struct pool_model *m);
/*
 * The NUMA node (counted from 1) that the devices of all workers that hold the model are near, as they say: its inputs are
 * rather to lie there. 0: of several nodes, or of none that is known; always where the host has but one.
 */
uint32_t pool_model_numa_node(const struct pool_model *m);
/* May it be another than 0, for any model? */
bool pool_has_numa(const struct pool *p);
/* Workers where it could not be loaded. */
uint32_t pool_model_failed(const struct pool_model *m);
/* Those try again. */
void pool_model_retry(struct pool_model *m);
/* For how long every lane of it has been busy with the batch that it runs; 0: one is free, or there is none. */
uint64_t pool_model_busy_ns(const struct pool_model *m, uint64_t now_ns);
/* Bytes that it takes in workers on that device (NULL: in all), as far as these know: each measures what loading took. */
uint64_t pool_model_memory(const struct pool_model *m, const char *device);
/* Why the model is not there: the last load error, "circuit breaker open ...", or what a worker is about to
 * do for it; "" only while one has it ready. */
const char *pool_model_detail(struct pool_model *m);
/* Declaration from the first worker that loaded it; NULL while none has. Valid until the model is
 * freed: it is kept when all workers are gone (a later load that disagrees is refused). */
const struct wire_loaded *pool_model_loaded(const struct pool_model *m);

/* A worker that has a model, or is to have it. */
struct pool_placement {
	const struct worker *worker; /* borrow */
	uint32_t instances;	     /* lanes of it there; 0 until it is loaded */
	/* Static: "ready", "loading", "unloading", "due" (to be loaded), "failed" (it could not be loaded); or, where the
	 * worker takes no batches, that one's state */
	const char *state;
};
/* Those of the model, from number *i on, which begins with 0. False after the last: *ret_placement is untouched. */
bool pool_model_placement(
	const struct pool_model *m, size_t *i, struct pool_placement *ret_placement);

/* --- Memory that batches may name: segments of the daemon's own, regions of local clients ----- */

struct pool_memory;

/*
 * Make memory known under `id`, never reused: a region's has WIRE_REGION_BIT, a segment's is of
 * slots_add(). `fd` is a sealed memfd of `size` bytes, borrowed until on_gone. It is passed to a worker
 * process ahead of the first batch that names it there, once. on_gone(data) comes once, after
 * pool_memory_free().
 * -ENOMEM
 */
_must_use_ int pool_memory_new(struct pool_memory **ret_memory, struct pool *p, uint64_t id, int fd,
	uint64_t size, bool writable, void (*on_gone)(void *data), void *data);
/* Memory of a GPU that a client has made. */
struct pool_import {
	const uint64_t *handle; /* WIRE_HANDLE_WORDS, borrowed until on_gone; NULL: */
	int fd;			/* what it was exported to, borrowed likewise */
	uint64_t size;
	bool writable; /* targets may lie there, as inputs may */
};
/*
 * The same for such memory. It is passed to workers that take it (worker_imports()), on that GPU alone: the caller's business.
 */
_must_use_ int pool_memory_import(struct pool_memory **ret_memory, struct pool *p, uint64_t id,
	const struct pool_import *import, void (*on_gone)(void *data), void *data);
/*
 * Pass it to a worker on `device` now, and hear whether that can have it: on_tried(on_gone's data, e, why) once, from the
 * loop, unless it is freed before: 0; -EINVAL, it cannot, and says why; -ENODEV, it has ended instead. The handle may be known to one
 * try at a time (asserted).
 * -ENODEV: no worker there serves and takes such memory
 */
_must_use_ int pool_memory_try(struct pool_memory *m, const char *device,
	void (*on_tried)(void *data, int e, const char *why));
/*
 * No batch names it any more, sent or to be sent (asserted). Processes that map it are told to
 * unmap it; on_gone follows, never before this returns, when each has said so or was reaped: then
 * nothing of ours can touch its memory any more.
 */
void pool_memory_free(struct pool_memory *m);
/* The same where no process maps it (asserted), at once and without on_gone. Accepts NULL. */
void pool_memory_drop(struct pool_memory *m);
/* Close a descriptor (own) of memory that nobody may have any more, on a thread of the pool's: freeing many
 * pages takes long. */
void pool_dispose(struct pool *p, int fd);

#endif

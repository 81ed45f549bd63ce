/* lifecycle_private.h: struct lifecycle, for lifecycle*.c alone. */
#ifndef MODELS_LIFECYCLE_PRIVATE_H
#define MODELS_LIFECYCLE_PRIVATE_H

#include "models/lifecycle.h"
#include "models/overlay.h"
#include "models/repository.h"
#include "models/task.h"
#include "models/watch.h"
#include "models/wish.h"
#include "proto/wire.h"

/* What the thread is given and gives back: its own while `busy`. */
struct reading {
	char *name;		       /* own: a model; NULL: all */
	bool anew;		       /* the configuration, too */
	struct overlays overlays;      /* own: settings of callers */
	struct repository *repository; /* own */
	int error;
	char text[1024];
};

/* What a reading of all is for; of several the last. */
enum purpose {
	PURPOSE_NONE,
	PURPOSE_LIST,	 /* lifecycle_list() */
	PURPOSE_SETTLED, /* what has settled is applied */
	PURPOSE_ANEW,	 /* the configuration is read, too, and all is applied */
};

/* As in struct task. All borrowed. */
struct asked_task {
	enum task_kind kind;
	const char *name, *version;
	bool patient, for_reference, keeps_settings;
	struct overlay *overlay;
};

struct lifecycle {
	uv_loop_t *loop;			/* borrow */
	const struct models_settings *settings; /* borrow */
	const struct lifecycle_source *source;	/* borrow */
	struct dispatch *dispatch;		/* borrow */

	uv_work_t work;
	bool busy;
	bool stopped;
	struct reading reading;

	enum purpose asked;	/* of the next reading of all */
	struct list waits_next; /* struct lifecycle_wait: for the next reading of all */
	struct list waits_now;	/* for the one under way */
	enum purpose reading_for;

	struct list tasks;   /* struct task, in the order in which they were asked for */
	struct list starved; /* struct lifecycle_wait: there was no memory for a task */
	struct list demands; /* struct demanded: models that requests wait for */
	struct wishes wishes;
	struct list retries; /* struct retry: versions that failed to load */
	uv_timer_t retry_timer;
	uv_timer_t ttl_timer;  /* the next model that nobody uses goes */
	uv_timer_t poll_timer; /* POLL: the next reading */
	struct watch watch;
	void (*ask_poll)(struct lifecycle *l);
	struct repository *seen; /* own: of the last reading of all; NULL: none yet */
	struct lifecycle_counters counters;
	struct {
		size_t n_models;
		uint64_t host_bytes;
		uint64_t *place_bytes; /* own: of each of settings.places that is a GPU */
	} taken;     /* lifecycle_quota.c: by what is loaded, as of when it was summed up */
	bool over;   /* more is loaded than may be, and none may go */
	bool loaded; /* a version has become ready since lifecycle_flush() */
	bool dirty;  /* something about a version has changed since lifecycle_flush() */
	bool sheds;  /* wishes that nobody has any more are to be dropped */
};

/* --- lifecycle_apply.c: dispatch is told ----------------------------------------------------------- */

struct applied {
	unsigned n_added, n_replaced, n_removed;
	int error;	   /* the first that dispatch refused with */
	struct task *task; /* borrow; NULL: nobody waits. Gets the versions that matter to it */
};

/* Make what is served of a model what is wanted of the entry. */
void lifecycle_apply_entry(
	struct lifecycle *l, const struct repository_entry *e, struct applied *a);
/* Serve this version of it no more; 0: nothing of it. */
void lifecycle_remove(struct lifecycle *l, const char *name, uint64_t number, struct applied *a);
/* All of a snapshot, which becomes the one that was seen last; steals it. */
void lifecycle_apply_all(struct lifecycle *l, struct repository *r);
/* The same for what was so in the reading before, too, or only look (apply). Returns whether something was not. */
_must_use_ bool lifecycle_apply_settled(struct lifecycle *l, struct repository *r, bool apply);
/* Log what is wrong in r and was not so in l->seen. */
void lifecycle_tell_odd(const struct lifecycle *l, const struct repository *r);

/* --- lifecycle_task.c ------------------------------------------------------------------------------ */

/* One of the same that is under way, and behind which nothing else was asked of the model; NULL. */
struct task *lifecycle_find_task(struct lifecycle *l, const struct asked_task *a, uint64_t number);
/* The first task that is to read now; NULL: none. Begins those that need not. */
struct task *lifecycle_next_task(struct lifecycle *l);
/* The model's snapshot is there (or an error: text), for the task that is READING. */
void lifecycle_on_model_read(
	struct lifecycle *l, const struct repository *r, int error, const char *text);

/* No worker could load what a LOAD wanted: of files that a caller brought for it nothing stays, unless a version of them is served. What
 * is served goes on with the settings that it has. */
void lifecycle_on_load_failed(struct lifecycle *l, struct task *t);

/* Drop wishes for what nobody wants any more, and no repository has: callers bring models under as many names as they like. The thread
 * does not read. */
void lifecycle_shed_wishes(struct lifecycle *l);

/* --- lifecycle_poll.c ------------------------------------------------------------------------------- */

/* ask_poll: a reading is due. */
void lifecycle_poll_init(struct lifecycle *l, void (*ask_poll)(struct lifecycle *l));
/* Hear of changes of what there is now. On the thread. */
void lifecycle_poll_watch(const struct lifecycle *l);
/* All was read; moving: and not all of it has settled. */
void lifecycle_poll_next(struct lifecycle *l, bool moving);
void lifecycle_poll_stop(struct lifecycle *l);

/* --- lifecycle_retry.c ------------------------------------------------------------------------------ */

/* Something about it has changed. */
void lifecycle_retry_note(struct lifecycle *l, struct version *v);
/* It is not tried again, nor held any more. */
void lifecycle_retry_drop(struct lifecycle *l, const struct version *v);
/* Nothing is; the timer is closed. */
void lifecycle_retry_stop(struct lifecycle *l);

/* --- lifecycle_quota.c ------------------------------------------------------------------------------- */

/* A model has these files now (repository_entry.fingerprint): what others took says nothing of them. */
void lifecycle_note_files(struct lifecycle *l, const char *name, uint64_t fingerprint);
/* Is there room for the model of a LOAD? False: it waits in ROOM, or is DONE. */
_must_use_ bool lifecycle_make_room(struct lifecycle *l, struct task *t);
/* Those in ROOM may have it now: they are ASKED again. Returns whether there are any. */
_must_use_ bool lifecycle_try_rooms(struct lifecycle *l);
/* What a LOAD wanted is there: it is measured, and where it is too much others go, or it is FULL after all. */
void lifecycle_on_loaded(struct lifecycle *l, struct task *t);
/* What is loaded may take more by now. */
void lifecycle_enforce(struct lifecycle *l);

/* How a model stands. */
struct eviction_model lifecycle_look_at(const struct lifecycle *l, struct wish *w);
/* t: waits until its memory is back; NULL: nobody does. Returns what it took of the host and GPUs together. */
uint64_t lifecycle_evict(struct lifecycle *l, struct wish *w, struct task *t);

/* --- lifecycle_use.c --------------------------------------------------------------------------------- */

/* Something may have to go at another time than before. */
void lifecycle_expire_soon(struct lifecycle *l);

/* --- lifecycle.c ------------------------------------------------------------------------------------- */

/* Read what is to be read next, unless the thread reads. */
void lifecycle_advance(struct lifecycle *l);

/* --- lifecycle_ask.c --------------------------------------------------------------------------------- */

/* lifecycle_load() and its like. */
void lifecycle_ask(struct lifecycle *l, const struct asked_task *a, struct lifecycle_wait *w);

/* Do callers say which models there are? */
static inline bool lifecycle_is_explicit(const struct lifecycle *l)
{
	return l->settings->control == MODELS_CONTROL_EXPLICIT;
}

#endif

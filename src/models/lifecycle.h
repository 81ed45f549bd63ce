/*
 * lifecycle.h: which models are served, and how that changes while the daemon serves: what the repositories
 * have, what the configuration and callers want of it, and what dispatch is told so that it becomes so. Daemon
 * process, loop thread.
 *
 * Repositories are read on a thread of libuv's, since one may be large or far away. What is wrong changes
 * nothing: a configuration or a repository that cannot be read leaves all as it is, a model that is wrong
 * leaves that model as it is.
 *
 *   lifecycle_new -> lifecycle_begin -> lifecycle_stop -> (run the loop) -> lifecycle_free
 */
#ifndef MODELS_LIFECYCLE_H
#define MODELS_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "models/settings.h"

struct dispatch;
struct lifecycle;
struct overlay;
struct overlays;
struct repository;
struct version;

/* Where models are read from. */
struct lifecycle_source {
	/*
	 * A snapshot of the model `name`, NULL: of all; `anew`: the configuration is read again first; overlays: as of
	 * repository_read(). On a thread of libuv's, one at a time. 0; > 0: text (cap bytes) says what is wrong; -ENOMEM
	 */
	int (*read)(void *data, const char *name, bool anew, const struct overlays *overlays,
		struct repository **ret_repository, char *text, size_t cap);
	/* On the loop, once the configuration was read again, or could not be, before what was read is applied; NULL */
	void (*on_read)(void *data);
	void *data; /* borrow */
};

/* Why a call came to nothing. */
enum lifecycle_code {
	LIFECYCLE_OK,
	LIFECYCLE_NOT_ALLOWED, /* [models] control is not explicit */
	LIFECYCLE_INVALID,     /* what can be no name, or no number of a version */
	LIFECYCLE_UNKNOWN, /* it is in no repository, or has no such version; it is not loaded */
	LIFECYCLE_WRONG,   /* its files, or what they say */
	LIFECYCLE_CONFIG,  /* what the caller said of its settings */
	LIFECYCLE_OTHER,   /* it is loaded, or being loaded, with other settings */
	LIFECYCLE_FULL, /* it has no room beside what is loaded: [models] max_models, max_memory_bytes */
	LIFECYCLE_FAILED,     /* no worker could load it, or the repository could not be read */
	LIFECYCLE_SUPERSEDED, /* it was unloaded, or changed again, meanwhile */
	LIFECYCLE_ENDING,     /* the server ends */
	LIFECYCLE_NO_MEMORY,
};

/* Who waits. Embedded by the caller, zeroed but for on_done; it lives until on_done or lifecycle_forget(). */
struct lifecycle_wait {
	/* Once, from lifecycle_flush() or lifecycle_stop(). text is borrowed during it; "" when all is well. */
	void (*on_done)(struct lifecycle_wait *w, enum lifecycle_code code, const char *text);
	/* During on_done, FAILED: which version could not be loaded, and why without its name; NULL: it was
	 * none of them. Borrowed. */
	const char *version, *detail;
	struct list node; /* private */
};

/*
 * settings: of the start; borrowed, as source and dispatch are, for its life. -ENOMEM
 */
_must_use_ int lifecycle_new(struct lifecycle **ret_lifecycle, uv_loop_t *loop,
	const struct models_settings *settings, const struct lifecycle_source *source,
	struct dispatch *dispatch);
/* Before dispatch_start(): have served what is to be, out of the first snapshot, which is taken over. */
void lifecycle_begin(struct lifecycle *l, struct repository *first);
/* The server ends: nothing is applied any more, who waits is told so. Versions are held no more. */
void lifecycle_stop(struct lifecycle *l);
/* Once it was stopped, and the loop has run until nothing is left to do. Accepts NULL; returns NULL. */
struct lifecycle *lifecycle_free(struct lifecycle *l);
/* A thread reads. */
bool lifecycle_busy(const struct lifecycle *l);
/* Tell who waits what has come of it. Once a loop iteration. */
void lifecycle_flush(struct lifecycle *l);
/* Something about a version has changed: dispatch's on_version_note. */
void lifecycle_note(struct lifecycle *l, struct version *v);
/* Dispatch's on_version_gone. */
void lifecycle_gone(struct lifecycle *l, struct version *v);

/* --- Callers ------------------------------------------------------------------------------------ */

/*
 * Have a model served, and wait until it is ready: the versions that its policy has, or that of one number
 * (version; "": by policy). Where it is served, what has changed about it is applied. A load of the same that
 * is under way is joined. It gets the settings of its files, with overlay (NULL: none; a reference is taken), until another
 * load says something else, or none of its versions is to be served any more.
 */
void lifecycle_load(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w);
/* The same for who will refer to it (lifecycle_refer()): where nobody else has had it loaded, it goes ttl_ms after it was
 * referred to and used last. overlay NULL: with whatever settings; where somebody else has it with other settings: OTHER. */
void lifecycle_load_to_refer(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w);
/* Is what is served of it what overlay says? NULL: whatever is. */
bool lifecycle_has_settings(
	const struct lifecycle *l, const char *name, const struct overlay *overlay);
/* Have it served no more, and wait until its memory is back. What runs is finished. */
void lifecycle_unload(
	struct lifecycle *l, const char *name, const char *version, struct lifecycle_wait *w);
/* Read it again, whoever says which models there are, and wait until what has changed is ready. */
void lifecycle_reload(struct lifecycle *l, const char *name, struct lifecycle_wait *w);
/* Read the configuration and all models again, and apply what has changed (SIGHUP). Asked for several times
 * while it reads, it reads once more. w may be NULL. */
void lifecycle_reload_all(struct lifecycle *l, struct lifecycle_wait *w);
/* Read what the repositories have now, for lifecycle_list(); with control other than explicit, lists what was read last. */
void lifecycle_refresh(struct lifecycle *l, struct lifecycle_wait *w);
/*
 * A request names a model that is not served ("model", or "model:version"): dispatch's on_demand. True: it is loaded, and
 * dispatch_supply() is called when it is ready or will not be; one load for all who ask.
 */
bool lifecycle_demand(struct lifecycle *l, const char *name);
/* Who refers to a model keeps it from being evicted. -ENOMEM */
_must_use_ int lifecycle_refer(struct lifecycle *l, const char *name);
/* Once for each lifecycle_refer(). Returns how many references are left. */
uint32_t lifecycle_unrefer(struct lifecycle *l, const char *name);
uint32_t lifecycle_references(const struct lifecycle *l, const char *name);
struct lifecycle_expired {
	uint32_t n;
	uint64_t bytes; /* that they took */
};
/* Unload what was loaded to be referred to, and was not for so long. */
struct lifecycle_expired lifecycle_expire(struct lifecycle *l, uint64_t ttl_ms);
/* The name of the model that this path is of or in; false: it is below no repository. Nothing is looked at. */
bool lifecycle_model_of_path(const struct lifecycle *l, const char *path, char *name, size_t cap);
/* The caller waits no more; what was begun goes on. Harmless when it is done. */
void lifecycle_forget(struct lifecycle_wait *w);

/* --- What there is ------------------------------------------------------------------------------ */

enum lifecycle_state {
	LIFECYCLE_UNLOADED, /* it was never asked for */
	LIFECYCLE_LOADING,
	LIFECYCLE_READY,
	LIFECYCLE_UNAVAILABLE, /* reason says why */
	LIFECYCLE_UNLOADING,
};

/* All borrowed: valid until who called lifecycle_list() returns to the loop. */
struct lifecycle_item {
	const char *name;
	const char *version; /* "": none is known */
	enum lifecycle_state state;
	const char *reason; /* "": there is nothing to say */
	bool wrong;	    /* its files are, or what they say */
};

/* Each version that is served and each model that is not and that a repository has, by name. on_item is
 * called from inside and must change nothing. */
void lifecycle_list(const struct lifecycle *l,
	void (*on_item)(void *data, const struct lifecycle_item *item), void *data);
/* The same of those alone whose files are wrong by now: nothing is done for the others. */
void lifecycle_list_wrong(const struct lifecycle *l,
	void (*on_item)(void *data, const struct lifecycle_item *item), void *data);
struct lifecycle_counters {
	uint64_t evictions;
};
struct lifecycle_counters lifecycle_counters(const struct lifecycle *l);
/* May requests have models loaded? */
bool lifecycle_loads_on_request(const struct lifecycle *l);
const struct models_settings *lifecycle_settings(const struct lifecycle *l);
/* May callers load and unload? */
bool lifecycle_explicit(const struct lifecycle *l);

#endif

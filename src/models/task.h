/* task.h: something that callers asked for of one model, and what came of it. For src/models alone. */
#ifndef MODELS_TASK_H
#define MODELS_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "models/lifecycle.h"

enum task_kind {
	TASK_LOAD,
	TASK_UNLOAD,
	TASK_RELOAD,
};

enum task_phase {
	TASK_ASKED,
	TASK_READING, /* the thread is at it */
	TASK_ROOM,    /* others make room for it: the versions that it waits for are theirs */
	TASK_WAITING, /* for versions to become ready, or to go */
	TASK_DONE,
};

struct overlay;

/* What one or several callers asked for, and what came of it. */
struct task {
	struct list node;
	enum task_kind kind;
	enum task_phase phase;
	bool for_reference;	 /* LOAD: nobody wants it but who will refer to it */
	bool patient;		 /* ROOM: where nobody may go now, it waits */
	bool keeps_settings;	 /* whatever settings it has by then; else: */
	struct overlay *overlay; /* ref; NULL: its files' */
	struct overlay *before;	 /* ref: what the wish had until then, where it has `overlay` now */
	char *name;		 /* own: of the model */
	uint64_t number;	 /* of the version; 0: none was named */
	struct list waits;	 /* struct lifecycle_wait.node */
	struct version **versions; /* own: a reference each */
	size_t n_versions;
	enum lifecycle_code code;  /* DONE: what came of it, and why */
	char *text;		   /* own; NULL: "" */
	char *failed_version;	   /* own; FAILED: which could not be loaded; NULL: none of them */
	const char *failed_detail; /* in text: the end of it; NULL as failed_version */
};

/* version 0: none was named; it keeps settings. NULL: no memory */
struct task *task_new(enum task_kind kind, const char *name, uint64_t number);
/* Out of its list, too. No one may wait. */
void task_free(struct task *t);
/* It is DONE, and holds nothing any more. */
void task_end(struct task *t, enum lifecycle_code code, const char *format, ...) _printf_(3, 4);
/* What becomes of this version is to be waited for: a reference more. -ENOMEM */
_must_use_ int task_watch(struct task *t, struct version *v);
/* Where a version was named, others are not waited for. */
void task_drop_others(struct task *t);
/* Is what is WAITING for done, or can it not be any more? */
void task_look(struct task *t);
/* No worker has this version any more. */
void task_gone(struct task *t, const struct version *v);

#endif

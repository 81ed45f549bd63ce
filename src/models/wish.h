/*
 * wish.h: which models and versions callers asked for, where they say which there are
 * ([models] control = explicit). Of one model: what its own policy says, and numbers more or fewer.
 */
#ifndef MODELS_WISH_H
#define MODELS_WISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct overlay;

struct wish_numbers {
	uint64_t *list; /* own: each once */
	size_t n;
};

struct wish {
	struct list node;
	struct wish *next;	     /* of the same bucket */
	bool by_policy;		     /* what the model's policy says */
	struct wish_numbers more;    /* and these */
	struct wish_numbers without; /* and not these */
	struct overlay *overlay;     /* ref: settings of whoever has it loaded; NULL: its files' */
	uint64_t used_ns; /* when it was loaded, or a caller referred to it last; 0: never */
	uint64_t n_uses;  /* beside its requests */
	uint32_t n_references;
	bool transient;	     /* it was loaded for a reference alone */
	uint64_t host_bytes; /* what it took when it was loaded last; 0: nobody knows */
	uint64_t
		*gpu_bytes; /* own: likewise, by place as they are configured; NULL: nobody knows */
	uint64_t fingerprint; /* of the files that took it */
	size_t ranked; /* lifecycle_quota.c: scratch, where it is among those that it looks at, from 1 on */
	char name[]; /* of the model */
};

/* Zeroed is not enough: wishes_init(). */
struct wishes {
	struct list list;      /* own: struct wish, in the order in which they were made */
	struct wish **buckets; /* own: by name */
	size_t n_buckets;      /* a power of two; 0: none yet */
	size_t n;
};

void wishes_init(struct wishes *w);
void wishes_release(struct wishes *w);
/* Version `number`, 0: what the model's policy says and nothing else. -ENOMEM: nothing has changed */
_must_use_ int wishes_add(struct wishes *w, const char *name, uint64_t number);
/* Version `number` no more, 0: none at all. The wish stays, and says that the model was asked for once; with the last version
 * its overlay goes.
 * -ENOMEM: nothing has changed */
_must_use_ int wishes_remove(struct wishes *w, const char *name, uint64_t number);
/* The one of this model, made where there is none: nothing is wanted of it yet. NULL: no memory */
struct wish *wishes_need(struct wishes *w, const char *name);
/* As if it had never been asked for: nobody has a pointer to it, or to its name. */
void wishes_drop(struct wishes *w, struct wish *wish);
size_t wishes_count(const struct wishes *w);
/* NULL: it was never asked for. */
const struct wish *wishes_find(const struct wishes *w, const char *name);
/* Is this version wanted? chosen: the model's policy has it. */
bool wish_has(const struct wish *w, uint64_t number, bool chosen);
/* From now on these are its settings; NULL: its files'. A reference is taken. */
void wish_set_overlay(struct wish *w, struct overlay *overlay);
/* Nothing of it is wanted any more. */
void wish_clear(struct wish *w);
/* Nothing is wanted. */
bool wish_empty(const struct wish *w);

#endif

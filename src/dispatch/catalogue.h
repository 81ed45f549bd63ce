/*
 * catalogue.h: which versions of which models there are, and how they come and go. For src/dispatch alone.
 *
 *   catalogue_add() ─▶ served, or a candidate that replaces a served one
 *                      candidate ─▶ ready where the other is: takes its place, which is retired
 *                                ─▶ hopeless: is retired itself; the other goes on
 *   catalogue_retire() ─▶ found no more; what was begun is finished ─▶ unloaded ─▶ gone ─▶ freed with the
 *                      last reference
 */
#ifndef DISPATCH_CATALOGUE_H
#define DISPATCH_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/version.h"

struct family;
struct pool;

struct catalogue {
	struct pool *pool; /* borrow */
	uint32_t default_max_batch_size;
	void (*on_change)(
		void *data, struct version *v); /* it came, went, or became ready or not */
	void *data;				/* borrow */
	struct version **versions; /* own: a reference each; in the order in which they came */
	size_t n;
	size_t cap;
	struct family **families; /* own: by name */
	size_t n_families;
	size_t cap_families;
	struct list retired;	      /* struct version.node: a reference each; not gone yet */
	struct version_counters gone; /* of those that are */
};

/* on_change may be called from inside of each function below that may change something; it must not change
 * the catalogue. */
void catalogue_init(struct catalogue *c, struct pool *pool, uint32_t default_max_batch_size,
	void (*on_change)(void *data, struct version *v), void *data);
/* Gives all references back. No process may be left that holds a version. Accepts a zeroed one. */
void catalogue_deinit(struct catalogue *c);

/*
 * A version more, and its work. replaces: NULL, or a version of the same model that is found until this one
 * is ready; a candidate that was to replace it is retired. The version is borrowed.
 *
 * -EEXIST: there is this version already, and it is not to be replaced; -EINVAL, -ENOMEM
 */
_must_use_ int catalogue_add(struct catalogue *c, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version);
/* It is found no more, and goes when what was begun is finished. Not twice. */
void catalogue_retire(struct catalogue *c, struct version *v);
/* Call it when requests may be done: unloads retired versions that have none left. */
void catalogue_sweep(struct catalogue *c);
/* The pool says that something about it has changed. */
void catalogue_note(struct catalogue *c, struct version *v);
/* The pool says that no process holds it any more. */
void catalogue_gone(struct catalogue *c, struct version *v);

/*
 * By the model's name (n bytes, no NUL) and a number in digits (n_number bytes; 0: the default, which is the
 * highest that was ever ready, else the highest). A candidate is found only by a number of its own.
 * NULL: unknown.
 */
struct version *catalogue_find(
	const struct catalogue *c, const char *name, size_t n, const char *number, size_t n_number);
/* Those of one model, the highest first: the first `cap` of them into list. Returns how many there are. */
size_t catalogue_family(
	const struct catalogue *c, const char *name, struct version **list, size_t cap);
/* Of all versions there ever were: sums. */
struct version_counters catalogue_counters(const struct catalogue *c);

#endif

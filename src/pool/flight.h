/* flight.h: one batch in flight: what was asked for, and the check of what came back. */
#ifndef POOL_FLIGHT_H
#define POOL_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/memory.h"
#include "pool/output_memory.h"

struct pool_model;

struct flight_item {
	size_t first_wanted; /* in flight.wanted: flight.n_words of them, a bit an output */
	uint32_t n_wanted;
	uint32_t n_targets;
	size_t first_target; /* in flight.targets */
	bool answered;	     /* ahead of the others: its result is to be empty */
};

/* Reused: arrays grow to the largest batch seen, so that a steady load allocates nothing. */
struct flight {
	struct list node;	  /* in worker.spare or .in_flight */
	struct list lane_node;	  /* in pool_lane.flights */
	struct pool_lane *lane;	  /* borrow: the one that it was sent to, while that is there */
	uint64_t sent_ns;	  /* when it was sent */
	bool sent;		  /* else its worker was lost ahead of it */
	uint64_t expect_ns;	  /* so long it should take */
	uint64_t id;		  /* of the batch */
	struct pool_model *model; /* borrow: it lives while it has flights */
	void *tag;		  /* borrow: the caller's */
	size_t n_items;
	size_t n_targets;
	size_t n_memories;
	size_t n_words;		       /* of an item's wanted bits */
	struct flight_item *items;     /* own, as the arrays below */
	uint64_t *wanted;	       /* of all items; flight_check() clears what has come */
	struct wire_target *targets;   /* of all items */
	struct pool_memory **memories; /* held: one entry for each time it is named */
	struct pool_result *results;   /* one an item; flight_check() fills them */
	struct pool_output *outputs;   /* room for all that is wanted */
	size_t cap_items;
	size_t cap_wanted;
	size_t cap_targets;
	size_t cap_memories;
	size_t cap_results;
	size_t cap_outputs;
};

void flight_deinit(struct flight *f);
/*
 * Note what items ask of a model declared so. Regions are looked up (asserted) but not held yet.
 * -ENOMEM
 */
_must_use_ int flight_prepare(struct flight *f, struct memory_table *memories,
	const struct wire_loaded *declared, const struct wire_item *items, size_t n_items);
/* It was sent: hold its memories. */
void flight_begin(struct flight *f);
/* It is over: let go of its memories. */
void flight_end(struct flight *f);
/*
 * Check the last answers of all items and fill f->results and f->outputs from them; they borrow from
 * `results`, and each that has outputs in output memory holds a reference to a lease.
 * -EPROTO  *ret_why says what is wrong (static storage)
 * -ENOMEM
 */
_must_use_ int flight_check(struct flight *f, const struct wire_loaded *declared,
	struct output_memory *output, const struct wire_result *results, size_t n_results,
	const char **ret_why);
/* The same for an answer of one item ahead of the others, or that more will follow, into its place of f->results. */
_must_use_ int flight_check_partial(struct flight *f, const struct wire_loaded *declared,
	struct output_memory *output, const struct wire_partial *partial, const char **ret_why);
/* Drop the references to leases of f->results. */
void flight_let_go(struct flight *f);

#endif

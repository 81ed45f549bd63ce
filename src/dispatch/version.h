/*
 * version.h: one version of a model: what the configuration says of it, what its backend declared, and its
 * counters. It lives as long as somebody holds a reference: each request for it, and dispatch while it is
 * served and until no worker holds it any more.
 */
#ifndef DISPATCH_VERSION_H
#define DISPATCH_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/version_figures.h"
#include "dispatch/version_settings.h"
#include "proto/wire.h"

struct version_counters {
	uint64_t requests_ok;
	uint64_t requests_failed; /* answered with an error, or refused */
	uint64_t batches;
	uint64_t total_ns; /* sum over requests_ok, submit to done */
	/* Of requests_ok: waiting for a worker; the run of each one's batch; rows. */
	uint64_t queue_ns;
	uint64_t compute_ns;
	uint64_t rows;
	uint64_t failed_ns; /* sum over those that were answered with an error */
	uint64_t last_ns;   /* when the last of requests_ok was answered; 0: never */
};

struct version;
struct worker;
struct pool_placement;

struct version *version_ref(struct version *v);
/* Accepts NULL; returns NULL. */
struct version *version_unref(struct version *v);
DEFINE_CLEANUP(struct version *, version_unref)

/* Valid as long as the version. */
const struct version_settings *version_settings(const struct version *v);
/* It is to replace this one when it is ready; NULL: it is served. */
const struct version *version_replaces(const struct version *v);
/* It was removed: nothing new runs on it. */
bool version_retired(const struct version *v);
/* Workers that could not load it. */
uint32_t version_workers_failed(const struct version *v);
/* Those try again. */
void version_retry(struct version *v);
/* What the backend declared; NULL while no worker has loaded it yet. It never changes then. */
const struct wire_loaded *version_declared(const struct version *v);
/* It may answer a request several times, or not at all: see request_allow_partial(). */
bool version_decoupled(const struct version *v);
/* Rows a batch may have, in effect; 0: not batched. */
uint32_t version_max_batch_size(const struct version *v);
/* At least one ready worker holds it. */
bool version_ready(const struct version *v);
/* And not all of its lanes have been busy with one batch for much longer than usual. */
bool version_serving(const struct version *v);
/* Is waiting for it of any use (it is loading, or its worker is being respawned)? */
bool version_hopeful(const struct version *v);
/* "ready", "overdue" (ready, but not serving), "loading", "unavailable", "failed". */
const char *version_state_name(const struct version *v);
/* Why it does not serve; "" when there is nothing to say. */
const char *version_detail(const struct version *v);
/* What there is to say of it though it serves: why another one could not take its place ("version 2 has failed, this one goes on:
 * ..."), or where its configuration contradicts it; "": nothing. */
const char *version_remark(const struct version *v);
/* It is what is wanted: forget the one that could not take its place. */
void version_stays(struct version *v);
/* Bytes that it takes in workers on that device (NULL: in all), as these have measured. */
uint64_t version_memory_bytes(const struct version *v, const char *device);
/* When it was ready for the first time; 0: never. */
uint64_t version_proven_ns(const struct version *v);
/* Requests that were made for it and are not over. */
uint32_t version_n_requests(const struct version *v);
uint32_t version_workers_ready(const struct version *v);
/* Is this one of them? */
bool version_held_by(const struct version *v, const struct worker *w);
/* Where it is, or is to be: as pool_model_placement(). */
bool version_placement(const struct version *v, size_t *i, struct pool_placement *ret_placement);
uint32_t version_queue_depth(const struct version *v);
uint32_t version_in_flight(const struct version *v); /* requests sent to workers */
const struct version_counters *version_counters(const struct version *v);
const struct version_figures *version_figures(const struct version *v);
/* An answer was handed to its connection so long after it came: VERSION_REPLY. */
void version_note_reply(struct version *v, uint64_t ns);

/* Index of a declared input or output by name. *index is where to look first: where a caller has many
 * in the declared order, none takes a search. -ENOENT: it is untouched. */
_must_use_ int version_find_input(const struct version *v, const char *name, uint32_t *index);
_must_use_ int version_find_output(const struct version *v, const char *name, uint32_t *index);
/* Is a declared input or output what a step of a sequence has beside its client's: control inputs, states? */
bool version_hides_input(const struct version *v, uint32_t index);
bool version_hides_output(const struct version *v, uint32_t index);

#endif

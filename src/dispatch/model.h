/*
 * model.h: one model as dispatch sees it: what the configuration says, what its backend declared,
 * its queue and counters. Models are created at start and live as long as dispatch.
 */
#ifndef DISPATCH_MODEL_H
#define DISPATCH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

/* From the repository and the configuration; const after start. */
struct model_settings {
	const char *name;
	const char *version;
	const char *path; /* the version's directory */
	const char *backend;
	const char *devices;	 /* NULL: all */
	uint32_t max_batch_size; /* UINT32_MAX: not set; 0: no batching */
	uint64_t max_queue_delay_us;
	uint32_t max_queue_size; /* requests */
	uint64_t run_timeout_ms;
	bool stateful; /* a request that lost its worker is not sent again */
	const struct wire_pair *parameters;
	size_t n_parameters;
};

struct model_counters {
	uint64_t requests_ok;
	uint64_t requests_failed; /* answered with an error, or refused */
	uint64_t batches;
	uint64_t total_ns; /* sum over requests_ok, submit to done */
};

struct model;

const struct model_settings *model_settings(const struct model *m);
uint32_t model_id(const struct model *m);
/* What the backend declared; NULL while no worker has loaded it yet. */
const struct wire_loaded *model_declared(const struct model *m);
/* Rows a batch may have, in effect; 0: not batched. */
uint32_t model_max_batch_size(const struct model *m);
/* At least one ready worker holds it. */
bool model_ready(const struct model *m);
/* Is waiting for it of any use (it is loading, or its worker is being respawned)? */
bool model_hopeful(const struct model *m);
/* "ready", "loading", "unavailable", "failed". */
const char *model_state_name(const struct model *m);
/* Why it is not ready; "" when there is nothing to say. */
const char *model_detail(const struct model *m);
uint32_t model_workers_ready(const struct model *m);
uint32_t model_queue_depth(const struct model *m);
uint32_t model_in_flight(const struct model *m); /* requests sent to workers */
const struct model_counters *model_counters(const struct model *m);

/* Index of a declared input or output by name. -ENOENT. */
_must_use_ int model_find_input(const struct model *m, const char *name, uint32_t *ret_index);
_must_use_ int model_find_output(const struct model *m, const char *name, uint32_t *ret_index);

#endif

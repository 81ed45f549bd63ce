/* fake_sources.h: stands in for what metrics are taken from. */
#ifndef TESTS_UNIT_METRICS_FAKE_SOURCES_H
#define TESTS_UNIT_METRICS_FAKE_SOURCES_H

#include <stdbool.h>

#include "base/busy_poll.h"
#include "base/nvml.h"
#include "dispatch/version.h"
#include "metrics/metrics.h"
#include "pool/worker.h"

#define FAKE_VERSIONS_MAX 2048u

struct version {
	struct version_settings settings;
	struct version_counters counters;
	struct version_figures figures;
	bool ready, serving;
	const struct version *replaces;
	uint32_t workers_ready, queue_depth, in_flight;
	unsigned refs;
};

struct worker {
	const char *name, *device;
	enum worker_state state;
	uint64_t restarts, batches, ready_since_ns, output_mapped, stayed;
	uint64_t ends[WORKER_VERDICTS_];
	uint32_t in_flight, lanes_busy;
	struct worker_limits limits;
	struct group_use use;
	bool free; /* nobody's */
};

struct fake_sources {
	bool server_ready, draining;
	struct version versions[FAKE_VERSIONS_MAX];
	size_t n_versions;
	struct worker workers[4];
	size_t n_workers;
	struct nvml_gpu gpus[2];
	size_t n_gpus;
	struct histogram turns;
	struct busy_poll polls[2];
};

extern struct fake_sources fake;

/* A version more: ready, serving, otherwise zero. */
struct version *fake_add(const char *name, const char *number);
/* What metrics are made with. */
struct metrics_sources fake_sources(void);
/* References to versions that are held now. */
unsigned fake_refs(void);

#endif

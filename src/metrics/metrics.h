/*
 * metrics.h: the door of src/metrics: what can be seen of the daemon over HTTP, on a listener of its own.
 * Nothing here changes anything, and nothing waits for a worker. Daemon process, loop thread.
 *
 *   /                        a page for people, which shows what follows as it moves
 *   /metrics                 Prometheus' text format: family.h has what there is
 *   /v2/health/live          200 while the loop turns
 *   /v2/health/ready         200 while the server is ready, as grpc.health.v1 says of "" (else 503)
 *   /v2/models/NAME/ready    200 while the model is, 503 while it is not, 404 where there is none; also with
 *                            /versions/NUMBER behind NAME
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "http/http.h"

struct busy_poll;
struct dispatch;
struct frontend;
struct handoff;
struct histogram;
struct metrics;
struct tracer;

/* What is looked at; each is borrowed for the metrics' life. */
struct metrics_sources {
	struct dispatch *dispatch;
	struct frontend *frontend;
	struct handoff *handoff;       /* NULL: none */
	const struct histogram *turns; /* of the loop, ns */
	const struct busy_poll *polls; /* of the loop */
	size_t n_polls;
	uint64_t started_ns;
	const struct tracer *tracer; /* NULL: nothing is traced */
};

/* settings and what sources name are borrowed. -ENOMEM */
_must_use_ int metrics_new(struct metrics **ret_metrics, uv_loop_t *loop,
	const struct http_settings *settings, const struct metrics_sources *sources);
/*
 * Listen. A port that another process has is no failure: the log says so, and it is tried again from time to
 * time; a daemon that serves is worth more than one that is watched. text says what else went wrong: as
 * http_listen()
 */
_must_use_ int metrics_listen(struct metrics *m, char *text, size_t cap);
/* Closes everything. Run the loop before closing it. Accepts NULL; returns NULL. */
struct metrics *metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics *, metrics_free)

#endif

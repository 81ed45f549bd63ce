/* host.h: what this worker offers to backends (struct modeld_host of backend.h). */
#ifndef WORKERS_HOST_H
#define WORKERS_HOST_H

#include "base/cleanup.h"
#include "proto/wire.h"
#include "workers/backend.h"

struct host;

/* What backend.h says of a run that goes on. */
struct host_calls {
	void (*complete)(const struct modeld_batch *batch, enum modeld_code code, const char *text);
	enum modeld_code (*answer)(const struct modeld_batch *batch, struct modeld_error *error);
};

/* Copies what it needs. -ENOMEM */
_must_use_ int host_new(
	struct host **ret_host, const struct wire_setup *setup, const struct host_calls *calls);
struct host *host_free(struct host *h);
DEFINE_CLEANUP(struct host *, host_free)

/* Valid as long as the host. */
const struct modeld_host *host_api(const struct host *h);
const char *host_worker(const struct host *h);
/* A key of [backend.NAME] that the backend has not asked for; NULL: there is none left. Each is told once. */
const char *host_next_unasked(const struct host *h, const char *backend);

/* Make text of a backend fit for a log line and a status message: NUL-terminated, no control
 * characters, never empty. */
void host_clean_error(struct modeld_error *error);
/* Clients see texts, and the server's directories are not theirs to know: of an absolute path only the last name stays. */
void host_hide_paths(char *text);

#endif

/* version_settings.h: what the repository and the configuration say of one version of a model. */
#ifndef DISPATCH_VERSION_SETTINGS_H
#define DISPATCH_VERSION_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/claims.h"
#include "dispatch/labels.h"
#include "dispatch/queue_settings.h"
#include "dispatch/sequence_settings.h"
#include "pool/isolation.h"
#include "proto/wire.h"

struct pool_model_settings;
struct spool_dir;

#define VERSION_SETTINGS_BYTES_MAX (WIRE_MESSAGE_MAX - 1024u)

/* Whether the strings are owned is said where one is kept. */
struct version_settings {
	const char *name;    /* of the model */
	const char *version; /* a positive number, in digits */
	const char *path;    /* the version's directory */
	const char *backend;
	const char *devices;  /* NULL: all; see pool_model_settings.devices */
	const char *fallback; /* devices, where it can be loaded on none of those; NULL: none */
	const char
		*caller_parameters; /* names of those that who has it loaded may set; NULL: none */
	enum wire_priority gpu_priority;
	uint32_t max_batch_size; /* UINT32_MAX: not set; 0: no batching */
	uint64_t max_queue_delay_us;
	uint32_t max_queue_size; /* requests */
	uint32_t
		instances; /* lanes: batches that a worker runs at once; 0: as the worker finds best */
	uint64_t run_timeout_ms;
	enum isolation isolation;
	bool stateful;			    /* a request that lost its worker is not sent again */
	struct sequence_settings *sequence; /* NULL: its requests belong to no sequences */
	struct queue_settings *queue;	    /* NULL: one level, no timeouts, no size is preferred */
	struct labels *labels;		    /* NULL: no output has any */
	struct claims *claims;		    /* NULL: the files say nothing of the model's tensors */
	const struct wire_pair *parameters;
	size_t n_parameters;
	const char *warmup_path; /* where the files of warm-ups are; NULL: there are no warm-ups */
	const struct wire_warmup *warmups;
	size_t n_warmups;
	struct spool_dir *files; /* ref: `path` lies in it; NULL: it lies in a repository */
	uint64_t
		content; /* of the directory: another number when a file in it changed; 0: unknown */
};

/* Everything is copied: *to owns its strings. On failure it owns nothing. -ENOMEM */
_must_use_ int version_settings_copy(
	struct version_settings *to, const struct version_settings *from);
/* Free what *s owns, and zero it. Accepts zeroed settings. */
void version_settings_release(struct version_settings *s);
/* What of them the pool, and by it a worker, is told. Borrows what *s owns. */
struct pool_model_settings version_settings_for_pool(const struct version_settings *s);
/* Would workers and clients see no difference? Parameters are compared in their order. */
bool version_settings_equal(const struct version_settings *a, const struct version_settings *b);
/* What of it goes to a worker takes so many bytes at most, of VERSION_SETTINGS_BYTES_MAX that a message has room for. */
size_t version_settings_bytes(const struct version_settings *s);

#endif

/*
 * config.h: the configuration: one file in INI form, overridden by --set, const after start.
 *
 * Every key is in one table (config_keys.c) with its type, default and bounds; unknown sections and
 * keys, keys set twice and bad values are errors that name file, line and key. conf/modeld.conf
 * documents each key; a test holds the two together.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "handoff/handoff.h"
#include "http/http.h"
#include "models/settings.h"
#include "pool/pool.h"
#include "services/frontend.h"
#include "trace/tracer.h"

/* What holds workers: the sandbox of workers/sandbox.h. */
struct sandbox_settings {
	const char *mode;	 /* "on", "relaxed", "off" */
	const char *user;	 /* "": the daemon's own; a name, a number, "FIRST-LAST" */
	const char *const *read; /* paths besides what is known to be needed */
	const char *const *write;
	const char *launcher; /* modeld-worker: what runs other programs in it */
};

struct config {
	struct frontend_settings frontend;
	struct dispatch_settings dispatch;
	struct pool_settings pool;
	struct handoff_settings handoff;
	struct models_settings models;
	struct sandbox_settings sandbox;
	struct http_settings metrics;
	struct trace_settings trace;
	struct given_sockets *given; /* borrow: sockets that listen already; NULL: none */
	const char *runtime_dir;     /* where Unix sockets without a directory go */
	const char *upload_root;     /* in it: where files of models are, or were (base/spool.h) */
	const char *upload_dir;	     /* the same; NULL: none are taken */
	uint64_t max_upload_bytes;   /* of them, all together */
	uint64_t memory_bytes;	     /* that there is, 0: not known; what "auto" limits go by */
	const char *memory_source;   /* who says so */
	enum log_level log_level;
	enum log_format log_format;
	uint32_t log_keep_bytes; /* of its last lines, in memory; 0: none */
	uint32_t lone_poll_us;	 /* pool.busy_poll_us is the other one */
	uint64_t drain_timeout_ms;

	/* Private: raw text of every key, and what the fields above point to. */
	struct config_store *store; /* own */
};

/*
 * The defaults of every key, nothing resolved yet. Release with config_release(). -ENOMEM
 */
_must_use_ int config_init(struct config *c);
void config_release(struct config *c);

enum {
	CONFIG_E_INVALID = 1, /* the text given back says what is wrong and where */
};

/* Read a file. text: cap bytes for the message, a line for each key that is wrong. CONFIG_E_INVALID, -ENOMEM */
_must_use_ int config_load_file(struct config *c, const char *path, char *text, size_t cap);
/* Read the same from memory; `name` stands for the file in messages. */
_must_use_ int config_load_memory(
	struct config *c, const char *name, const char *data, size_t n, char *text, size_t cap);
/* One "section.key=value" of the command line; overrides the file. */
_must_use_ int config_set(struct config *c, const char *assignment, char *text, size_t cap);
/* After all loading: check what depends on several keys, resolve automatic values (programs beside
 * this one, the runtime directory, paths relative to the configuration file) and fill the public
 * fields. Creates nothing. */
_must_use_ int config_finish(struct config *c, char *text, size_t cap);
/* Where a key was set: "modeld.conf:12", "--set server.listen"; NULL: nowhere, it is the default. Borrowed. */
const char *config_where(const struct config *c, const char *section, const char *name);
/* A Unix socket goes into runtime_dir. After config_finish(). */
bool config_needs_runtime_dir(const struct config *c);
/* Worker processes of all devices. */
uint64_t config_n_workers(const struct config *c);
/* Is there a backend of this name (n bytes): built in, in a backend directory, or a program? After config_finish(). */
_must_use_ bool config_has_backend(const struct config *c, const char *name, size_t n);
/* Where a key of [backend.NAME] was set, as config_where(). */
const char *config_where_setting(const struct config *c, const char *backend, const char *key);
/* A section [backend.NAME] of a backend that there is not. */
struct missing_backend {
	const char *name; /* borrow, of n bytes */
	int n;
	const char *where; /* borrow: its first key */
};
/* The next one, each once; *at: 0 at first. After config_finish(). False: there is none more. */
_must_use_ bool config_next_missing_backend(
	const struct config *c, size_t *at, struct missing_backend *ret_missing);
/*
 * Keys that differ between two readings and that a reload does not apply, settings of backends among them: names as
 * "[server] listen, [worker] workers", as many as `cap` bytes have room for. Returns how many there are.
 */
size_t config_need_restart(
	const struct config *before, const struct config *now, char *text, size_t cap);
/*
 * Repositories of `now` that workers cannot read in the sandbox which the first reading has for them, where they know of those
 * of `before`: paths, separated by commas, as many as `cap` bytes have room for. Returns how many there are. After
 * config_finish() of all.
 */
size_t config_find_hidden(const struct config *first, const struct config *before,
	const struct config *now, char *text, size_t cap);
/*
 * What workers are told that start after `now` was read: the sandbox of the first reading, with the repositories of this
 * one. Sets now->pool.sandbox, which borrows from both. -ENOMEM
 */
_must_use_ int config_renew_sandbox(struct config *now, const struct config *first);
/* The effective configuration in the file's form. Call after config_finish(). */
void config_print(const struct config *c, FILE *out);

#endif

/*
 * repository.h: what the model repositories have, as a snapshot: one directory a model, with its own file of
 * settings and a directory a version (layout.h). Whatever is wrong with a model is said of that model, and
 * keeps no other from being served.
 *
 *   digits/model.conf          [model] backend, version, max_batch_size, max_queue_delay_us,
 *                              max_queue_size, instances, run_timeout_ms, devices, stateful;
 *                              [parameters] any keys
 *   digits/1/model.onnx        the highest version is served unless model.conf says otherwise
 *
 * A config.pbtxt in place of model.conf says the same in Triton's words (model_pbtxt.h). Without either a directory that has a version with model.onnx in it is an onnxruntime model.
 * A builtin model needs no version directory: it is version 1. With `serve = *` a directory that has
 * nothing of a model in it is not taken for one.
 */
#ifndef MODELS_REPOSITORY_H
#define MODELS_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "models/settings.h"

struct repository_version {
	struct version_settings settings; /* strings are owned */
	uint64_t number;
	bool chosen; /* by the model's policy */
};

struct repository_entry {
	const char *name; /* own; printable, whatever the directory is called */
	const char *
		error; /* own; NULL: it can be served. Names file, line and key, or what is missing */
	const char *odd;      /* own; NULL: nothing. What of it is not served, and how to mend it */
	bool wrong_overlay;   /* the error is about what a caller gave it, not about its files */
	bool applied;	      /* the lifecycle's mark */
	uint64_t fingerprint; /* of all of its files */
	struct repository_version
		*versions; /* own; the highest first; none where there is an error */
	size_t n_versions;
};

struct overlays;
struct repository;

enum {
	REPOSITORY_E_UNREADABLE = 1, /* text says which directory, and why */
};

/*
 * Read all repositories. settings, and overlays (what callers gave models; NULL: nothing), are borrowed during the call. May
 * be called on any thread.
 *
 * REPOSITORY_E_UNREADABLE; what err_is_shortage() names: who is served what then is not to change
 */
_must_use_ int repository_read(struct repository **ret_repository,
	const struct models_settings *settings, const struct overlays *overlays, char *text,
	size_t cap);
/* The same for one model, of any name: a snapshot of one entry, or of none where there is no such model. */
_must_use_ int repository_read_model(struct repository **ret_repository,
	const struct models_settings *settings, const struct overlays *overlays, const char *name,
	char *text, size_t cap);
/* Set the mark of entry i. */
void repository_set_applied(struct repository *r, size_t i);
/* It is kept for its names from here on: the files that callers brought go with who serves them. */
void repository_let_files_go(struct repository *r);
struct repository *repository_free(struct repository *r);
DEFINE_CLEANUP(struct repository *, repository_free)

/* By name. Valid as long as the repository. */
const struct repository_entry *repository_entries(const struct repository *r, size_t *ret_n);
/* NULL: there is none. */
const struct repository_entry *repository_find(const struct repository *r, const char *name);
/* "": none. */
const char *repository_default_model(const struct repository *r);
/* Entries that have an error. */
size_t repository_n_wrong(const struct repository *r);

#endif

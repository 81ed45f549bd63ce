/*
 * repository.h: the model repository on disk: one directory a model, `model.conf` in it, numbered
 * version directories below. Read at start, and again at SIGHUP.
 *
 *   digits/model.conf          [model] backend, version, max_batch_size, max_queue_delay_us,
 *                              max_queue_size, instances, run_timeout_ms, devices, stateful;
 *                              [parameters] any keys
 *   digits/1/model.onnx        the highest version is served unless model.conf names one
 *
 * Without a model.conf a directory that has a version with model.onnx in it is an onnxruntime model.
 * A builtin model needs no version directory: it is version 1. With `serve = *` a directory that has
 * neither a model.conf nor a version is not taken for a model.
 */
#ifndef REPOSITORY_H
#define REPOSITORY_H

#include <stddef.h>

#include "base/cleanup.h"
#include "config.h"
#include "dispatch/version.h"

struct repository;

/* A directory that is meant to be a model and cannot be one. */
struct repository_error {
	const char *name; /* of the model */
	const char *text; /* names the file, line and key, or what is missing */
};

/*
 * Read the repository that the configuration names, sorted by name. What model.conf leaves out comes
 * from the [model] section. config is borrowed during the call. May be called on any thread.
 *
 * CONFIG_E_INVALID  text names the file, line and key, or what is missing
 * -ENOMEM
 */
_must_use_ int repository_new(
	struct repository **ret_repository, const struct config *config, char *text, size_t cap);
/* The same, where models that are wrong make no failure of the whole: repository_errors() has them. */
_must_use_ int repository_read(
	struct repository **ret_repository, const struct config *config, char *text, size_t cap);
struct repository *repository_free(struct repository *r);
DEFINE_CLEANUP(struct repository *, repository_free)

/* Valid as long as the repository. */
const struct version_settings *repository_models(const struct repository *r, size_t *ret_n);
const struct repository_error *repository_errors(const struct repository *r, size_t *ret_n);

#endif

/* check_models.h: what `modeld --check` says of the models and of the sections of backends. */
#ifndef CHECK_MODELS_H
#define CHECK_MODELS_H

#include <stdbool.h>

#include "models/model_print.h"

struct config;
struct repository;

#define CHECK_NO_BACKEND                                                                           \
	"there is no such backend: neither built in, nor NAME.so in [worker] backend_dirs"

/* The models on standard output, as comments, since what --check prints is a configuration file; what is wrong with their
 * files on standard error. Returns the exit code of --check. */
int check_models_list(const struct config *c, const struct repository *repository);
/* The same with the models loaded, and of each a file of this form and nothing else on standard output. Likewise. */
int check_models_print(
	const struct config *c, enum model_form form, const struct repository *repository);
/* Of each model that is wrong or not quite right, on standard error. Returns how many are wrong. */
unsigned check_models_wrong(const struct repository *repository);
/* On standard error, if [models] default names none of them. Returns how many faults there are. */
unsigned check_models_default(const struct config *c, const struct repository *repository);
/*
 * On standard error each section of a backend that there is not, and each setting and parameter that its backend finds wrong,
 * without a model being loaded; notes: on standard output, as comments, which backends do not say. Returns how many faults
 * there are.
 */
unsigned check_models_backends(
	const struct config *c, const struct repository *repository, bool notes);

#endif

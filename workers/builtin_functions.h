/*
 * builtin_functions.h: what the builtin models do (see builtin.h).
 */
#ifndef WORKERS_BUILTIN_FUNCTIONS_H
#define WORKERS_BUILTIN_FUNCTIONS_H

#include <stdatomic.h>
#include <stdint.h>

#include "workers/backend.h"

/* A sleep is cut to this. */
#define BUILTIN_SLEEP_MS_MAX 3600000.0

struct builtin;

struct builtin_function {
	const char *name;
	enum modeld_code (*run)(
		struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error);
	struct modeld_model_info info;
};

/* A loaded model, or an instance of one, which begins as a copy of it. */
struct builtin {
	struct builtin *model;		/* borrow: itself, or whose instance it is */
	const struct modeld_host *host; /* borrow */
	const struct builtin_function *function;
	struct modeld_declaration input; /* where model.conf declares it */
	struct modeld_declaration output;
	double delay_ms;
	_Atomic uint64_t leaked_bytes; /* the model's */
	struct builtin_sum *sums; /* own: of an instance: the sequences that it has seen begin */
};

/* NULL: there is none of that name. */
const struct builtin_function *builtin_function(const char *name);
/* Its output is its input, of any dtype and shape: it can be declared to have one of them. */
int builtin_is_identity(const struct builtin_function *f);
void builtin_sleep_ms(double ms);
/* Memory for an output that is like `in`, and is written whole. NULL: error says why. */
void *builtin_output_like(const struct modeld_batch *batch, size_t index,
	const struct modeld_tensor *in, struct modeld_error *error);

#endif

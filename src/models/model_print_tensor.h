/* model_print_tensor.h: names, types and dimensions, and what a model declares, in the words of models' files. For model_print.c. */
#ifndef MODELS_MODEL_PRINT_TENSOR_H
#define MODELS_MODEL_PRINT_TENSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dispatch/version_settings.h"
#include "proto/wire.h"

/* "1, -1" */
void model_print_dims(FILE *out, const int64_t *dims, uint32_t rank);
/* As a field of config.pbtxt, with a space in front; nothing where there are none. */
void model_print_dims_field(FILE *out, const int64_t *dims, uint32_t rank);
/* Quoted and escaped, as in config.pbtxt. */
void model_print_text(FILE *out, const char *text);
/* Is it one word of a line of model.conf? */
bool model_print_is_word(const char *text);
/* What follows TYPE_ in config.pbtxt. */
const char *model_print_type(enum dtype d);

/* Comments, for a model.conf has no words for what a model declares. NULL: nothing. */
void model_print_declared_conf(FILE *out, const struct wire_loaded *declared);
/* But for what sequences fill in and take out. batched: dimensions are without the batch's, which comes in front. */
void model_print_declared_pbtxt(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, bool batched);

#endif

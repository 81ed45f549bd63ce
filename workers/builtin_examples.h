/*
 * builtin_examples.h: the models that Triton's examples and their clients expect, as builtin functions:
 *
 *   simple_int8     INPUT0, INPUT1 i8 [-1,16] -> OUTPUT0 sum, OUTPUT1 difference; can batch
 *   simple_string   the same of decimal texts, bytes [-1,16]
 *   repeat_int32    IN i32 [-1], DELAY u32 [-1], WAIT u32 [1] -> OUT i32 [1], IDX u32 [1]: an answer for each
 *                   element of IN, DELAY of it milliseconds after the one before; then it waits WAIT milliseconds
 *   nan_inf_output  INPUT0 f32 [-1] -> OUTPUT0 f32 [2]: no number, and an infinite one
 */
#ifndef WORKERS_BUILTIN_EXAMPLES_H
#define WORKERS_BUILTIN_EXAMPLES_H

#include "workers/builtin_functions.h"

/* NULL: there is none of that name. */
const struct builtin_function *builtin_example(const char *name);

#endif

/*
 * builtin.h: the backend `builtin`, linked into the worker: small models without files. Which one
 * is said by `function` in the [parameters] of model.conf, else by the model's name:
 *
 *   identity          INPUT0 -> OUTPUT0, any dtype and shape
 *   simple, add_sub   INPUT0, INPUT1 i32 [-1,16] -> OUTPUT0 sum, OUTPUT1 difference; can batch
 * those of builtin_examples.h and builtin_sequences.h
 * and, for tests, all of them identity but for what the first element of INPUT0 makes them do
 * first (a BYTES element is read as decimal text):
 *   sleep             sleep so many milliseconds, at most an hour
 *   crash             not 0: abort()
 *   hang              not 0: never come back
 *   leak              lose so many MiB, at most 1024 a request
 *   later             answer after so many milliseconds, from a thread of its own
 *   fatal             not 0: say that this process cannot go on
 * `delay_ms` in the [parameters] makes any of them take so long for each run, `load_ms` for the load.
 */
#ifndef WORKERS_BUILTIN_H
#define WORKERS_BUILTIN_H

#include "workers/backend.h"

const struct modeld_backend *builtin_backend(const struct modeld_host *host);

#endif

/*
 * batch_names.h: the names that exporters and people give a first dimension that is a batch. Any
 * other name, and none, may be the length of a sentence, the samples of a sound, the points of a
 * cloud.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_BATCH_NAMES_H
#define WORKERS_BACKENDS_ONNXRUNTIME_BATCH_NAMES_H

#include <stdbool.h>

/* docs/onnxruntime.md lists them. */
bool name_means_batch(const char *name);

#endif

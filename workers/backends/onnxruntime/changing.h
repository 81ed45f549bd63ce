/* changing.h: may a model run on inputs that somebody else changes meanwhile? */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_CHANGING_H
#define WORKERS_BACKENDS_ONNXRUNTIME_CHANGING_H

#include <stdbool.h>

/*
 * The model's file. True: all of its operators only compute with what they read. One that compares elements to bring
 * them into an order runs out of bounds where they change between two looks, one that takes an index or a number of
 * repetitions from them likewise; so whatever is not known to be harmless is not. Reads the graph.
 */
bool changing_is_harmless(const char *path);

#endif

/*
 * usual.h: which runs are far above the usual, by the bytes of their inputs. ONNX Runtime keeps all
 * memory that a run ever took for the next one; after a run that is unlike the others it is told to
 * give it back.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_USUAL_H
#define WORKERS_BACKENDS_ONNXRUNTIME_USUAL_H

#include <stdbool.h>
#include <stdint.h>

struct usual {
	uint64_t bytes; /* of the inputs of a run, a mean that follows slowly */
	bool known;
};

/* A run with so many bytes begins: is it far above the usual? It counts from now on. */
bool usual_exceeded(struct usual *u, uint64_t bytes);

#endif

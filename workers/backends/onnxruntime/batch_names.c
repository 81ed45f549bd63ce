/*
 * batch_names.c: see batch_names.h. Worker process.
 */
#include "workers/backends/onnxruntime/batch_names.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* In any case of letters. */
static const char *const words[] = {"batch", "batch_size", "batchsize", "batch_dim", "batch_axis",
	"batch_dimension", "num_batch", "n_batch", "dynamic_batch", "dynamic_batch_size",
	"minibatch", "mini_batch", "bs", "bsz"};
/* As they are: a small n is a length as often as not. */
static const char *const letters[] = {"N", "B"};

bool name_means_batch(const char *name)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(words[i], name))
			return true;
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (!strcmp(letters[i], name))
			return true;
	return false;
}

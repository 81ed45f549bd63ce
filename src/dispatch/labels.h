/*
 * labels.h: what the elements of outputs are called, for those who ask for classes. One block of plain data, so that it is
 * copied and compared whole.
 */
#ifndef DISPATCH_LABELS_H
#define DISPATCH_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

#define LABELS_TEXT_MAX	   255u	      /* bytes of one; what is longer is cut */
#define LABELS_OUTPUTS_MAX 64u	      /* outputs that have some */
#define LABELS_BYTES_MAX   (1u << 20) /* of all files of a model */

/* What they are made of; all borrowed. */
struct labels_source {
	const char *output; /* at most WIRE_NAME_MAX bytes, as file */
	const char *file;   /* its name, as the model's settings have it */
	const char *text;   /* a line each; n bytes */
	size_t n;
};

struct labels_output {
	char output[WIRE_NAME_MAX + 1];
	char file[WIRE_NAME_MAX + 1];
	uint32_t at; /* of its text in the block's */
	uint32_t n;
};

struct labels {
	uint32_t bytes; /* of the block */
	uint32_t n_outputs;
	struct labels_output outputs[]; /* then the files' text, each line ended by a 0 */
};

/* n of at most LABELS_OUTPUTS_MAX sources, whose texts have at most LABELS_BYTES_MAX together; the caller frees it. NULL: no
 * memory */
struct labels *labels_new(const struct labels_source *sources, size_t n);
/* *to is the caller's to free. NULL stays NULL. -ENOMEM */
_must_use_ int labels_copy(struct labels **to, const struct labels *from);
/* Both may be NULL. */
bool labels_equal(const struct labels *a, const struct labels *b);
/* Those of an output; NULL: it has none. labels may be NULL. */
const struct labels_output *labels_find(const struct labels *l, const char *output);
/* Fill list with the first `cap` labels of an output, which live as long as the block; "" where there is none. */
void labels_list(
	const struct labels *l, const struct labels_output *o, const char **list, size_t cap);

#endif

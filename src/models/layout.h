/*
 * layout.h: which versions a model's directory has. The layout is Triton's: a directory a version, named by its
 * number. What is nearly that is taken where it can mean one thing only, and named with the mend otherwise:
 *
 *   1/ 2/ 10/               versions
 *   01/ v2/                 the same
 *   01/ beside 1/           refused: both are version 1
 *   model.onnx, no number   version 1, in the model's directory itself
 *   0/ latest/ stable/      with a model in them: named
 *   3 (a file)              named
 */
#ifndef MODELS_LAYOUT_H
#define MODELS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct layout_version {
	uint64_t number;
	char *path;	/* own: its directory */
	bool ambiguous; /* another directory has the same number */
};

struct layout {
	struct layout_version *versions; /* own; the highest first; no number twice */
	size_t n;
	char *odd;	/* own; NULL: nothing. What is not served, and how to mend it */
	bool has_files; /* something besides version directories looks like a model's */
};

/* Look at a model's directory; one that cannot be read has nothing, and why is odd. Release with layout_release(), also
 * after a failure. What err_is_shortage() names: nothing can be said */
_must_use_ int layout_read(struct layout *l, const char *directory);
void layout_release(struct layout *l);
/* Add a sentence to own text *odd, which may be NULL. -ENOMEM */
_must_use_ int layout_add_odd(char **odd, const char *format, ...) _printf_(2, 3);

#endif

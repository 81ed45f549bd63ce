/*
 * overlay_files.h: files that a caller brings for a load: all that is in the model's directory then. They come as bytes, and are written
 * to a directory of their own (base/spool.h) by the thread that reads models, when it first looks at this one.
 */
#ifndef MODELS_OVERLAY_FILES_H
#define MODELS_OVERLAY_FILES_H

#include "base/cleanup.h"

struct overlay_bytes;
struct spool_dir;

#define OVERLAY_FILES_MAX 256u

enum {
	OVERLAY_FILES_E_INVALID = 1, /* text says which file, and why */
};

struct overlay_files;

/*
 * dir: a reference is taken over, and bytes are, in any case.
 *
 * OVERLAY_FILES_E_INVALID  a path that is none, or leads elsewhere; too many files; text: cap bytes
 * -ENOMEM
 */
_must_use_ int overlay_files_new(struct overlay_files **ret_files, struct spool_dir *dir,
	const struct overlay_bytes *bytes, char *text, size_t cap);
/* Accepts NULL; returns NULL. */
struct overlay_files *overlay_files_free(struct overlay_files *f);
/* The directory that has the model's; valid as long as a reference to it is held. */
struct spool_dir *overlay_files_dir(const struct overlay_files *f);
/* Write them as those of this model, unless they are already. For one thread. -errno of what failed, also of the first time */
_must_use_ int overlay_files_write(struct overlay_files *f, const char *model);

#endif

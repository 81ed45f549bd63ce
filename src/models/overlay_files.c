/* overlay_files.c: see overlay_files.h. Daemon process; made on the loop thread, written by the one that reads. */
#include "models/overlay_files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spool.h"
#include "models/overlay_bytes.h"

struct overlay_files {
	struct spool_dir *dir;	    /* ref */
	struct overlay_bytes bytes; /* own: release NULL: they are not there any more */
	bool written;
	int error; /* of writing */
};

static void let_go(struct overlay_bytes *b)
{
	if (b->release)
		b->release(b->data);
	*b = (struct overlay_bytes){0};
}

static int invalid(const char *path, const char *what, char *text, size_t cap)
{
	snprintf(text, cap, "file:%.200s %s", path, what);
	return OVERLAY_FILES_E_INVALID;
}

static bool is_given_before(const struct overlay_bytes *b, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (!strcmp(b->list[j].path, b->list[i].path))
			return true;
	}
	return false;
}

/* The model's directory is one of those above it. */
static bool is_below_model(const char *path)
{
	unsigned depth = 2;

	for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/'))
		depth++;
	return depth > 2 && depth <= SPOOL_DEPTH_MAX && spool_path_valid(path);
}

static int check(const struct overlay_bytes *b, char *text, size_t cap)
{
	if (b->n > OVERLAY_FILES_MAX) {
		snprintf(text, cap, "%zu files are given, and %u are the limit", b->n,
			OVERLAY_FILES_MAX);
		return OVERLAY_FILES_E_INVALID;
	}
	for (size_t i = 0; i < b->n; i++) {
		const char *path = b->list[i].path;

		if (!is_below_model(path))
			return invalid(path,
				"is no VERSION/NAME of a file in the model's directory", text, cap);
		if (is_given_before(b, i))
			return invalid(path, "is given twice", text, cap);
	}
	return 0;
}

int overlay_files_new(struct overlay_files **ret_files, struct spool_dir *dir,
	const struct overlay_bytes *bytes, char *text, size_t cap)
{
	struct overlay_files *f = calloc(1, sizeof(*f));
	struct overlay_bytes gone = *bytes;
	int r = f ? check(bytes, text, cap) : -ENOMEM;

	if (r) {
		free(f);
		let_go(&gone);
		spool_dir_unref(dir);
		return r;
	}
	f->dir = dir;
	f->bytes = *bytes;
	*ret_files = f;
	return 0;
}

struct overlay_files *overlay_files_free(struct overlay_files *f)
{
	if (!f)
		return NULL;
	let_go(&f->bytes);
	spool_dir_unref(f->dir);
	free(f);
	return NULL;
}

struct spool_dir *overlay_files_dir(const struct overlay_files *f)
{
	return f->dir;
}

static int write_one(struct overlay_files *f, const char *model, const struct overlay_file *file)
{
	_cleanup_(freep) char *path = NULL;

	if (asprintf(&path, "%s/%s", model, file->path) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return spool_dir_write(f->dir, path, file->data, file->n);
}

int overlay_files_write(struct overlay_files *f, const char *model)
{
	if (f->written)
		return f->error;
	f->written = true;
	for (size_t i = 0; i < f->bytes.n && !f->error; i++)
		f->error = write_one(f, model, &f->bytes.list[i]);
	let_go(&f->bytes);
	return f->error;
}

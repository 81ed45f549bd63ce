/*
 * label_files.c: labels of outputs, a line each. Paths stay below the model's directory: they are checked by their text, and
 * links are followed as the administrator made them. Daemon process, any thread.
 */
#include "models/label_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "models/path.h"

struct reading {
	const char *directory; /* borrow */
	struct labels_source sources[LABELS_OUTPUTS_MAX];
	size_t n;
	struct buf content; /* of all files, one behind the other */
	char *text;	    /* borrow */
	size_t cap;
};

static int wrong(struct reading *r, const char *file, const char *what)
{
	snprintf(r->text, r->cap, "'%.255s': %s", file, what);
	return LABEL_FILES_E_INVALID;
}

/* Not out of the directory: no part of it is "..", and it does not begin at the root. */
static bool stays_below(const char *file)
{
	const char *part = file;

	while (part) {
		const char *slash = strchr(part, '/');

		if (!strncmp(part, "..", 2) && (part[2] == '/' || !part[2]))
			return false;
		part = slash ? slash + 1 : NULL;
	}
	return *file != '/';
}

static int too_large(struct reading *r, const char *file)
{
	return wrong(r, file, "labels of all outputs have more than 1048576 bytes");
}

static int read_content(struct reading *r, const char *file, FILE *in)
{
	char block[4096];
	size_t n;
	int e = 0;

	while (!e && (n = fread(block, 1, sizeof(block), in)) > 0)
		e = buf_append(&r->content, block, n);
	if (e == -ENOBUFS)
		return too_large(r, file);
	return !e && ferror(in) ? wrong(r, file, strerror(errno)) : e;
}

static int read_file(struct reading *r, const char *file, size_t *ret_n)
{
	_cleanup_(freep) char *path = path_join(r->directory, file);
	size_t before = r->content.len;
	FILE *in = path ? fopen(path, "re") : NULL;
	int e;

	if (!path)
		return -ENOMEM;
	if (!in)
		return wrong(r, file, strerror(errno));
	e = read_content(r, file, in);
	fclose(in);
	*ret_n = r->content.len - before;
	if (!e && !utf8_valid((const char *)r->content.data + before, *ret_n))
		return wrong(r, file, "is not valid UTF-8");
	return e;
}

static int add(struct reading *r, const Inference__ModelOutput *o)
{
	struct labels_source *s = &r->sources[r->n];

	if (r->n == LABELS_OUTPUTS_MAX)
		return wrong(r, o->label_filename, "more than 64 outputs have labels");
	if (strlen(o->name) > WIRE_NAME_MAX || strlen(o->label_filename) > WIRE_NAME_MAX)
		return wrong(r, o->label_filename, "a name of at most 255 bytes is expected");
	if (!stays_below(o->label_filename))
		return wrong(
			r, o->label_filename, "a path below the model's directory is expected");
	*s = (struct labels_source){.output = o->name, .file = o->label_filename};
	r->n++;
	return read_file(r, o->label_filename, &s->n);
}

int label_files_read(const char *directory, const Inference__ModelConfig *config,
	struct labels **ret_labels, char *text, size_t cap)
{
	struct reading r = {.directory = directory,
		.content = {.max = LABELS_BYTES_MAX},
		.text = text,
		.cap = cap};
	size_t at = 0;
	int e = 0;

	for (size_t i = 0; !e && i < config->n_output; i++) {
		if (*config->output[i]->label_filename)
			e = add(&r, config->output[i]);
	}
	*ret_labels = NULL;
	for (size_t i = 0; !e && i < r.n; i++) {
		r.sources[i].text = (const char *)r.content.data + at;
		at += r.sources[i].n;
	}
	if (!e && r.n > 0) {
		*ret_labels = labels_new(r.sources, r.n);
		e = *ret_labels ? 0 : -ENOMEM;
	}
	buf_deinit(&r.content);
	return e;
}

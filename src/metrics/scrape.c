/*
 * scrape.c: a place in the list of families, and a buffer with what was written but not read yet. What is there to be
 * written of is held from the start: versions by references.
 */
#include "metrics/scrape.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/nvml.h"
#include "dispatch/dispatch.h"
#include "metrics/family.h"
#include "pool/pool.h"
#include "pool/worker.h"

/* A piece: some 400 series, tens of microseconds. */
#define PIECE_BYTES ((size_t)32 << 10)
/* With all series of one subject behind it. */
#define PIECE_BYTES_MAX ((size_t)4 << 20)
/* Labels of names of 255 characters, all of them escaped. */
#define LABELS_MAX ((size_t)4096)

struct scrape {
	struct http_source source;
	const struct metrics_sources *sources; /* borrow */
	struct version **versions;	       /* own, each a ref */
	size_t n_versions;
	struct nvml_gpu *gpus; /* own */
	size_t n_gpus;
	size_t table, row; /* the family that is written */
	size_t subject;	   /* of it, the next one */
	struct text text;  /* written */
	size_t n_read;	   /* of that */
	struct text labels;
};

/* --- Of what ---------------------------------------------------------------------------------- */

static size_t n_subjects(const struct scrape *s, enum family_of of)
{
	switch (of) {
	case OF_VERSION:
		return s->n_versions;
	case OF_WORKER:
		return pool_n_workers(dispatch_pool(s->sources->dispatch));
	case OF_GPU:
		return s->n_gpus;
	case OF_SERVER:
		break;
	}
	return 1;
}

static struct subject subject_at(struct scrape *s, enum family_of of, size_t i)
{
	struct subject subject = {.sources = s->sources};

	buf_reset(&s->labels.buf);
	if (of == OF_VERSION) {
		subject.version = s->versions[i];
		text_label(&s->labels, "model", version_settings(subject.version)->name);
		text_label(&s->labels, "version", version_settings(subject.version)->version);
	} else if (of == OF_WORKER) {
		subject.worker = pool_worker(dispatch_pool(s->sources->dispatch), i);
		text_label(&s->labels, "worker", worker_name(subject.worker));
		text_label(&s->labels, "device", worker_device(subject.worker));
	} else if (of == OF_GPU) {
		subject.gpu = &s->gpus[i];
		text_label(&s->labels, "gpu_uuid", subject.gpu->uuid);
	}
	/* Terminated. */
	if (!s->labels.error)
		s->labels.error = buf_append(&s->labels.buf, "", 1);
	subject.labels = s->labels.error ? "" : (const char *)s->labels.buf.data;
	return subject;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static const struct family *current(struct scrape *s)
{
	while (families[s->table] && !families[s->table][s->row].name) {
		s->table++;
		s->row = 0;
	}
	return families[s->table] ? &families[s->table][s->row] : NULL;
}

/* One subject's series, or what begins a family. False: all is written. */
static bool write_some(struct scrape *s)
{
	const struct family *f = current(s);
	struct subject subject;

	if (!f)
		return false;
	if (s->subject >= n_subjects(s, f->of)) {
		s->row++;
		s->subject = 0;
		return true;
	}
	if (s->subject == 0)
		text_family(&s->text, f->name, f->type, f->help);
	subject = subject_at(s, f->of, s->subject++);
	if (!subject.worker || worker_is_used(subject.worker))
		family_write(&s->text, f, &subject);
	return true;
}

static int write_piece(struct scrape *s)
{
	buf_reset(&s->text.buf);
	s->n_read = 0;
	while (s->text.buf.len < PIECE_BYTES && write_some(s))
		;
	return s->text.error ? s->text.error : s->labels.error;
}

static ssize_t read_scrape(struct http_source *source, char *out, size_t cap)
{
	struct scrape *s = container_of(source, struct scrape, source);
	size_t left = s->text.buf.len - s->n_read;
	int r;

	if (left == 0) {
		r = write_piece(s);
		if (r)
			return r;
		left = s->text.buf.len;
	}
	if (left > cap)
		left = cap;
	if (left > 0)
		memcpy(out, s->text.buf.data + s->n_read, left);
	s->n_read += left;
	return (ssize_t)left;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void close_scrape(struct http_source *source)
{
	struct scrape *s = container_of(source, struct scrape, source);

	for (size_t i = 0; i < s->n_versions; i++)
		version_unref(s->versions[i]);
	free(s->versions);
	free(s->gpus);
	text_deinit(&s->text);
	text_deinit(&s->labels);
	free(s);
}

static int hold(struct scrape *s)
{
	struct dispatch *d = s->sources->dispatch;
	size_t n = dispatch_n_versions(d);
	size_t n_gpus = pool_gpus(dispatch_pool(d), NULL, 0);

	s->versions = calloc(n + 1, sizeof(*s->versions));
	s->gpus = calloc(n_gpus + 1, sizeof(*s->gpus));
	if (!s->versions || !s->gpus)
		return -ENOMEM;
	/* One that is to replace another has the same name and number: it is not served yet. */
	for (size_t i = 0; i < n; i++) {
		if (!version_replaces(dispatch_version(d, i)))
			s->versions[s->n_versions++] = version_ref(dispatch_version(d, i));
	}
	s->n_gpus = n_gpus;
	(void)pool_gpus(dispatch_pool(d), s->gpus, n_gpus);
	return 0;
}

int scrape_new(struct http_source **ret_source, const struct metrics_sources *sources)
{
	struct scrape *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->source = (struct http_source){.read = read_scrape, .close = close_scrape};
	s->sources = sources;
	text_init(&s->text, PIECE_BYTES_MAX);
	text_init(&s->labels, LABELS_MAX);
	r = hold(s);
	if (r)
		close_scrape(&s->source);
	else
		*ret_source = &s->source;
	return r;
}

/*
 * text.h: Prometheus' text format (0.0.4) into a growing buffer. The first failure is kept, and all that comes
 * after it does nothing: who writes looks once, at the end.
 *
 * A series' labels are text, `model="a",version="1"`, made once and used for many of its series.
 */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

/* The unit that a figure is kept in, and shown in another. */
enum text_unit {
	TEXT_PLAIN,
	TEXT_SECONDS,	   /* kept in ns */
	TEXT_MICROSECONDS, /* kept in ns */
	TEXT_MILLI,	   /* kept in thousandths: mW, mJ */
	TEXT_CENTI,	   /* kept in per cent, shown as a ratio */
};

struct text {
	struct buf buf; /* own */
	int error;	/* 0; -ENOMEM, -ENOBUFS */
};

/* At most max_bytes. Allocates nothing. */
void text_init(struct text *t, size_t max_bytes);
void text_deinit(struct text *t);

void text_add(struct text *t, const char *s);
void text_number(struct text *t, uint64_t value, enum text_unit unit);
/* `key="value"`, the value escaped; behind a comma where there is something already. For labels. */
void text_label(struct text *t, const char *key, const char *value);

/* "# HELP" and "# TYPE" of a metric. */
void text_family(struct text *t, const char *name, const char *type, const char *help);
/* One series. labels and more: both may be "", and are joined by a comma. */
void text_sample(struct text *t, const char *name, const char *labels, const char *more,
	uint64_t value, enum text_unit unit);
/* All series of a histogram with buckets at the bounds of `shift`. */
void text_histogram(struct text *t, const char *name, const char *labels, const char *more,
	const struct histogram *h, unsigned shift);

#endif

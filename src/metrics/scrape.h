/*
 * scrape.h: the page of metrics, made piece by piece while it is read. A piece ends with a series or later: what is of one
 * subject in one family belongs to one moment. Versions that come meanwhile are not on it; those that go stay
 * until it is read. Daemon process, loop thread.
 */
#ifndef METRICS_SCRAPE_H
#define METRICS_SCRAPE_H

#include "http/http.h"
#include "metrics/metrics.h"

#define SCRAPE_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* sources are borrowed until it is closed. -ENOMEM */
_must_use_ int scrape_new(struct http_source **ret_source, const struct metrics_sources *sources);

#endif

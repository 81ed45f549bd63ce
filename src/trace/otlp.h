/*
 * otlp.h: spans as the body of an OTLP/HTTP request, in JSON (opentelemetry-proto 1.x, ExportTraceServiceRequest). Pure.
 */
#ifndef TRACE_OTLP_H
#define TRACE_OTLP_H

#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "trace/trace_span.h"

/* What a body begins with, and what it ends with: spans are between them. Who we are: the host's name and the process.
 * -ENOMEM, -ENOBUFS (the buffer's own limit) */
_must_use_ int otlp_begin(struct buf *b, const char *host, long pid);
_must_use_ int otlp_add(struct buf *b, const struct trace_span *s, bool first);
_must_use_ int otlp_end(struct buf *b);

#endif

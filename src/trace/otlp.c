/* otlp.c: JSON by hand, since there is little of it: ids are hexadecimal, 64-bit numbers are text. Pure. */
#include "trace/otlp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"

#define KIND_SERVER  2
#define STATUS_ERROR 2
#define PIECE_MAX    256u

/* Formats of what is short and needs no escapes. */
static _printf_(2, 3) int add(struct buf *b, const char *format, ...)
{
	char piece[PIECE_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	return n < 0 || (size_t)n >= sizeof(piece) ? -EINVAL : buf_append(b, piece, (size_t)n);
}

static int add_text(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	int r = buf_append(b, "\"", 1);

	for (size_t taken; !r && n > 0; text += taken, n -= taken) {
		char character[JSON_CHARACTER_MAX];

		r = buf_append(b, character, json_character(text, n, character, &taken));
	}
	return r ? r : buf_append(b, "\"", 1);
}

static int add_text_attribute(struct buf *b, const char *key, const char *value)
{
	int r;

	if (!value[0])
		return 0;
	r = add(b, ",{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	if (!r)
		r = add_text(b, value);
	return r ? r : buf_append(b, "}}", 2);
}

static int add_number_attribute(struct buf *b, const char *key, uint64_t value)
{
	return add(b, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", key, value);
}

int otlp_begin(struct buf *b, const char *host, long pid)
{
	int r = add(b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
		       "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"modeld\"}}");

	if (!r)
		r = add_text_attribute(b, "service.version", MODELD_VERSION);
	if (!r)
		r = add_text_attribute(b, "host.name", host);
	if (!r)
		r = add_number_attribute(b, "process.pid", (uint64_t)pid);
	return r ? r : add(b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"modeld\"},\"spans\":[");
}

int otlp_end(struct buf *b)
{
	return add(b, "]}]}]}");
}

static int add_ids(struct buf *b, const struct trace_span *s)
{
	char trace[2 * TRACE_ID_BYTES + 1] = "", id[2 * SPAN_ID_BYTES + 1] = "";
	int r;

	trace_id_write(s->self.trace_id, TRACE_ID_BYTES, trace);
	trace_id_write(s->self.span_id, SPAN_ID_BYTES, id);
	r = add(b, "\"traceId\":\"%s\",\"spanId\":\"%s\"", trace, id);
	if (r || !s->has_parent)
		return r;
	trace_id_write(s->parent_id, SPAN_ID_BYTES, id);
	return add(b, ",\"parentSpanId\":\"%s\"", id);
}

static int add_state(struct buf *b, const struct trace_span *s)
{
	int r = s->tracestate[0] ? add(b, ",\"traceState\":") : 0;

	return r || !s->tracestate[0] ? r : add_text(b, s->tracestate);
}

static int add_attributes(struct buf *b, const struct trace_span *s)
{
	int r = add(b,
		",\"attributes\":[{\"key\":\"rpc.system\",\"value\":{\"stringValue\":\"%s\"}}",
		s->system);

	if (!r)
		r = add_number_attribute(b, "rpc.grpc.status_code", s->status);
	if (!r)
		r = add_text_attribute(b, "client.address", s->client);
	if (!r)
		r = add_text_attribute(b, "modeld.model", s->model);
	if (!r)
		r = add_text_attribute(b, "modeld.version", s->version);
	if (!r)
		r = add_text_attribute(b, "modeld.worker", s->worker);
	if (!r)
		r = add_text_attribute(b, "modeld.request_id", s->request_id);
	if (!r && s->batch_requests > 0)
		r = add_number_attribute(b, "modeld.batch_requests", s->batch_requests);
	if (!r && s->compute_ns > 0)
		r = add_number_attribute(b, "modeld.compute_ns", s->compute_ns);
	return r ? r : buf_append(b, "]", 1);
}

static int add_events(struct buf *b, const struct trace_span *s)
{
	static const char *const names[] = {[TRACE_QUEUED] = "queued",
		[TRACE_SENT] = "sent",
		[TRACE_COMPUTED] = "computed",
		[TRACE_REPLIED] = "replied"};
	int r = add(b, ",\"events\":[{\"timeUnixNano\":\"%" PRIu64 "\",\"name\":\"received\"}",
		s->received_ns);

	for (size_t i = 0; !r && i < TRACE_STAGES_; i++) {
		if (s->stages_ns[i])
			r = add(b, ",{\"timeUnixNano\":\"%" PRIu64 "\",\"name\":\"%s\"}",
				s->stages_ns[i], names[i]);
	}
	return r ? r : buf_append(b, "]", 1);
}

int otlp_add(struct buf *b, const struct trace_span *s, bool first)
{
	int r = add(b, first ? "{" : ",{");

	if (!r)
		r = add_ids(b, s);
	if (!r)
		r = add_state(b, s);
	if (!r)
		r = add(b,
			",\"name\":\"infer\",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64
			"\",\"endTimeUnixNano\":\"%" PRIu64 "\"",
			KIND_SERVER, s->received_ns, s->ended_ns);
	if (!r)
		r = add_attributes(b, s);
	if (!r)
		r = add_events(b, s);
	if (!r && s->failed)
		r = add(b, ",\"status\":{\"code\":%d}", STATUS_ERROR);
	return r ? r : buf_append(b, "}", 1);
}

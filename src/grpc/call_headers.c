/*
 * call_headers.c: request headers of a call: read one by one as they come, judged when all are
 * there. Only what is used is kept. Daemon process, loop thread.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "grpc/call_private.h"
#include "grpc/page.h"
#include "proto/grpc_timeout.h"

#define PATH_SHOWN 200u

struct text {
	const char *data;
	size_t n;
};

static bool equals(struct text t, const char *word)
{
	return t.n == strlen(word) && !memcmp(t.data, word, t.n);
}

static void take_method(struct call *c, struct text value)
{
	c->headers.is_post = equals(value, "POST");
	c->headers.is_head = equals(value, "HEAD");
}

static void take_path(struct call *c, struct text value)
{
	struct call_headers *h = &c->headers;

	c->method =
		service_index_find(session_endpoint(c->stream.session)->offer, value.data, value.n);
	if (c->method || h->unknown_path)
		return;
	h->n_unknown_path = value.n < PATH_SHOWN ? value.n : PATH_SHOWN;
	h->unknown_path = blocks_take(&call_transport(c)->blocks, h->n_unknown_path);
	if (h->unknown_path)
		memcpy(h->unknown_path, value.data, h->n_unknown_path);
}

/* "application/grpc", and that followed by ";" or "+proto". */
static void take_content_type(struct call *c, struct text value)
{
	static const char grpc[] = "application/grpc";
	const size_t n = sizeof(grpc) - 1;
	struct text rest;

	c->headers.content = equals(value, "application/grpc") ? CONTENT_GRPC : CONTENT_OTHER;
	if (c->headers.content == CONTENT_GRPC || value.n < n ||
		strncasecmp(value.data, grpc, n) != 0)
		return;
	rest = (struct text){value.data + n, value.n - n};
	if (rest.n && rest.data[0] == '+') {
		const char *end = memchr(rest.data, ';', rest.n);

		c->headers.content = CONTENT_GRPC_OTHER;
		if (end)
			rest.n = (size_t)(end - rest.data);
		if (equals(rest, "+proto"))
			c->headers.content = CONTENT_GRPC;
	} else if (rest.n == 0 || rest.data[0] == ';') {
		c->headers.content = CONTENT_GRPC;
	}
}

static void take_timeout(struct call *c, struct text value)
{
	c->headers.has_timeout = true;
	if (grpc_timeout_parse(value.data, value.n, &c->headers.timeout_ns))
		c->headers.timeout_malformed = true;
}

static void take_encoding(struct call *c, struct text value)
{
	c->request_codec = codec_parse(value.data, value.n);
}

static void take_accept_encoding(struct call *c, struct text value)
{
	enum codec ours = call_calls(c)->reply_codec;

	c->headers.names_encodings = true;
	/* May come several times. */
	if (codec_listed(ours, value.data, value.n))
		c->reply_codec = ours;
}

static void take_traceparent(struct call *c, struct text value)
{
	if (traceparent_valid(value.data, value.n))
		memcpy(c->headers.traceparent, value.data, TRACEPARENT_BYTES);
}

/* Lost where there is no memory for it. */
static void take_tracestate(struct call *c, struct text value)
{
	struct tracestate *t = c->headers.tracestate;

	if (!t) {
		t = blocks_take(&call_transport(c)->blocks, sizeof(*t));
		if (!t)
			return;
		*t = (struct tracestate){.n = 0};
		c->headers.tracestate = t;
	}
	tracestate_add(t, value.data, value.n);
}

struct header_reader {
	const char *name;
	void (*take)(struct call *c, struct text value);
};

/* By the length of the name: most headers that come are none of these. */
static const struct header_reader known[][2] = {
	[5] = {{":path", take_path}},
	[7] = {{":method", take_method}},
	[10] = {{"tracestate", take_tracestate}},
	[11] = {{"traceparent", take_traceparent}},
	[12] = {{"content-type", take_content_type}, {"grpc-timeout", take_timeout}},
	[13] = {{"grpc-encoding", take_encoding}},
	[20] = {{"grpc-accept-encoding", take_accept_encoding}},
};

void call_take_header(
	struct call *c, const char *name, size_t n_name, const char *value, size_t n_value)
{
	const struct header_reader *readers;

	if (n_name >= sizeof(known) / sizeof(known[0]))
		return;
	readers = known[n_name];
	for (size_t i = 0; i < 2 && readers[i].name; i++) {
		if (memcmp(readers[i].name, name, n_name) != 0)
			continue;
		if (c->stream.header_bytes <= call_transport(c)->settings->max_header_bytes)
			readers[i].take(c, (struct text){value, n_value});
		return;
	}
}

/* gRPC clients read a status, people a page. */
static void refuse_http(struct call *c, unsigned http_status, const char *text)
{
	if (c->headers.content == CONTENT_GRPC || c->headers.content == CONTENT_GRPC_OTHER) {
		call_reject(c, http_status, GRPC_INTERNAL, text);
		return;
	}
	c->phase = CALL_ENDED;
	call_send_page(c, http_status, page_text(http_status), c->headers.is_head);
}

static void refuse_path(struct call *c)
{
	char text[PATH_SHOWN + 32];
	const char *path = c->headers.unknown_path ? c->headers.unknown_path : "";

	snprintf(text, sizeof(text), "unknown method %.*s",
		c->headers.unknown_path ? (int)c->headers.n_unknown_path : 0, path);
	call_reject(c, 200, GRPC_UNIMPLEMENTED, text);
}

static void refuse_size(struct call *c, uint32_t max)
{
	char text[128];

	snprintf(text, sizeof(text),
		"header list of %zu bytes is larger than max_header_bytes (%u)",
		c->stream.header_bytes, max);
	/* Several clients would make something else of an HTTP 431. */
	call_reject(c, 200, GRPC_RESOURCE_EXHAUSTED, text);
}

bool call_accept_headers(struct call *c)
{
	const struct call_headers *h = &c->headers;
	uint32_t max = call_transport(c)->settings->max_header_bytes;

	if (c->stream.header_bytes > max)
		refuse_size(c, max);
	else if (!h->is_post)
		refuse_http(c, 405, "the method of a gRPC call is POST");
	else if (h->content != CONTENT_GRPC)
		refuse_http(c, 415,
			"the content-type is not application/grpc or application/grpc+proto");
	else if (!c->method)
		refuse_path(c);
	else if (h->timeout_malformed)
		call_reject(c, 200, GRPC_INTERNAL, "malformed grpc-timeout");
	else if (h->has_timeout && h->timeout_ns == 0)
		call_reject(
			c, 200, GRPC_DEADLINE_EXCEEDED, "deadline exceeded before the call began");
	else
		return true;
	return false;
}

/*
 * session_reply.c: replies into HTTP/2: headers, body, trailers, resets. Body bytes are
 * never copied into nghttp2: the data source only says how many there are (NO_COPY), and
 * on_send_data() takes them from the stream's queue into the gather.
 *
 * Trailers are submitted where the data source says EOF: earlier they would overtake the body.
 * Daemon process, loop thread.
 */
#include <assert.h>

#include "http2/session_private.h"

static nghttp2_nv to_nv(const struct header *h)
{
	unsigned flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;

	if (h->flags & HEADER_STATIC)
		flags |= NGHTTP2_NV_FLAG_NO_COPY_VALUE;
	if (h->flags & HEADER_UNIQUE)
		flags |= NGHTTP2_NV_FLAG_NO_INDEX;
	return (nghttp2_nv){
		(uint8_t *)h->name, (uint8_t *)h->value, h->n_name, h->n_value, (uint8_t)flags};
}

static size_t to_nvs(const struct header *headers, size_t n, nghttp2_nv ret_nv[HEADERS_MAX])
{
	assert(n <= HEADERS_MAX);
	for (size_t i = 0; i < n; i++)
		ret_nv[i] = to_nv(&headers[i]);
	return n;
}

static int submit_trailers(struct stream *s)
{
	struct header trailers[HEADERS_MAX];
	nghttp2_nv nv[HEADERS_MAX];
	size_t n = s->session->transport->events->streams->on_trailers(s, trailers);

	return nghttp2_submit_trailer(s->session->ng, s->id, nv, to_nvs(trailers, n, nv));
}

static ssize_t read_output(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *data)
{
	struct stream *s = source->ptr;
	size_t n = s->queued_bytes < length ? s->queued_bytes : length;

	/* What nghttp2 asks next is mostly about this one: its trailers, and that it is closed. */
	s->session->recent = s;
	if (s->cut || (n == 0 && !s->ended)) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < s->queued_bytes || !s->ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		session_check(s->session, submit_trailers(s));
	}
	return (ssize_t)n;
}

static void submit(struct stream *s, const struct header *headers, size_t n, bool with_body)
{
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_output};
	nghttp2_nv nv[HEADERS_MAX];

	assert(!s->headers_sent);
	if (s->reset)
		return;
	s->headers_sent = true;
	session_check(s->session, nghttp2_submit_response(s->session->ng, s->id, nv,
					  to_nvs(headers, n, nv), with_body ? &provider : NULL));
	session_mark_dirty(s->session);
}

void stream_respond(struct stream *s, const struct header *headers, size_t n)
{
	submit(s, headers, n, true);
}

static void end(struct stream *s)
{
	assert(!s->ended);
	s->ended = true;
	s->awaits_input = false;
}

void stream_respond_alone(struct stream *s, const struct header *headers, size_t n)
{
	end(s);
	submit(s, headers, n, false);
}

void stream_end(struct stream *s, bool trailers)
{
	end(s);
	s->trailers = trailers;
	stream_resume(s);
}

void stream_resume(struct stream *s)
{
	if (s->reset || !s->headers_sent)
		return;
	if (s->deferred) {
		s->deferred = false;
		session_check(s->session, nghttp2_session_resume_data(s->session->ng, s->id));
	}
	session_mark_dirty(s->session);
}

/* nghttp2 forgets the body once trailers were sent. */
void stream_cut(struct stream *s)
{
	assert(s->headers_sent);
	if (s->reset)
		return;
	stream_drop_output(s);
	s->ended = s->cut = true;
	s->awaits_input = false;
	session_check(s->session, submit_trailers(s));
	session_mark_dirty(s->session);
}

void stream_cancel(struct stream *s)
{
	if (s->reset)
		return;
	stream_drop_output(s);
	s->ended = true;
	s->awaits_input = false;
	s->reset = true;
	session_check(s->session, nghttp2_submit_rst_stream(s->session->ng, NGHTTP2_FLAG_NONE,
					  s->id, NGHTTP2_CANCEL));
	session_mark_dirty(s->session);
}
